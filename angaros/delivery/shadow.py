"""Shadow transports: a local transport that also gets what another one delivered. Exim spec 24, shadow_transport."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from angaros.delivery.attempt import Attempt
from angaros.delivery.environment import EnvironmentFault, prepare
from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import ExpansionError
from angaros.transports import registry

_FALSE = frozenset({"", "0", "no", "false"})


def run(attempt: Attempt, instance: Any, batch: list[Delivery], results: list[DeliveryResult]) -> str:
    """Run the shadow of `instance` for what it delivered; its name if it ran, else "". A failure is only noted in the results."""
    name = instance.options.shadow_transport
    done = [number for number, result in enumerate(results) if result.status == "ok"]
    if not name or not done or attempt.message.dont_deliver or not _wanted(attempt, instance, batch[done[0]]):
        return ""
    shadow = attempt.services.config.transports.get(name)
    if shadow is None:
        return ""
    copies = [replace(batch[number], transport=name) for number in done]
    try:
        outcomes = registry.deliver_local(shadow, copies, prepare(attempt, shadow, copies))
    except EnvironmentFault as fault:
        outcomes = [DeliveryResult(fault.status, message=str(fault), basic_errno=fault.errno) for _ in copies]
    for number, outcome in zip(done, outcomes, strict=True):
        if outcome.status != "ok":
            results[number].shadow_message = _problem(outcome)  # the delivery's own log line tells it (ST=)
    return str(name)


def _problem(outcome: DeliveryResult) -> str:
    if outcome.basic_errno > 0:
        text = os.strerror(outcome.basic_errno)
        return f"{text}: {outcome.message}" if outcome.message else text
    return outcome.message or "unknown error"


def _wanted(attempt: Attempt, instance: Any, delivery: Delivery) -> bool:
    condition = instance.options.shadow_condition
    if condition is None:
        return True
    try:
        return attempt.scope.child(delivery).expand(condition).strip().lower() not in _FALSE
    except ExpansionError as error:
        attempt.log(f'failed to expand shadow_condition "{condition}" for {instance.name} transport: {error}', panic=True)
        return False
