"""`mua_wrapper`: a message goes out in one transaction, at once, or not at all. Exim spec 52."""

from __future__ import annotations

import sys
from dataclasses import replace

from angaros.delivery.attempt import Attempt, Fate
from angaros.delivery.done import mark_done
from angaros.delivery.options import DeliverStatus
from angaros.model.delivery import Delivery, DeliveryResult

NOT_ONE_TRANSACTION = "mua_wrapper is set but recipients cannot all be delivered in one transaction"


def fits_one_transaction(attempt: Attempt) -> bool:
    """After routing: whether all addresses go to the same hosts together. If not, all have failed, and the caller is told."""
    if attempt.local:
        _refuse_route(attempt, Fate(attempt.local[0], DeliveryResult("fail")), "local")
    elif attempt.deferred:
        _refuse_route(attempt, attempt.deferred[0], "deferred")
    elif attempt.failed:
        fate = attempt.failed[0]
        tell(f"routing {fate.delivery.root().address} yielded a failed delivery{_reason(fate)}")
    elif _groups(attempt) > 1:
        attempt.log(f"** {NOT_ONE_TRANSACTION}")
        tell("delivery to smarthost failed (configuration problem)")
    else:
        return True
    attempt.extra["mua_told"] = True
    for delivery in attempt.local + attempt.remote:
        attempt.failed.append(Fate(delivery, DeliveryResult("fail", message=NOT_ONE_TRANSACTION)))
    attempt.local, attempt.remote = [], []
    return False


def _refuse_route(attempt: Attempt, fate: Fate, which: str) -> None:
    address = fate.delivery.root().address
    attempt.log(f"** {address} routing yielded a {which} delivery")
    tell(f"routing {address} yielded a {which} delivery{_reason(fate)}")


def _reason(fate: Fate) -> str:
    text = fate.result.message or fate.delivery.message
    return f": {text}" if text else ""


def _groups(attempt: Attempt) -> int:
    from angaros.delivery.remote import take_groups

    kept = attempt.remote.copy()
    count = len(take_groups(attempt))
    attempt.remote = kept
    return count


def as_sent(delivery: Delivery, result: DeliveryResult) -> tuple[Delivery, str | None]:
    """Recipient and sender for the log. In this mode Exim shows what was sent: A-labels where the host wanted them."""
    recipient, sender = result.detail.get("sent_as", ("", ""))
    if not recipient or delivery.address.isascii() or not recipient.isascii():
        return delivery, None
    local_part, _, domain = recipient.rpartition("@")
    return replace(delivery, address=recipient, local_part=local_part, domain=domain, parent=delivery), sender


def finish_mua(attempt: Attempt) -> DeliverStatus:
    """Nothing is kept: what could not be delivered has failed, and the submitting user is there to hear it."""
    lost = attempt.deferred + attempt.failed
    if not attempt.extra.get("mua_told"):
        _tell_failures(attempt, lost)
    for fate in lost:
        mark_done(attempt, fate.delivery)
    attempt.msglog.discard()
    if attempt.journal is not None:
        attempt.journal.close()
    attempt.services.store.remove(attempt.message)
    attempt.log("Completed")
    return DeliverStatus.MUA_FAILED if lost else DeliverStatus.MUA_SUCCEEDED


def _tell_failures(attempt: Attempt, lost: list[Fate]) -> None:
    forced = attempt.deferred if attempt.message.sender_address else lost
    for fate in forced:
        attempt.log(f"** {fate.delivery.address} mua_wrapper forced failure for deferred delivery")
    if lost:
        tell(f"Delivery failed: {_why(lost[0].result)}")


def _why(result: DeliveryResult) -> str:
    import os

    text = os.strerror(result.basic_errno) if result.basic_errno > 0 else ""
    message = result.message
    if message and result.host is not None and result.host.address:
        message = f"H={result.host.name} [{result.host.address}]: {message}"
    return ": ".join(part for part in (text, message) if part)


def tell(text: str) -> None:
    """The submitting user hears it."""
    print(text, file=sys.stderr, flush=True)
