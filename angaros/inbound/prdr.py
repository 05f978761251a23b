"""Per-recipient data responses: a verdict for each recipient once the body is known. Exim spec 44.13; draft-hall-prdr"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.acl.messages import response
from angaros.inbound.rcpt import delivery_for
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.inbound.data import Arrivals
    from angaros.model.message import Recipient

WORDS = {"250": "acceptance", "450": "temporary refusal", "550": "refusal"}


def per_recipient(c: Conversation, arrivals: Arrivals) -> bool:
    """Ask the PRDR ACL about each recipient. False when nobody is left (and the final reply is given)."""
    message = c.message
    c.txn.extra["prdr_used"] = True
    c.say("353 PRDR content analysis beginning")
    kept: list[Recipient] = []
    failed = 0
    for recipient in message.recipients:
        code = _one(c, recipient)
        if code == "250":
            kept.append(recipient)
        elif code == "550":
            failed += 1
    everybody = len(message.recipients)
    message.recipients[:] = kept
    if len(kept) == everybody:
        return True
    some = f"id={message.id} message accepted for some recipients"
    if kept:
        c.txn.extra["prdr_summary"] = some
        return True
    if failed == everybody:
        c.say(f"550 id={message.id} message rejected for all recipients")
    else:
        c.say(f"250 {some}")
    return False


def _one(c: Conversation, recipient: Recipient) -> str:
    scope = c.scope.child(delivery=delivery_for(recipient.address, c.scope))
    verdict = c.run_acl("prdr", scope)
    if verdict.accepted:
        code = "250"
    elif verdict.outcome in (Outcome.DENY, Outcome.DROP):
        code = "550"
    else:
        code = "450"
    default = f"PRDR R=<{recipient.address}> {WORDS[code]}"
    answer = response("prdr", verdict.outcome, verdict.user_message, default, code=int(code))
    c.respond(f"{answer.code} {answer.enhanced}".rstrip(), answer.text)
    c.log.write(default, message_id=c.message.id)
    return code
