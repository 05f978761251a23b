"""From the message's recipients to the addresses of this attempt. Exim spec 3.13."""

from __future__ import annotations

from angaros.delivery.attempt import Attempt, Fate
from angaros.delivery.deliver_by import EXPIRED, EXPIRED_STATUS, is_expired
from angaros.delivery.done import mark_done
from angaros.delivery.settle import fail, routing_result
from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import Why
from angaros.model.events import delivery_event
from angaros.model.message import Recipient
from angaros.model.text import taint
from angaros.routers.address import new_delivery

TOO_MANY_RECEIVED = 'Too many "Received" headers - suspected mail loop'


def take_recipients(attempt: Attempt, failure: str = "") -> None:
    """Queue every recipient that is not done; with `failure` each fails with that text."""
    message = attempt.message
    fault, status = ("", "") if failure else _fault(attempt)
    turned = attempt.options.turned
    for number, recipient in enumerate(message.recipients):
        delivery = delivery_for(attempt, recipient, number)
        if delivery.unique in message.non_recipients:
            continue
        if turned is not None and delivery.domain not in turned.domains:
            result = DeliveryResult("defer", message="not for this ATRN client", basic_errno=Why.LOCAL_ONLY)
            attempt.deferred.insert(0, Fate(delivery, result))
            continue
        if failure and message.is_bounce:
            mark_done(attempt, delivery)  # bounces are just dropped
        elif failure:
            delivery.message = failure
            delivery.user_message = "" if attempt.options.give_up else failure
            result = routing_result(delivery, "fail")
            attempt.failed.insert(0, Fate(delivery, result))  # logged already
            if attempt.services.config.main.event_action:
                delivery_event("msg:fail:internal", failure, attempt.scope, delivery, result)
        elif fault:
            delivery.message = delivery.user_message = fault
            result = routing_result(delivery, "fail")
            result.dsn_status = status
            fail(attempt, delivery, result)
        else:
            attempt.new.append(delivery)


def _fault(attempt: Attempt) -> tuple[str, str]:
    """Why no recipient can be delivered to: text and status code, "" for none or the usual one."""
    if _is_looping(attempt):
        return TOO_MANY_RECEIVED, ""
    return (EXPIRED, EXPIRED_STATUS) if is_expired(attempt) else ("", "")


def delivery_for(attempt: Attempt, recipient: Recipient, number: int) -> Delivery:
    """The delivery of an envelope recipient."""
    delivery = new_delivery(taint(recipient.address))
    delivery.recipient_number = number
    if recipient.errors_to:
        delivery.props.errors_to = recipient.errors_to
    if 0 <= recipient.parent < len(attempt.message.recipients):
        delivery.onetime_parent = attempt.message.recipients[recipient.parent].address
    delivery.dsn_flags = recipient.dsn_flags
    delivery.orcpt = recipient.orcpt
    return delivery


def _is_looping(attempt: Attempt) -> bool:
    """More `Received:` lines than `received_headers_max`. RFC 5321 6.3."""
    count = sum(1 for header in attempt.message.headers if header.kind == "P")
    return count > int(attempt.services.config.main.received_headers_max)
