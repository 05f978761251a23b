"""The end of an attempt: hints, bounces, warnings, freezing, and what the spool keeps. Exim spec 3.7, 3.13 to 3.17.

Order, as in Exim's log: retry hints (time-outs become failures), success notices, bounces, `Completed`; or warnings, freezing and
the new -H file.
"""

from __future__ import annotations

from angaros.delivery import bounces, freezing, notices, retrying, warnings
from angaros.delivery.attempt import Attempt, Fate
from angaros.delivery.options import DeliverStatus
from angaros.logs import lines
from angaros.model.events import action_of, delivery_event, raise_event
from angaros.model.message import Recipient

RETRY_TIMEOUT = "retry timeout exceeded"


def finish(attempt: Attempt) -> DeliverStatus:
    """Conclude the attempt."""
    if attempt.options.mua_wrapper:
        from angaros.delivery.mua import finish_mua

        return finish_mua(attempt)
    retrying.update_hints(attempt)
    fail_timed_out(attempt)
    if attempt.options.give_up:
        _give_up(attempt)
    notices.send_success_notices(attempt)
    notices.send_relayed_notices(attempt)
    bounces.send_bounces(attempt)
    if attempt.deferred or attempt.message.frozen:
        return _keep(attempt)
    return _complete(attempt)


def fail_timed_out(attempt: Attempt) -> None:
    """Addresses whose retry time has run out: failed after all."""
    for fate in attempt.extra.pop("timed_out", ()):
        delivery = fate.delivery
        original = delivery.onetime_parent or delivery.root().address
        shown = f" <{original}>" if original != delivery.address else ""
        text = f"** {delivery.address}{shown}: {RETRY_TIMEOUT}"
        attempt.log(text)
        attempt.msglog.append(text)
        delivery.timed_out = True
        for name in ("message", "user_message"):
            said = getattr(fate.result, name)
            setattr(fate.result, name, f"{said}: {RETRY_TIMEOUT}" if said else RETRY_TIMEOUT)
        attempt.failed.insert(0, Fate(delivery, fate.result))
        if action_of(attempt.scope, delivery.transport):
            name, data = (
                ("msg:fail:delivery", fate.result.message) if delivery.transport else ("msg:fail:internal", RETRY_TIMEOUT)
            )
            delivery_event(name, data, attempt.scope, delivery, fate.result)


def _give_up(attempt: Attempt) -> None:
    """-Mg: no more attempts."""
    for fate in attempt.deferred:
        fate.result.message = fate.result.message or "delivery cancelled by administrator"
        attempt.failed.append(fate)
    attempt.deferred = []


def _complete(attempt: Attempt) -> DeliverStatus:
    """S7: nothing is left."""
    services, message = attempt.services, attempt.message
    attempt.msglog.discard() if not services.config.main.preserve_message_logs else attempt.msglog.flush()
    if attempt.journal is not None:
        attempt.journal.close()
    services.store.remove(message)
    services.metrics.add("messages_completed_total")
    attempt.log(lines.completed_line(message, services.clock.now(), services.log))
    if services.config.main.event_action:
        raise_event(services.config.main.event_action, "msg:complete", "", attempt.scope)
    return DeliverStatus.COMPLETED


def _keep(attempt: Attempt) -> DeliverStatus:
    """S6: something stays in the queue."""
    message = attempt.message
    _keep_one_time(attempt)
    warnings.warn_of_delay(attempt)
    if message.deliver_firsttime:
        message.deliver_firsttime = False
        attempt.update_spool = True
    if attempt.frozen_now and not message.frozen:
        freezing.freeze(attempt)
    attempt.msglog.flush()
    if attempt.journal is not None:
        attempt.journal.close()
        attempt.update_spool = True
    if attempt.update_spool:
        attempt.services.store.update(message)
    return DeliverStatus.KEPT


def _keep_one_time(attempt: Attempt) -> None:
    """`one_time`: what redirection generated becomes a recipient, and the address it came from is done. Exim spec 22.10."""
    message = attempt.message
    for fate in reversed(attempt.deferred):
        delivery = fate.delivery
        if not delivery.onetime_parent or delivery.parent is None:
            continue
        if delivery.is_pipe or delivery.is_file or delivery.is_autoreply:
            continue
        number = delivery.recipient_number
        if any(recipient.address == delivery.address for recipient in message.recipients):
            parent_done = True
        else:
            message.recipients.append(
                Recipient(delivery.address, delivery.props.errors_to, delivery.dsn_flags, delivery.orcpt, parent=number)
            )
            parent_done = True
        if parent_done:
            message.non_recipients.add(delivery.root().unique)
            attempt.update_spool = True
