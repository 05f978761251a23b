"""wait-<transport>: which messages wait for which host, so that one connection can take several (Exim spec 48.2, 30).

A host has one record, and more when that is full; the ids in them are hints: the messages may be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.model.interfaces import Hints

CHUNK = 50
"""Ids in one record, as in Exim: an update stays quick however many messages wait."""
MAX_CHUNKS = 200
"""Full records of one host; more messages than they hold are found by queue runs anyway."""


def database(transport: str) -> str:
    """Name of the hints database."""
    return f"wait-{transport}"


def _ids(record: dict[str, Any] | None) -> list[str]:
    found = record.get("ids") if record else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def note_waiting(hints: Hints, transport: str, hosts: Iterable[str], message_id: str) -> None:
    """`message_id` waits for each of `hosts` (their keys)."""
    name = database(transport)
    for host in dict.fromkeys(hosts):
        full: list[dict[str, Any]] = []

        def add(record: dict[str, Any] | None, full: list[dict[str, Any]] = full) -> dict[str, Any] | None:
            full.clear()
            ids, sequence = _ids(record), _sequence(record)
            if message_id in ids or (len(ids) >= CHUNK and sequence >= MAX_CHUNKS):
                return record
            if len(ids) >= CHUNK:
                full.append({"ids": ids, "number": sequence})
                return {"ids": [message_id], "sequence": sequence + 1}
            return {"ids": [*ids, message_id], "sequence": sequence}

        hints.update(name, host, add)
        for record in full:
            hints.put(name, f"{host}:{record['number']}", {"ids": record["ids"], "sequence": 0})


def _sequence(record: dict[str, Any] | None) -> int:
    """How many full records there are beside this one: `host:0`, `host:1`, ..."""
    found = record.get("sequence", 0) if record else 0
    return found if isinstance(found, int) else 0


def next_waiting(
    hints: Hints,
    transport: str,
    host: str,
    current_id: str,
    usable: Callable[[str], bool],
    suits: Callable[[str], bool] = lambda message_id: True,
    limit: int = 500,
) -> tuple[str, bool]:
    """A message that waits for `host`, taken out of the record, or ""; and whether there are more. `usable` tells whether an
    id's message is still there to be delivered, `suits` whether it may go now (if not it waits on); at most `limit` are asked
    about."""
    name = database(transport)
    for _ in range(MAX_CHUNKS + 1):
        if hints.get(name, host) is None:
            return "", False
        chosen, more, sequence = _take(hints, name, host, current_id, usable, suits, limit)
        if chosen or sequence == 0:
            return chosen, more or sequence > 0
        _refill(hints, name, host, sequence - 1)
    return "", False


def _take(
    hints: Hints,
    name: str,
    host: str,
    current_id: str,
    usable: Callable[[str], bool],
    suits: Callable[[str], bool],
    limit: int,
) -> tuple[str, bool, int]:
    """From the record itself: the id, whether it has more, and how many full records there are."""
    found: list[tuple[str, bool, int]] = []

    def take(record: dict[str, Any] | None) -> dict[str, Any] | None:
        ids = [one for one in _ids(record) if one != current_id]
        later: list[str] = []
        sequence, chosen, tried = _sequence(record), "", 0
        while ids and tried < limit and not chosen:
            tried += 1
            one = ids.pop(0)
            if usable(one):
                if suits(one):
                    chosen = one
                else:
                    later.append(one)
        ids = later + ids
        found[:] = [(chosen, bool(ids), sequence)]
        return {"ids": ids, "sequence": sequence} if ids or sequence else None

    hints.update(name, host, take)
    return found[0]


def _refill(hints: Hints, name: str, host: str, number: int) -> None:
    """The record has run out: the last full one takes its place."""
    key = f"{host}:{number}"
    ids = _ids(hints.get(name, key))
    hints.delete(name, key)
    hints.update(name, host, lambda record: {"ids": [*_ids(record), *ids], "sequence": number} if ids or number else None)


def waiting(hints: Hints, transport: str, host: str) -> list[str]:
    """Ids that wait for a host, the full records first."""
    name = database(transport)
    record = hints.get(name, host)
    full = [one for number in range(_sequence(record)) for one in _ids(hints.get(name, f"{host}:{number}"))]
    return full + _ids(record)
