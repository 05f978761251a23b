"""Modes that try something out: -be, -bt, -bv, -brt, -brw, -bmalware."""

from __future__ import annotations

import sys

from angaros.cli.context import Context, log_on_stderr, only_test, verbose
from angaros.cli.output import write, write_line
from angaros.model.scope import Scope
from angaros.model.session import Session


def _probe_scope(context: Context) -> Scope:
    """A scope with what the command line claims (-f, -oM...)."""
    from angaros.cli.submission import submission_options
    from angaros.inbound.probe import probe_scope

    return probe_scope(context.services, submission_options(context))


def expand_strings(context: Context) -> int:
    """-be, -bem FILE, -Mset ID."""
    from angaros.daemon.privilege import become_caller
    from angaros.expand.probe import run

    scope = _probe_scope(context)
    call = context.call
    if call.set_message is not None:
        if not context.caller.admin:
            print("exim: permission denied", file=sys.stderr)
            return 1
        scope.message = context.services.store.load(call.set_message)
        scope.session = scope.message.session
    log_on_stderr(context.services)
    become_caller()
    main = context.config.main
    if main.perl_startup and (main.perl_at_start if call.perl_start is None else call.perl_start):
        from angaros.expand.items.perl import start_now

        start_now(scope)
    if call.message_file is None:
        return run(scope, call.arguments, sys.stdin, write, admin=context.caller.admin)
    from angaros.cli.submission import submission_options
    from angaros.inbound.probe import load_test_message

    reception = load_test_message(scope, call.message_file, submission_options(context))
    try:
        return run(scope, call.arguments, sys.stdin, write, admin=context.caller.admin)
    finally:
        reception.abandon()


def address_test(context: Context) -> int:
    """-bt."""
    from angaros.delivery.address_test import run

    only_test(context.services)
    verbose(context.services)

    return run(_probe_scope(context), context.call.arguments, "bt", verbose=context.call.verbose)


def verify_addresses(context: Context) -> int:
    """-bv, -bvs."""
    from angaros.delivery.address_test import run

    if context.call.verbose:
        only_test(context.services)
        verbose(context.services)
    else:
        log_on_stderr(context.services)

    return run(_probe_scope(context), context.call.arguments, context.call.mode, verbose=context.call.verbose)


def retry_test(context: Context) -> int:
    """-brt."""
    from angaros.hints.retry import retry_test_text

    sender = context.call.sender
    if sender is not None:
        sender = sender.strip().removeprefix("<").removesuffix(">")
    write(retry_test_text(context.call.arguments, Scope(context.services, Session()), sender))
    return 0


def rewrite_test(context: Context) -> int:
    """-brw."""
    from angaros.rewriting import rewrite_test

    if not context.call.arguments:
        print("exim: -brw needs an address", file=sys.stderr)
        return 1
    log_on_stderr(context.services)
    scope = Scope(context.services, Session())
    for line in rewrite_test(context.call.arguments[0], scope):
        write_line(line)
    return 0


def scan_file(context: Context) -> int:
    """-bmalware."""
    from angaros.scan.probe import scan_file

    return scan_file(_probe_scope(context), context.call.message_file or "")
