"""`ratelimit`: smoothed rates of anything, by key. Exim spec 44.39 to 44.44.

The rate is an exponential average over the period p: after an interval i with `count` events it is
`(1 - a) * count * p / i + a * rate` with `a = exp(-i / p)`; for an isolated event (the result would be below `count`) it is
`count`. Records of the hints database `ratelimit`: `rate`, `time_stamp`; with `unique=` also the Bloom filter of events seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.acl.bloom import Bloom
from angaros.acl.frame import test
from angaros.config.values import parse_time
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame

_RECEIVING = frozenset(("rcpt", "mail", "predata", "mime", "dkim", "data", "prdr", "notsmtp"))
_MEASURES: dict[str, tuple[str, frozenset[str] | None]] = {
    "per_conn": ("per_conn", None),
    "per_mail": ("per_mail", _RECEIVING),
    "per_byte": ("per_mail", _RECEIVING),
    "per_rcpt": ("per_rcpt", _RECEIVING - {"mail"}),
    "per_addr": ("per_rcpt", frozenset(("rcpt",))),
    "per_cmd": ("per_cmd", None),
}
"""Option: its word in the key, and the points where it may update (None: all). Exim spec 44.40."""
_MODES = {"strict": "strict", "leaky": "leaky", "readonly": "readonly", "noupdate": "readonly"}
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SHORTEST_INTERVAL = 1e-9
"""Two events at one time (or a clock that went back) count as this far apart."""


@dataclass(slots=True)
class _Request:
    limit_text: str = ""
    limit: float = 0.0
    period_text: str = ""
    period: int = 0
    measure: str = ""
    mode: str = ""
    count: float | None = None
    unique: str | None = None
    key: str = ""
    wrong_point: bool = False
    error: str = ""

    def full_key(self) -> str:
        """Key of the record: what changes its meaning is part of it."""
        unique = "unique/" if self.unique is not None else ""
        return f"{self.period_text}/{_MEASURES[self.measure][0]}/{unique}{self.key}"


def ratelimit(frame: Frame, argument: str) -> Outcome:
    """True when the rate of `key` is at or above the limit; sets `$sender_rate`, `$sender_rate_limit`, `$sender_rate_period`."""
    request = _parse(frame, argument)
    if request.error:
        return frame.error(f'error in arguments to "ratelimit" condition: {request.error}')
    _settle(frame, request)
    state = frame.scope.state
    state["sender_rate_limit"], state["sender_rate_period"] = request.limit_text, request.period_text
    key = request.full_key()
    assert request.count is not None
    frame.trace(f"ratelimit condition count={request.count:.0f} {request.limit:.1f}/{key}")
    seen = _known_rates(frame, request)
    rate = seen.get(key)
    if rate is None:
        rate = _measure(frame, request, key)
        if request.mode != "readonly":
            seen[key] = rate
        frame.trace(f"ratelimit computed rate {rate:.1f}")
    else:
        frame.trace(f"ratelimit found pre-computed rate {rate:.1f}")
    state["sender_rate"] = f"{rate:.1f}"
    return test(rate >= request.limit)


def _known_rates(frame: Frame, request: _Request) -> dict[str, float]:
    """Rates that were computed already for this connection, message or command: an event counts once."""
    measure = _MEASURES[request.measure][0]
    if measure == "per_conn":
        known: dict[str, float] = frame.connection.caches.setdefault("ratelimit", {})
    elif measure == "per_mail" or (measure == "per_rcpt" and frame.where != "rcpt"):
        known = frame.effects.caches.setdefault("ratelimit", {})
    else:
        known = frame.state.rates
    return known


def _parse(frame: Frame, argument: str) -> _Request:
    words = [word.strip() for word in argument.split("/")]
    request = _Request(limit_text=words[0], period_text=words[1] if len(words) > 1 else "")
    request.limit = _number(words[0], units=True)
    if request.limit < 0:
        request.error = f'"{words[0]}" is not a positive number'
        return request
    text = request.period_text
    request.period = parse_time(text) if text[-1:].isalpha() else -1
    if request.period <= 0:
        request.error = f'"{text if len(words) > 1 else "NULL"}" is not a time value'
        return request
    for number, word in enumerate(words[2:], 2):
        if not word:
            continue
        if not _take_option(frame, request, word):
            request.key = "/".join(words[number:])
            break
        if request.error:
            return request
    if request.wrong_point and request.mode in ("strict", "leaky"):
        word = _MEASURES[request.measure][0]
        request.error = f'"{word}" must not have /leaky or /strict option, or cannot be used in {frame.point} ACL'
    return request


def _take_option(frame: Frame, request: _Request, word: str) -> bool:
    """False when it is the key."""
    lowered = word.lower()
    if lowered in _MEASURES:
        if request.measure:
            request.error = "conflicting per_* options"
        request.measure = lowered
        points = _MEASURES[lowered][1]
        request.wrong_point = points is not None and frame.where not in points
    elif lowered in _MODES:
        if request.mode:
            request.error = "conflicting update modes"
        request.mode = _MODES[lowered]
    elif lowered.startswith("count="):
        request.count = _number(word[6:] or "0")
        if request.count < 0:
            request.error = f'"{word}" is not a positive number'
    elif lowered.startswith("unique="):
        request.unique = word[7:]
    else:
        return False
    return True


def _settle(frame: Frame, request: _Request) -> None:
    """Defaults. Exim spec 44.40, 44.41."""
    request.measure = request.measure or "per_mail"
    if request.wrong_point:
        request.mode = "readonly"
    request.mode = request.mode or "leaky"
    request.key = request.key or frame.session.sender_host_address
    if request.measure == "per_addr" and request.unique is None:
        request.unique = f"{frame.delivery.local_part}@{frame.delivery.domain}" if frame.where == "rcpt" else ""
    if request.mode == "readonly":
        request.count = 0.0
    elif request.count is None:
        request.count = 1.0
        if request.measure == "per_byte":
            request.count = float(max(frame.message.message_size, 0))
        elif request.measure == "per_rcpt" and frame.where != "rcpt":
            request.count = float(len(frame.message.recipients))


def _measure(frame: Frame, request: _Request, key: str) -> float:
    """Compute the rate and update the record, in one transaction unless nothing is to be written."""
    hints = frame.scope.services.hints
    now = frame.scope.services.clock.now()
    if request.mode == "readonly":
        rate, _ = _compute(frame, request, hints.get("ratelimit", key), now)
        frame.trace("ratelimit db not updated: readonly mode")
        return rate
    result: list[float] = []

    def change(record: dict[str, Any] | None) -> dict[str, Any] | None:
        rate, updated = _compute(frame, request, record, now)
        result.append(rate)
        if request.mode == "strict" or rate < request.limit:
            frame.trace("ratelimit db updated")
            return updated
        frame.trace("ratelimit db not updated: over the limit, but leaky")
        return record

    hints.update("ratelimit", key, change)
    if not result:  # the database cannot be used: measure this event alone
        result.append(_compute(frame, request, None, now)[0])
    return result[-1]


def _compute(frame: Frame, request: _Request, record: dict[str, Any] | None, now: float) -> tuple[float, dict[str, Any]]:
    count = request.count or 0.0
    updated: dict[str, Any] = {}
    if record is not None:
        frame.trace("ratelimit found key in database")
    elif request.unique is None:
        frame.trace("ratelimit creating new rate data block")
    if request.unique is not None:
        count = _count_unique(frame, request, record, updated, now)
    if record is None or "rate" not in record:
        frame.trace("ratelimit initializing new key's rate data")
        rate = count
    else:
        interval = max(now - float(record["time_stamp"]), _SHORTEST_INTERVAL) / request.period
        fading = math.exp(-interval)
        rate = (1 - fading) * count / interval + fading * float(record["rate"])
        rate = max(rate, count)
    updated.update(rate=rate, time_stamp=now)
    return rate, updated


def _count_unique(frame: Frame, request: _Request, record: dict[str, Any] | None, updated: dict[str, Any], now: float) -> float:
    """The count if the event is new in this period, else 0. Exim spec 44.43."""
    assert request.unique is not None
    bloom = Bloom.load(record.get("bloom") if record else None, int(request.limit))
    started = float(record.get("bloom_epoch", now)) if record else now
    if record is not None and (bloom is None or now - started > request.period):
        frame.trace("ratelimit discarding old Bloom filter")
        bloom = None
    if bloom is None:
        frame.trace("ratelimit creating new Bloom filter")
        bloom, started = Bloom.empty(int(request.limit)), now
    new = False
    if request.mode != "readonly":
        frame.trace(f"ratelimit checking uniqueness of {request.unique}")
        new = bloom.add(request.unique)
        frame.trace(f"ratelimit event {'added to' if new else 'found in'} Bloom filter")
    updated.update(bloom=bloom.dump(), bloom_epoch=started)
    return (request.count or 0.0) if new else 0.0


def _number(text: str, *, units: bool = False) -> float:
    """A number without sign, maybe with K, M, G; -1 for anything else."""
    factor = _UNITS.get(text[-1:].lower(), 1) if units else 1
    digits = text[:-1] if factor > 1 else text
    if not digits or not all(c.isdigit() or c == "." for c in digits) or not digits.isascii():
        return -1.0
    try:
        return float(digits) * factor
    except ValueError:
        return -1.0
