"""Writing a message out: line ends, escapes, dots; in large pieces.

Laws:
- The spool's body has LF line ends, or CRLF when `wireformat`; what goes out has what `Form` says.
- No work per line in Python: without anything to escape a piece passes through `bytes.replace` at most.
- Used by the performing half of local transports (as the target user) and by the SMTP client (in the worker).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CHUNK = 1 << 18
"""Octets read and written at a time."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a copy is to look on its way out."""

    use_crlf: bool = False
    """Lines end in CRLF."""
    check: bytes = b""
    """A line that begins with this ..."""
    escape: bytes = b""
    """... begins with that instead (`check_string`, `escape_string`; `.` and `..` for SMTP)."""

    @property
    def plain(self) -> bool:
        """Nothing is changed."""
        return not (self.use_crlf or self.check)


PLAIN = Form()
SMTP_FORM = Form(use_crlf=True, check=b".", escape=b"..")
"""For DATA. # RFC 5321 4.5.2"""
CHUNKING_FORM = Form(use_crlf=True)
"""For BDAT. # RFC 3030"""


def read_body(fd: int, offset: int, size: int) -> Iterator[bytes]:
    """`size` octets from `offset` of an open file, in large pieces."""
    end = offset + size
    while offset < end:
        data = os.pread(fd, min(CHUNK, end - offset), offset)
        if not data:
            return
        offset += len(data)
        yield data


def to_lf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """CRLF to LF, also when a piece ends between the two."""
    held = b""
    for piece in pieces:
        piece = held + piece
        held = b""
        if piece.endswith(b"\r"):
            held, piece = b"\r", piece[:-1]
        if piece:
            yield piece.replace(b"\r\n", b"\n")
    if held:
        yield held


class Shaper:
    """Puts pieces into a form; knows whether a piece begins at the start of a line."""

    __slots__ = ("form", "size", "_held", "_at_start")

    def __init__(self, form: Form) -> None:
        self.form = form
        self.size = 0
        """Octets given out."""
        self._held = b""
        self._at_start = True

    def feed(self, piece: bytes) -> bytes:
        """The next piece, LF line ends; what comes back may lack a few octets at the end until the next call."""
        form = self.form
        if form.check:
            piece = self._escape(self._held + piece)
        if form.use_crlf:
            piece = piece.replace(b"\n", b"\r\n")
        self.size += len(piece)
        return piece

    def finish(self) -> bytes:
        """What was still held."""
        held, self._held = self._held, b""
        self.size += len(held)
        return held

    def _escape(self, data: bytes) -> bytes:
        check, escape = self.form.check, self.form.escape
        last = data.rfind(b"\n") + 1
        tail = data[last:]
        self._held = b""
        if len(tail) < len(check) and (last > 0 or self._at_start) and check.startswith(tail):
            self._held, data = tail, data[:last]
        if not data:
            return data
        starts = self._at_start and data.startswith(check)
        self._at_start = data.endswith(b"\n")
        if b"\n" + check in data:
            data = data.replace(b"\n" + check, b"\n" + escape)
        return escape + data[len(check) :] if starts else data


def shaped(pieces: Iterable[bytes], form: Form) -> Iterator[bytes]:
    """All pieces in `form`."""
    if form.plain:
        yield from pieces
        return
    shaper = Shaper(form)
    for piece in pieces:
        out = shaper.feed(piece)
        if out:
            yield out
    out = shaper.finish()
    if out:
        yield out


def message_pieces(
    header: bytes,
    body: Iterable[bytes],
    *,
    wireformat: bool = False,
    form: Form = PLAIN,
    with_header: bool = True,
    with_body: bool = True,
) -> Iterator[bytes]:
    """A whole copy: header block (LF line ends, without its empty line) and body.

    Only the body is escaped, but for SMTP's dots. A `wireformat` body goes out as it is when CRLF is wanted and no escape."""
    if not with_body:
        yield from shaped([header + b"\n"] if with_header else [], form)
        return
    if wireformat and form.use_crlf and not form.check:
        if with_header:
            yield (header + b"\n").replace(b"\n", b"\r\n")
        yield from body
        return
    if wireformat:
        body = to_lf(body)
    if with_header and form.check not in (b"", b"."):
        yield from shaped([header + b"\n"], Form(form.use_crlf))
        yield from shaped(body, form)
        return
    yield from shaped(_joined(header, body) if with_header else body, form)


def _joined(header: bytes, body: Iterable[bytes]) -> Iterator[bytes]:
    """Header, empty line and first piece of the body in one piece."""
    first = header + b"\n"
    pieces = iter(body)
    for piece in pieces:
        yield first + piece
        break
    else:
        yield first
        return
    yield from pieces


def ends_with_newline(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces; one LF more if the last does not end in one."""
    last = b"\n"
    for piece in pieces:
        if piece:
            last = piece
        yield piece
    if not last.endswith(b"\n"):
        yield b"\n"
