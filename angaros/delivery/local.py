"""Local deliveries: one address, or a batch, at a time, before any remote ones. Exim spec 3.13, 23, 25.

The transport does the delivery (through the courier, as the right user); here is decided as whom, where and what is batched.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from angaros.delivery import parallel, retrying, shadow
from angaros.delivery.attempt import Attempt
from angaros.delivery.batches import take_batch
from angaros.delivery.environment import EnvironmentFault, prepare, show_debug_print
from angaros.delivery.settle import settle
from angaros.delivery.size import size_fault
from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import Why
from angaros.transports import registry

HERE = "local delivery"
"""In place of a host: of slow local deliveries, too, only some are let off (`delivery.crowd`)."""


def deliver_local(attempt: Attempt) -> None:
    """Deliver all of `attempt.local`."""
    while attempt.local:
        batch = take_batch(attempt)
        attempt.open_count = len(batch)
        ready = [delivery for delivery in batch if _may_try(attempt, delivery)]
        if ready:
            with attempt.services.run.talking(attempt.message.id, HERE):
                _deliver_batch(attempt, ready)
        attempt.open_count = 0


def _may_try(attempt: Attempt, delivery: Delivery) -> bool:
    if retrying.may_deliver_locally(attempt, delivery):
        return True
    _settle_one(attempt, delivery, DeliveryResult("defer", message="Retry time not yet reached", basic_errno=Why.LOCAL_RETRY))
    return False


def _settle_one(attempt: Attempt, delivery: Delivery, result: DeliveryResult, flag: str = "=>", shadowed: str = "") -> None:
    attempt.open_count -= 1
    settle(attempt, delivery, result, flag, shadowed)


def _deliver_batch(attempt: Attempt, batch: list[Delivery]) -> None:
    instance = attempt.services.config.transports[batch[0].transport]
    results = _results(attempt, instance, batch)
    shadowed = shadow.run(attempt, instance, batch, results)
    first = True
    for delivery, result in zip(batch, results, strict=True):
        if result.basic_errno != Why.CONCURRENCY and not result.detail.get("no_retry"):
            retrying.note_local(attempt, delivery, result)
        flag = "*>" if attempt.message.dont_deliver else "=>" if first else "->"
        first = first and result.status != "ok"
        _settle_one(attempt, delivery, result, flag, shadowed)


def _results(attempt: Attempt, instance: Any, batch: list[Delivery]) -> list[DeliveryResult]:
    """One result for each address."""
    try:
        scope = prepare(attempt, instance, batch)
    except EnvironmentFault as fault:
        if fault.panic:
            attempt.log(str(fault), panic=True)
        return [DeliveryResult(fault.status, message=str(fault), basic_errno=fault.errno) for _ in batch]
    show_debug_print(instance, scope)
    refusal = size_fault(attempt, instance, scope)
    if refusal is not None:
        return [replace(refusal, detail={"no_retry": True}) for _ in batch]
    if attempt.message.dont_deliver:
        return [DeliveryResult("ok") for _ in batch]
    with parallel.slot(attempt, instance, scope) as free:
        if not free:
            text = "concurrency limit reached for transport"
            return [DeliveryResult("defer", message=text, basic_errno=Why.CONCURRENCY) for _ in batch]
        return _call(attempt, instance, batch, scope)


def _call(attempt: Attempt, instance: Any, batch: list[Delivery], scope: Any) -> list[DeliveryResult]:
    started = attempt.services.clock.now()
    results: list[DeliveryResult] = registry.deliver_local(instance, batch, scope)
    finished = attempt.services.clock.now()
    for result in results:
        result.started = result.started or started
        result.finished = result.finished or finished
        result.return_path = result.return_path or scope.local.get("return_path", "")
    return results
