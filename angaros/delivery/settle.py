"""What becomes of an address: log lines, records, lists. Exim spec 3.13, 53.

Each outcome of a router or transport comes through here exactly once per attempt (`succeed`, `defer`, `fail`).
"""

from __future__ import annotations

import os

from angaros.delivery.attempt import Attempt, Fate
from angaros.delivery.done import journal, mark_done
from angaros.logs import lines
from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import Why
from angaros.model.events import action_of, delivery_event
from angaros.routers.assign import REMOTE_DRIVERS


def settle(attempt: Attempt, delivery: Delivery, result: DeliveryResult, flag: str = "=>", shadow: str = "") -> None:
    """Act on a transport's result."""
    if result.status == "ok":
        succeed(attempt, delivery, result, flag, shadow)
    elif result.status == "fail" or (result.status == "defer" and attempt.options.mua_wrapper):
        fail(attempt, delivery, result)
    else:
        defer(attempt, delivery, result)


def routing_result(delivery: Delivery, status: str) -> DeliveryResult:
    """A result for something that never reached a transport."""
    return DeliveryResult(
        status=status,
        message=delivery.message,
        user_message=delivery.user_message,
        basic_errno=delivery.basic_errno or (Why.UNKNOWN if status != "ok" else 0),
        more_errno=delivery.more_errno,
        special_action=delivery.special_action,
    )


def quiet(attempt: Attempt, delivery: Delivery) -> bool:
    """`disable_logging` on the router or transport. Exim spec 15, 24."""
    config = attempt.services.config
    transport = config.transports.get(delivery.transport) if delivery.transport else None
    if transport is not None and transport.options.disable_logging:
        return True
    from angaros.routers.chain import prepared

    router = prepared(attempt.services, delivery.router) if delivery.router else None
    return router is not None and bool(router.options.disable_logging)


def succeed(attempt: Attempt, delivery: Delivery, result: DeliveryResult, flag: str = "=>", shadow: str = "") -> None:
    """Delivered, or discarded on purpose."""
    attempt.succeeded.insert(0, Fate(delivery, result))
    _count(attempt, delivery, "delivered")
    if delivery.transport:
        transport = "**bypassed**" if delivery.extra.get("bypassed") else delivery.transport
        via = f" <{delivery.parent.address}>" if delivery.parent is not None else ""
        attempt.msglog.append(f"{delivery.address}{via}: {transport} transport succeeded")
    journal(attempt, mark_done(attempt, delivery))
    if not quiet(attempt, delivery):
        how, shown = _appearance(attempt, delivery, result, shadow), delivery
        if attempt.options.mua_wrapper:
            from angaros.delivery.mua import as_sent

            shown, how.sender = as_sent(delivery, result)
        attempt.log(lines.delivery_line(flag, shown, result, attempt.message, attempt.services.log, how))
    if delivery.transport and action_of(attempt.scope, delivery.transport):
        delivery_event("msg:delivery", result.smtp_response, attempt.scope, delivery, result)


def _count(attempt: Attempt, delivery: Delivery, outcome: str) -> None:
    attempt.services.metrics.add("deliveries_total", delivery.transport or "none", outcome)


def _appearance(attempt: Attempt, delivery: Delivery, result: DeliveryResult, shadow: str = "") -> lines.Attempt:
    return lines.Attempt(
        shadow=shadow,
        sequence=result.sequence,
        return_path=result.return_path if delivery.transport else None,
        dkim=result.dkim,
        startup=result.startup,
        now=attempt.services.clock.now(),
        top_bit=attempt.services.config.main.print_topbitchars,
    )


def defer(attempt: Attempt, delivery: Delivery, result: DeliveryResult, kind: str = "", *, panic: bool = False) -> None:
    """Left for later. `kind`: word before `defer` in the log when no driver is named (`routing`)."""
    attempt.deferred.insert(0, Fate(delivery, result))
    _count(attempt, delivery, "deferred")
    if result.special_action == "freeze":
        attempt.frozen_now = True
    if attempt.options.first_pass and delivery.transport:
        return
    log = attempt.services.log
    text = lines.defer_line(delivery, result, attempt.message, log, _appearance(attempt, delivery, result))
    if kind and not delivery.router:
        text = text.replace(" defer (", f" {kind} defer (", 1)
    if not result.message and delivery.extra.get("pass_message"):
        text += ": "
    selector = lines.defer_selector(result)
    if not quiet(attempt, delivery):
        attempt.log(text, selector=selector, panic=panic or result.status == "panic")
    if not selector or attempt.message.first_delivery:  # Exim spec 53.15, retry_defer
        attempt.msglog.append(text.removeprefix("== "))
    if delivery.transport and not is_remote(attempt, delivery) and action_of(attempt.scope, delivery.transport):
        delivery_event("msg:rcpt:defer", result.message or _strerror(result), attempt.scope, delivery, result)


def is_remote(attempt: Attempt, delivery: Delivery) -> bool:
    """Whether its transport talks to hosts: then the transport itself raises the events of deferral."""
    transport = attempt.services.config.transports.get(delivery.transport)
    return transport is not None and transport.driver in REMOTE_DRIVERS


def _strerror(result: DeliveryResult) -> str:
    return os.strerror(result.basic_errno) if result.basic_errno > 0 else ""


def fail(attempt: Attempt, delivery: Delivery, result: DeliveryResult) -> None:
    """Failed for good: a bounce will tell."""
    attempt.failed.insert(0, Fate(delivery, result))
    _count(attempt, delivery, "failed")
    if not delivery.transport and attempt.services.config.main.event_action:
        delivery_event("msg:fail:internal", result.message, attempt.scope, delivery, result)
    text = lines.failure_line(delivery, result, attempt.message, attempt.services.log, _appearance(attempt, delivery, result))
    if not quiet(attempt, delivery):
        attempt.log(text)
    if delivery.transport or delivery.router:
        attempt.msglog.append(text.removeprefix("** "))
    else:
        attempt.msglog.append(
            f"routing failed for {lines.address_text(delivery, attempt.services.log, success=False)} : {result.message}"
        )
    if delivery.transport and action_of(attempt.scope, delivery.transport):
        delivery_event("msg:fail:delivery", result.message, attempt.scope, delivery, result)
