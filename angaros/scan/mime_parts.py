"""The MIME parts of a message in the order of the MIME ACL: a part before the parts in it. Exim spec 45.4; RFC 2046 5.1."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from angaros.scan.mime_header import PartHeader, read_header

MAX_DEPTH = 20
"""Parts within parts; each level means another search through its text."""
MAX_PARTS = 10_000

_QP = re.compile(rb"=([0-9A-Fa-f]{2})|=[ \t]*(?:\n|\Z)|=")
_QP_BLANKS = re.compile(rb"[ \t]+(?=\n)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


@dataclass(slots=True)
class Part:
    """One part."""

    header: PartHeader
    data: memoryview
    """Its body as it stands in the message."""
    number: int = 0
    coverletter: bool = True
    rfc822: bool = False
    decoded: bytes | None = None

    def decode(self) -> bytes:
        """The body with its transfer encoding undone."""
        if self.decoded is None:
            encoding = self.header.encoding
            if encoding == "base64":
                self.decoded = decode_base64(bytes(self.data))
            elif encoding == "quoted-printable":
                self.decoded = decode_quoted_printable(bytes(self.data))
            else:
                self.decoded = bytes(self.data)
        return self.decoded


def decode_base64(data: bytes) -> bytes:
    """All that can be decoded; characters that do not belong there are skipped."""
    end = data.find(b"=")
    digits = _NOT_BASE64.sub(b"", data if end < 0 else data[:end])
    digits += b"=" * (-len(digits) % 4)
    try:
        return base64.b64decode(digits)
    except (binascii.Error, ValueError):
        return base64.b64decode(digits[: len(digits) // 4 * 4 - 4])


def decode_quoted_printable(data: bytes) -> bytes:
    """RFC 2045 6.7: soft line breaks, blanks at line ends dropped; a stray `=` stays."""
    clean = _QP_BLANKS.sub(b"", data)
    return _QP.sub(
        lambda found: bytes((int(found.group(1), 16),)) if found.group(1) else b"=" if found.group() == b"=" else b"", clean
    )


class Splitter:
    """Walks through one message (and messages in it)."""

    def __init__(self, target_charset: str) -> None:
        self._target = target_charset
        self._total = 0

    def parts(self, data: memoryview, *, rfc822: bool = False, depth: int = 0) -> Iterator[Part]:
        """All parts of a message that begins with its header."""
        counter = [0]
        yield from self._walk(data, counter, cover=True, rfc822=rfc822, depth=depth)

    def _walk(self, data: memoryview, counter: list[int], *, cover: bool, rfc822: bool, depth: int) -> Iterator[Part]:
        self._total += 1
        if self._total > MAX_PARTS:
            return
        text = bytes(data)
        end = _end_of_header(text)
        header = read_header(text[:end].decode("latin-1"), self._target)
        body = data[end:]
        part = Part(header, body, counter[0], cover, rfc822)
        counter[0] += 1
        yield part
        if depth >= MAX_DEPTH:
            return
        if header.is_multipart and header.boundary:
            alternative = header.content_type in ("multipart/alternative", "multipart/related")
            for index, piece in enumerate(_pieces(text[end:], header.boundary)):
                inside = cover and (alternative or index == 0)
                begin, finish = piece
                yield from self._walk(body[begin:finish], counter, cover=inside, rfc822=rfc822, depth=depth + 1)
        elif header.content_type == "message/rfc822":
            yield from self.parts(memoryview(part.decode()), rfc822=True, depth=depth + 1)


def _end_of_header(text: bytes) -> int:
    """Offset of the body: after the first empty line."""
    if text.startswith(b"\n"):
        return 1
    found = text.find(b"\n\n")
    return len(text) if found < 0 else found + 2


def _pieces(text: bytes, boundary: str) -> list[tuple[int, int]]:
    """Begin and end of each part between the delimiter lines."""
    mark = b"--" + boundary.encode("latin-1")
    found: list[tuple[int, int]] = []
    begin = -1
    position = 0 if text.startswith(mark) else _next_line(text, mark, 0)
    while position >= 0:
        if begin >= 0:
            found.append((begin, position))
        after = position + len(mark)
        if text[after : after + 2] == b"--":
            return found
        line_end = text.find(b"\n", after)
        if line_end < 0:
            return found
        begin = line_end + 1
        position = begin if text.startswith(mark, begin) else _next_line(text, mark, begin)
    if begin >= 0:
        found.append((begin, len(text)))
    return found


def _next_line(text: bytes, mark: bytes, start: int) -> int:
    found = text.find(b"\n" + mark, start)
    return found + 1 if found >= 0 else -1
