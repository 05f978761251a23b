"""`seen`: was this met before? Exim spec 44.38. The hints database `seen` keeps one time stamp for each key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.acl.frame import test
from angaros.config.values import parse_time
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame

DEFAULT_REFRESH = 10 * 86400


@dataclass(slots=True)
class _Request:
    before: bool = False
    """The interval had a minus sign: true for a record from before the test time."""
    interval: int = 0
    key: str | None = None
    mode: str = ""
    refresh: int = DEFAULT_REFRESH


def seen(frame: Frame, argument: str) -> Outcome:
    """Compare the key's time stamp with now minus the interval, then create or update it."""
    request = _parse(frame, argument)
    if request is None:
        return Outcome.ERROR
    services = frame.scope.services
    key = request.key if request.key is not None else frame.session.sender_host_address
    now = services.clock.now()
    record = services.hints.get("seen", key)
    stamp = float(record["time_stamp"]) if record is not None else None
    found = stamp is not None and (stamp < now - request.interval if request.before else stamp >= now - request.interval)
    _write(frame, request, key, stamp, now)
    return test(found)


def _write(frame: Frame, request: _Request, key: str, stamp: float | None, now: float) -> None:
    if request.mode == "readonly":
        frame.trace("seen db not written (readonly)")
        return
    hints = frame.scope.services.hints
    when, action = now, ""
    if stamp is None:
        action = "create"
    elif request.mode == "write" or not request.before:
        action = "update"
    elif stamp < now - request.interval and stamp + request.refresh < now:
        when, action = now - request.interval, "refresh"
    if not action:
        frame.trace("seen db not written")
        return
    hints.put("seen", key, {"time_stamp": when})
    frame.trace(f"seen db written ({action})")


def _parse(frame: Frame, argument: str) -> _Request | None:
    request = _Request()
    words = [word.strip() for word in argument.split("/")]
    first = words[0]
    if first.startswith("-"):
        request.before = True
        first = first[1:]
    request.interval = _time(first)
    if request.interval < 0:
        frame.log_message = f"failed to parse '{argument}'"
        return None
    for word in words[1:]:
        if not _option(request, word):
            known = word.startswith("refresh=")
            frame.log_message = f"failed to parse '{argument}'" if known else f"unrecognised option '{word}' in '{argument}'"
            return None
    return request


def _option(request: _Request, word: str) -> bool:
    if word.startswith("key="):
        request.key = word[4:]
    elif word in ("readonly", "write"):
        request.mode = word
    elif word.startswith("refresh="):
        request.refresh = _time(word[8:])
        return request.refresh >= 0
    elif word:
        return False
    return True


def _time(text: str) -> int:
    """Seconds; -1 unless each number has its unit."""
    return parse_time(text) if text[-1:].isalpha() else -1
