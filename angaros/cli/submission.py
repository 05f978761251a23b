"""From the parsed command line to the options of a submission or a local SMTP session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.inbound.gecos import full_name
from angaros.inbound.options import LocalCaller, SessionOptions, Submission

if TYPE_CHECKING:
    from angaros.cli.context import Context


def submission_options(context: Context) -> Submission:
    """What this call asks of a local submission."""
    call, caller = context.call, context.caller
    return Submission(
        caller=LocalCaller(
            caller.uid,
            caller.gid,
            caller.login,
            full_name(caller.gecos, caller.login, context.services),
            caller.trusted,
            caller.admin,
        ),
        claims=call.claims,
        sender=call.sender,
        sender_name=call.sender_name,
        recipients=list(call.arguments),
        extract_recipients=call.extract_recipients,
        dot_ends=call.dot_ends,
        error_handling=call.error_handling,
        delivery=call.delivery,
        receive_timeout=call.receive_timeout,
        smtp_receive_timeout=call.smtp_receive_timeout,
        unqualified=call.unqualified,
        suppress_local_fixups=call.suppress_local_fixups,
        queue_name=call.queue_name,
        dont_deliver=call.dont_deliver,
        internal_error_message=call.internal_error_message,
        verbose=call.verbose,
    )


def session_options(context: Context, **changes: bool) -> SessionOptions:
    """What this call asks of an SMTP session on standard input and output."""
    options = SessionOptions(local=True, tls_on_connect=context.call.tls_on_connect, submission=submission_options(context))
    for name, value in changes.items():
        setattr(options, name, value)
    return options
