"""Debugging output: `-v`, `-d`, `-bh` and the like, on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from typing import TextIO

from angaros.model.record import dataclass

HELD_PIECES = 100_000
"""Pieces of output that are held back at most, whatever size was asked for."""
LINE_LIMIT = 2001
"""Octets of one line."""
BAR = "\xe2\x95\x8e"
"""The octets of U+254E: drawn in each fourth column of the indentation."""
ASCII_BAR = "|"
"""The same with `-d+noutf8`."""


SELECTORS = frozenset(
    {
        "acl",
        "all",
        "auth",
        "deliver",
        "dns",
        "dnsbl",
        "exec",
        "expand",
        "filter",
        "hints_lookup",
        "host_lookup",
        "ident",
        "interface",
        "lists",
        "load",
        "local_scan",
        "lookup",
        "memory",
        "noutf8",
        "pid",
        "process_info",
        "queue_run",
        "receive",
        "resolver",
        "retry",
        "rewrite",
        "route",
        "timestamp",
        "tls",
        "transport",
        "uid",
        "verify",
    }
)
"""Debugging selectors (Exim spec 5.3, -d)."""
NOT_BY_DEFAULT = frozenset(
    {"filter", "interface", "load", "local_scan", "memory", "noutf8", "pid", "resolver", "timestamp", "all"}
)
"""Selectors that a plain -d leaves off."""


def parse_selectors(text: str) -> frozenset[str]:
    """The selectors of -d: `""`, `+all`, `-all+route`. Raises ValueError for an unknown one."""
    chosen = set(SELECTORS - NOT_BY_DEFAULT)
    sign, name = "", ""
    for char in text + "+":
        if char not in "+-":
            name += char
            continue
        name = name.strip()
        if sign and name == "all":
            chosen = set(SELECTORS) if sign == "+" else set()
        elif sign and name in SELECTORS:
            (chosen.add if sign == "+" else chosen.discard)(name)
        elif sign or name:
            raise ValueError(f"unknown debug_selector setting: {sign}{name}")
        sign, name = char, ""
    return frozenset(chosen | {"v"})


@dataclass(slots=True)
class Debug:
    """What is shown and how. One exists in each LogWriter; the command line switches it."""

    selectors: frozenset[str] = frozenset()
    """Names of `-d` selectors that are on; `v` is `-v`."""
    host_checking: bool = False
    """-bh: lines that explain decisions are shown, after `>>> `."""
    stream: TextIO | None = None
    """None: stderr, as it is then."""

    waiting: deque[str] | None = None
    """Output that waits for `trigger`; None when nothing is held back."""
    room: int = 0
    on_panic: bool = False

    def hold(self, octets: int, *, on_panic: bool) -> None:
        """Keep output back, the newest `octets` of it (-dp), until `trigger`."""
        self.waiting, self.room, self.on_panic = deque(maxlen=HELD_PIECES), octets, on_panic

    def trigger(self) -> None:
        """Show what waits; from now on output goes out at once."""
        waiting, self.waiting = self.waiting, None
        if waiting:
            self.raw("".join(waiting))

    def _keep(self, text: str) -> None:
        assert self.waiting is not None
        self.waiting.append(text)
        self.room -= len(text)
        while self.room < 0 and len(self.waiting) > 1:
            self.room += len(self.waiting.popleft())

    def shows(self, selector: str, hc: bool) -> bool:
        """Whether a line of this selector would be shown."""
        return selector in self.selectors or (hc and self.host_checking)

    def show(self, text: str, indent: int = 0) -> None:
        """Write `text` (newline added when missing) with what leads a line and indentation before each of its lines."""
        if not text.endswith("\n"):
            text += "\n"
        bars = indentation(indent)
        lead = self._lead() + (bars.replace(BAR, ASCII_BAR) if "noutf8" in self.selectors else bars)
        if lead or len(text) > LINE_LIMIT:
            text = "".join(_bounded(lead + line) for line in text.splitlines(keepends=True))
        self.raw(text)

    def _lead(self) -> str:
        """The time, the process and the mark of -bh, as the selectors want them. # Exim spec 5.3, -d"""
        clock = time.strftime("%H:%M:%S ") if "timestamp" in self.selectors else ""
        process = f"{os.getpid():5d} " if "pid" in self.selectors else ""
        return clock + process + (">>> " if self.host_checking else "")

    def raw(self, text: str) -> None:
        """Write octets as they are."""
        if self.waiting is not None:
            self._keep(text)
            return
        stream = self.stream if self.stream is not None else sys.stderr
        buffer = getattr(stream, "buffer", None)
        if buffer is None:
            stream.write(text)
        else:
            stream.flush()
            buffer.write(text.encode("latin-1", "replace"))
        stream.flush()


def _bounded(line: str) -> str:
    """Cut and marked when it is longer than Exim's."""
    return line if len(line) <= LINE_LIMIT + 1 else f"{line[:LINE_LIMIT]}\n**** debug string too long - truncated ****\n"


def indentation(columns: int) -> str:
    """Blanks, with a bar in each fourth column."""
    return "".join(BAR if column % 4 == 0 else " " for column in range(1, columns + 1))
