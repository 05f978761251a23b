"""`max_parallel`: how many deliveries of a transport run at a time, over all processes. Exim spec 24."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from angaros.delivery.attempt import Attempt
from angaros.expand.conditions.compare import integer
from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope

STALE = 6 * 3600
"""A count that old was left behind by a crash; Exim's own limit."""


@contextmanager
def slot(attempt: Attempt, instance: Any, scope: Scope) -> Iterator[bool]:
    """Whether a delivery may run now; the slot is given back at the end."""
    text = instance.options.max_parallel
    limit = _limit(attempt, instance, scope, text) if text is not None else 0
    if limit <= 0:
        yield True
        return
    key = f"tpt-serialize-{instance.name}"
    if not enter(attempt.services, key, limit):
        yield False
        return
    try:
        yield True
    finally:
        leave(attempt.services, key)


def _limit(attempt: Attempt, instance: Any, scope: Scope, text: str) -> int:
    try:
        return integer(scope.expand(text))
    except ExpansionError as error:
        attempt.log(f"Failed to expand max_parallel option in {instance.name} transport ({text}): {error}", panic=True)
        return 1


def enter(services: Any, key: str, limit: int) -> bool:
    """Count one more under `key` unless there are `limit` already."""
    now = services.clock.now()
    entered = False

    def change(record: dict[str, Any] | None) -> dict[str, Any] | None:
        nonlocal entered
        count = int(record.get("count", 0)) if record and now - float(record.get("time", 0)) < STALE else 0
        entered = count < limit
        return {"count": count + 1, "time": now} if entered else record

    services.hints.update("misc", key, change)
    return entered


def leave(services: Any, key: str) -> None:
    """Count one less."""

    def change(record: dict[str, Any] | None) -> dict[str, Any] | None:
        count = int(record.get("count", 0)) - 1 if record else 0
        return {"count": count, "time": services.clock.now()} if count > 0 else None

    services.hints.update("misc", key, change)
