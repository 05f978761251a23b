"""Writing mail text (octets as latin-1) to standard output."""

from __future__ import annotations

import sys


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


def write_line(text: str) -> None:
    """One line."""
    write(text + "\n")


def write_error(text: str) -> None:
    """Text on standard error, with a newline at its end."""
    sys.stdout.flush()
    sys.stderr.buffer.write(text.removesuffix("\n").encode("latin-1", "replace") + b"\n")
    sys.stderr.flush()
