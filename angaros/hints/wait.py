"""wait-<transport>: which messages wait for which host, so that one connection can take several (Exim spec 48.2, 30).

A host has one record; the ids in it are hints: the messages may be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.model.interfaces import Hints

MAX_WAITING = 500
"""Ids kept for one host: more would make each update slow, and are found by queue runs anyway."""


def database(transport: str) -> str:
    """Name of the hints database."""
    return f"wait-{transport}"


def _ids(record: dict[str, Any] | None) -> list[str]:
    found = record.get("ids") if record else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def note_waiting(hints: Hints, transport: str, hosts: Iterable[str], message_id: str) -> None:
    """`message_id` waits for each of `hosts` (their names)."""

    def add(record: dict[str, Any] | None) -> dict[str, Any] | None:
        ids = _ids(record)
        if message_id not in ids and len(ids) < MAX_WAITING:
            ids.append(message_id)
        return {"ids": ids}

    for host in dict.fromkeys(hosts):
        hints.update(database(transport), host, add)


def next_waiting(
    hints: Hints, transport: str, host: str, current_id: str, usable: Callable[[str], bool], limit: int = MAX_WAITING
) -> tuple[str, bool]:
    """A message that waits for `host`, taken out of the record, or ""; and whether there are more. `usable` tells whether an
    id's message is still there to be delivered."""
    chosen = [""]
    more = [False]

    def take(record: dict[str, Any] | None) -> dict[str, Any] | None:
        ids = [one for one in _ids(record) if one != current_id]
        tried = 0
        while ids and tried < limit:
            tried += 1
            one = ids.pop(0)
            if usable(one):
                chosen[0] = one
                break
        more[0] = bool(ids)
        return {"ids": ids} if ids else None

    if hints.get(database(transport), host) is not None:
        hints.update(database(transport), host, take)
    return chosen[0], more[0]


def waiting(hints: Hints, transport: str, host: str) -> list[str]:
    """Ids that wait for a host."""
    return _ids(hints.get(database(transport), host))
