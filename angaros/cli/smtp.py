"""SMTP on standard input and output: -bs, -bS, -bh, -bhc."""

from __future__ import annotations

import os
import sys

from angaros.cli.context import Context
from angaros.cli.submission import session_options
from angaros.cli.submit import may_write_spool, through_the_door


def interactive(context: Context) -> int:
    """-bs: a local process talks SMTP, or inetd started us with a socket as standard input."""
    return _serve(context, batched=False)


def batch(context: Context) -> int:
    """-bS: SMTP commands without replies."""
    return _serve(context, batched=True)


def _serve(context: Context, *, batched: bool) -> int:
    from angaros.cli.start_delivery import install
    from angaros.daemon.privilege import become_root
    from angaros.inbound.stdio import serve_stdio

    if not may_write_spool(context):
        return through_the_door(context)
    become_root()
    install(context)
    status = serve_stdio(context.services, session_options(context, batched=batched))
    return status or int(context.services.run.mua_failed)


def host_check(context: Context) -> int:
    """-bh: a fake session from an address; nothing is written, the reasons go to standard error."""
    from angaros.daemon.privilege import become
    from angaros.inbound.stdio import serve_stdio

    call = context.call
    log = context.services.log
    modes = getattr(log, "modes", None)
    if modes is not None:
        modes.testing = True
        modes.debug.host_checking = True
    context.services.hooks.start_delivery = lambda message, lock, foreground: None
    options = session_options(context, host_checking=True, host_checking_callout=call.host_checking_callout)
    options.submission.claims.host_address = call.claims.host_address or call.host_checking
    options.local = False
    if os.geteuid() == 0 and os.getuid() != 0:
        become(context.services.config.exim_uid, context.services.config.exim_gid)
    sys.stdout.flush()
    return serve_stdio(context.services, options)


def fetch_mail(context: Context) -> int:
    """-atrn: the mail of some domains from a provider, over a connection that it turns around."""
    from angaros.cli.start_delivery import install
    from angaros.daemon.privilege import become_root
    from angaros.inbound.atrn import fetch

    become_root()
    install(context)
    return fetch(context.services, context.call.atrn_host, context.call.atrn_domains, session_options(context))
