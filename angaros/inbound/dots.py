"""A line with a single dot ends a local message (not with -i). Exim spec 5.3, -oi; 48.2: CR dot CR does not."""

from __future__ import annotations

import re

_END = re.compile(rb"(?:(?<=\n)|\A)\.\r?\n")
_MAYBE = (b"\n.\r", b"\n.", b"\n")


class DotEnd:
    """Passes octets on until the dot."""

    __slots__ = ("active", "ended", "_held", "_first")

    def __init__(self, active: bool) -> None:
        self.active = active
        self.ended = False
        self._held = b""
        self._first = True

    def feed(self, data: bytes) -> bytes:
        """What may be passed on."""
        if not self.active:
            return data
        data = self._held + data
        self._held = b""
        match = _END.search(data) if self._first else _END.search(data, 1)
        if match is not None:
            self.ended = True
            return data[: match.start()] if self._first else data[1 : match.start()]
        return self._hold(data)

    def _hold(self, data: bytes) -> bytes:
        """Keep what may be the beginning of the end; later calls see the newline before it again."""
        start = 0 if self._first else 1
        if self._first and data in (b".", b".\r"):
            self._held = data
            return b""
        tail = next((t for t in _MAYBE if data.endswith(t)), b"")
        if tail:
            self._held = tail
            out = data[start : len(data) - len(tail) + 1]
            self._first = False
            return out
        self._first = False
        self._held = data[-1:]
        return data[start:]

    def rest(self) -> bytes:
        """At the end of input: what was held back; a final dot without a newline is text."""
        held = self._held if self._first else self._held[1:]
        self._held = b""
        return held
