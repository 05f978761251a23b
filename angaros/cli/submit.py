"""The default mode: accept a message on standard input (-bm, -t)."""

from __future__ import annotations

import sys

from angaros.cli.context import Context
from angaros.cli.submission import submission_options


def submit(context: Context) -> int:
    """With the power to write the spool: here; otherwise through the daemon's socket."""
    call = context.call
    if call.mode == "" and not call.arguments and not call.extract_recipients:
        if sys.stdin.isatty():
            from angaros.cli.main import _help

            return _help()
        if call.syslog_tag is None and len(call.argv) <= 1:
            from angaros.cli.main import _help

            return _help()
    if not may_write_spool(context):
        from angaros.daemon.submission_client import submit_to_daemon

        return submit_to_daemon(context.services, call.argv)
    from angaros.cli.start_delivery import install
    from angaros.daemon.privilege import become_root
    from angaros.inbound.submission import submit as submit_here

    become_root()
    install(context)
    stream = context.services.waiter.open_fds(0, 1)
    return submit_here(context.services, submission_options(context), stream)


def may_write_spool(context: Context) -> bool:
    """As root, as the Exim user, or where the spool is ours (a server without root)."""
    import os

    uid = os.geteuid()
    return uid in (0, context.config.exim_uid)
