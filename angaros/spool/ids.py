"""Message ids: `tttttt-ppppppppppp-ssss`, the form of Exim 4.97 (time, process, fraction of the second, all in base 62).

The older form `tttttt-pppppp-ss` is recognised everywhere. Laws: an id is never given twice, also not by processes on several
hosts that share a spool and have different `localhost_number`s (Exim spec 3.4).
"""

from __future__ import annotations

import os
import re

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}

ID_LENGTH = 23
OLD_ID_LENGTH = 16
_ID = re.compile(r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{11}-[0-9A-Za-z]{4}|[0-9A-Za-z]{6}-[0-9A-Za-z]{2})")

_is_id = _ID.fullmatch


def base62(value: int, width: int) -> str:
    """`value` in base 62 with leading zeros."""
    out = []
    for _ in range(width):
        value, digit = divmod(value, 62)
        out.append(DIGITS[digit])
    return "".join(reversed(out))


def from_base62(text: str) -> int:
    """The number that base-62 digits stand for. Raises KeyError for other characters."""
    value = 0
    for digit in text:
        value = value * 62 + _VALUES[digit]
    return value


def is_message_id(text: str) -> bool:
    """Whether `text` looks like a message id, old form or new."""
    return _is_id(text) is not None


def id_time(message_id: str) -> int:
    """Seconds since the epoch at which reception began."""
    return from_base62(message_id[:6])


def arrival_order(message_id: str) -> tuple[str, str, str]:
    """A key that sorts ids by the time of reception, whichever process gave them."""
    return message_id[:6], message_id.rpartition("-")[2], message_id


class IdMaker:
    """Gives ids. One exists in each process (it notices a fork)."""

    __slots__ = ("_host", "_last", "_pid", "_pid_text", "_resolution", "_short")

    def __init__(self, localhost_number: int | None = None, *, short: bool = False) -> None:
        """`short`: ids of Exim 4.96 and earlier (our option `short_message_ids`)."""
        # Two microseconds a step leave room for 17 hosts in four digits; in two digits 0.5 ms, or 5 ms with hosts.
        self._resolution = (500 if localhost_number is None else 5000) if short else (1 if localhost_number is None else 2)
        self._short = short
        self._host = 0 if localhost_number is None else localhost_number * (1_000_000 // self._resolution)
        self._last = (0, 0)
        self._pid = -1
        self._pid_text = ""

    def new(self, now: float) -> str:
        """An id for a message whose reception began at `now`."""
        pid = os.getpid()
        if pid != self._pid:
            self._pid, self._pid_text = pid, base62(pid, 6 if self._short else 11)
        second = int(now)
        step = int((now - second) * 1_000_000) // self._resolution
        if (second, step) <= self._last:
            second, step = self._last
            step += 1
            if step >= 1_000_000 // self._resolution:
                second, step = second + 1, 0
        self._last = (second, step)
        return f"{base62(second, 6)}-{self._pid_text}-{base62(self._host + step, 2 if self._short else 4)}"
