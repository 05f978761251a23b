"""Writing mail text (octets as latin-1) to standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable

PIECE = 1 << 16
"""Octets that `write_all` gathers: a pipe takes as much."""


def write(text: str) -> None:
    """Write octets as they are, flushed in order with what goes to standard error."""
    out = sys.stdout
    buffer = getattr(out, "buffer", None)
    if buffer is None:
        out.write(text)
    else:
        out.flush()
        buffer.write(text.encode("latin-1", "replace"))
    out.flush()


def write_all(texts: Iterable[str]) -> None:
    """A long output: the first text at once, the others in large pieces."""
    held: list[str] = []
    size, limit = 0, 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size > limit:
            write("".join(held))
            held.clear()
            size, limit = 0, PIECE
    if held:
        write("".join(held))


def write_line(text: str) -> None:
    """One line."""
    write(text + "\n")


def write_error(text: str) -> None:
    """Text on standard error, with a newline at its end."""
    sys.stdout.flush()
    sys.stderr.buffer.write(text.removesuffix("\n").encode("latin-1", "replace") + b"\n")
    sys.stderr.flush()
