"""The default mode: accept a message on standard input (-bm, -t)."""

from __future__ import annotations

import sys

from angaros.cli.context import Context
from angaros.cli.submission import submission_options

EX_TEMPFAIL = 75
"""sysexits.h: mailers keep the message and try again."""


def submit(context: Context) -> int:
    """With the power to write the spool: here; otherwise through the daemon's socket."""
    call = context.call
    if not call.arguments and not call.extract_recipients:  # nobody to send to, whatever else was said
        from angaros.cli.main import show_help

        return show_help()
    if not may_write_spool(context):
        return through_the_door(context)
    from angaros.cli.start_delivery import install
    from angaros.daemon.privilege import become_root
    from angaros.inbound.submission import submit as submit_here

    become_root()
    install(context)
    stream = context.services.waiter.open_fds(0, 1)
    status = submit_here(context.services, submission_options(context), stream)
    return status or int(context.services.run.mua_failed)


def through_the_door(context: Context) -> int:
    """Let the daemon do it; EX_TEMPFAIL when there is neither a daemon nor the power to do it ourselves."""
    from angaros.cli.context import door_path
    from angaros.daemon.door import knock

    path = door_path(context.site)
    status = knock(path, context.call.argv)
    if status is not None:
        return status
    print(
        f"exim: no daemon listens on {path}, and uid {context.caller.uid} may not write the spool: try again later",
        file=sys.stderr,
    )
    return EX_TEMPFAIL


def may_write_spool(context: Context) -> bool:
    """As root, as the Exim user, or where the spool is ours (a server without root)."""
    import os

    uid = os.geteuid()
    return uid in (0, context.config.exim_uid)
