"""From a Verdict of an ACL to the reply and the log lines. Exim spec 44.14, 44.20.

Laws: a temporary error is 451 and says no more than the administrator wants; a `drop` closes the connection after its reply;
nothing of the log text reaches the peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from angaros.acl.messages import response
from angaros.inbound.report import authenticated
from angaros.logs.lines import spf_field, tls_fields
from angaros.logs.peer import host_and_ident
from angaros.model.outcome import Outcome, Verdict
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.model.message import Header, Message

WITH_SENDER = frozenset(("rcpt", "data", "mime", "prdr"))
"""Points whose log lines have F= and A=."""
PERMANENT = "Administrative prohibition"
TEMPORARY = "Temporary local problem - please try later"


def user_message(c: Conversation, where: str, text: str, default: str = "", *, code: int = 0) -> None:
    """A positive reply at a point, with the administrator's text (which may have its own code) or the default."""
    answer = response(where, Outcome.ACCEPT, text, default, code=code)
    if answer.wrong:
        c.log.write(answer.wrong, panic=True)
    c.respond(f"{answer.code} {answer.enhanced}".rstrip(), answer.text)


def sender_info(c: Conversation) -> str:
    """`F=<sender> A=auth ` of rejection lines."""
    return f"F=<{c.message.sender_address}>{authenticated(c.session)} "


def spf_info(c: Conversation) -> str:
    """`SPF=fail ` of rejection lines, when SPF was looked at and is to be logged."""
    facts = c.message.effects.mailauth.spf
    field = spf_field(facts.result, c.log) if facts is not None else ""
    return f"{field} " if field else ""


def write_rejection(
    c: Conversation,
    verdict: Verdict,
    text: str,
    *,
    message_id: str = "",
    headers: Sequence[Header] = (),
    envelope: Message | None = None,
) -> None:
    """The rejection line, to the logs that `log_reject_target` names."""
    targets = verdict.log_targets
    if targets:
        c.log.write(
            text,
            message_id=message_id,
            main="main" in targets,
            reject="reject" in targets,
            panic="panic" in targets,
            headers=headers if "reject" in targets else (),
            envelope=envelope if "reject" in targets else None,
        )


def refuse(
    c: Conversation,
    where: str,
    verdict: Verdict,
    what: str,
    *,
    message_id: str = "",
    headers: Sequence[Header] = (),
    envelope: Message | None = None,
) -> bool:
    """Log and answer a refusal. `what` names it (`RCPT <a@b>`). Returns whether the connection ends."""
    permanent = verdict.outcome in (Outcome.DENY, Outcome.DROP)
    reply = response(where, verdict.outcome, verdict.user_message, PERMANENT if permanent else TEMPORARY)
    log_text = verdict.log_message or verdict.user_message
    if reply.wrong:
        c.log.write(reply.wrong, panic=True)
        if log_text == verdict.user_message:
            log_text = f"{reply.code} {reply.text}"
    _sender_failure(c, verdict, reply.code)
    host = host_and_ident(c.session, c.log)
    if c.log.selected("connection_id"):
        host += f" Ci={c.connection_id}"
    info = sender_info(c) if where in WITH_SENDER else ""
    tail = f": {log_text}" if log_text and not verdict.bare_log else ""
    spf = spf_info(c) if where in WITH_SENDER else ""
    write_rejection(
        c,
        verdict,
        concat([f"{host}{tls_fields(c.session, c.log)} {info}{spf}{'' if permanent else 'temporarily '}rejected {what}", tail]),
        message_id=message_id,
        headers=headers,
        envelope=envelope,
    )
    c.services.metrics.add("rejections_total", where, verdict.outcome.value)
    note_rcpt_rejection(c, reply.text)
    c.respond(f"{reply.code} {reply.enhanced}".rstrip(), reply.text)
    if verdict.outcome is not Outcome.DROP:
        return False
    c.notquit("acl-drop", None)
    c.closed_by("DROP in ACL")
    c.done = True
    return True


def _sender_failure(c: Conversation, verdict: Verdict, code: int) -> None:
    """The extra line about a sender that could not be verified, and its reply lines. Exim spec 44.50"""
    failure = verdict.sender_failure
    if failure is None:
        return
    if not failure.told and c.log.selected("sender_verify_fail"):
        what = "defer" if failure.deferred else "fail"
        reason = f": {failure.log}" if failure.log is not None else ""
        host = host_and_ident(c.session, c.log)
        c.log.write(
            concat([f"{host}{tls_fields(c.session, c.log)} sender verify {what} for <{failure.address}>", reason]),
            reject=True,
        )
    if failure.lines:
        c.respond(str(code), failure.lines, final=False)


def note_rcpt_rejection(c: Conversation, text: str) -> None:
    """Remember why recipients were refused: DATA repeats it when it was the same for all. Exim spec 44.10"""
    txn = c.txn
    if not txn.was_rcpt or not txn.rejections_same:
        return
    if txn.rejection is None:
        txn.rejection = text
    elif txn.rejection != text:
        txn.rejections_same = False
