"""Modes that tell something: -bV, -bP, -bI, -bi, -z."""

from __future__ import annotations

import os
import sys

from angaros import EXIM_VERSION
from angaros.cli.context import Context
from angaros.cli.output import write, write_error, write_line
from angaros.cli.parse import UsageError


def version(context: Context) -> int:
    """-bV: version, features, and whether the configuration is right."""
    from angaros.assembly.features import collect
    from angaros.assembly.version import version_text

    write(version_text(collect(libraries=True), context.site, context.config))
    for warning in context.config.warnings:
        print(f"exim: {warning}", file=sys.stderr)
    return 0


def show_options(context: Context) -> int:
    """-bP."""
    from angaros.assembly.show import PermissionDenied, View, show_options

    view = View(
        config=context.config,
        write=write_line,
        admin=context.caller.admin,
        names=not context.call.no_headers,
        environment=dict(os.environ),
        version=EXIM_VERSION if context.harness is None else context.harness.config_version,
    )
    try:
        return show_options(view, context.call.arguments)
    except PermissionDenied:
        raise UsageError("exim: permission denied") from None


def build_info(context: Context) -> int:
    """-bI:help, -bI:dscp, -bI:sieve, -bI:modules."""
    from angaros.assembly.version import info_text

    if context.call.info.lower() == "sieve":
        from angaros.filters.sieve.language import LANGUAGE

        write("".join(f"{name}\n" for name in LANGUAGE.capabilities))
        return 0
    text, known = info_text(context.call.info)
    (write if known else write_error)(text)
    return 0 if known else 1


def run_bi_command(context: Context) -> int:
    """-bi: run `bi_command`, with -oA's argument (Exim spec 5.3)."""
    from angaros.daemon.privilege import become_caller

    command = context.config.main.bi_command
    if not command:
        print("exim: no configuration: -bi does nothing", file=sys.stderr) if context.call.verbose else None
        return 0
    become_caller()
    argument = [context.call.bi_argument] if context.call.bi_argument else []
    sys.stdout.flush()
    try:
        os.execv(command, [command, *argument])
    except OSError as error:
        print(f"exim: exec of {command} failed: {error.strerror}", file=sys.stderr)
    return 1


def write_log_line(context: Context) -> int:
    """-z: write a line into the main log."""
    context.services.log.write(context.call.log_text or "")
    return 0
