"""The MIME parts of a message in the order of the MIME ACL: a part before the parts in it, attached messages after the message
that they are attached to. Exim spec 45.4; RFC 2046 5.1.

Laws:
- The message is looked at where it lies (a mapped file); what is not asked for is not copied, and decoding goes chunk by chunk.
- A delimiter of an outer multipart ends an inner one that was not closed.
- Everything has a limit: depth, parts, the octets of a part's header.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from angaros.scan.mime_decode import CHUNK, Anomaly, decoded
from angaros.scan.mime_header import PartHeader, read_header

MAX_DEPTH = 20
"""Parts within parts; each level means another search through its text."""
MAX_PARTS = 10_000
MAX_HEADER = 1 << 17
"""Octets of a part's header that are read."""

Buffer = bytes | mmap.mmap


@dataclass(slots=True)
class Part:
    """One part: a stretch of a buffer."""

    header: PartHeader
    buffer: Buffer
    begin: int
    end: int
    number: int = 0
    coverletter: bool = True
    rfc822: bool = False
    anomalies: list[Anomaly] = field(default_factory=list)
    """What was wrong when it was decoded last."""

    def chunks(self) -> Iterator[bytes]:
        """The body as it stands in the message."""
        for start in range(self.begin, self.end, CHUNK):
            yield self.buffer[start : min(start + CHUNK, self.end)]

    def lines(self, limit: int) -> Iterator[bytes]:
        """Its lines, at most `limit` octets of each."""
        start = self.begin
        while start < self.end:
            stop = self.buffer.find(b"\n", start, self.end)
            stop = self.end if stop < 0 else stop
            yield self.buffer[start : min(stop, start + limit)]
            start = stop + 1

    def decoded_chunks(self) -> Iterator[bytes]:
        """The body with its transfer encoding undone; `anomalies` is complete when all has been taken."""
        self.anomalies = []
        return decoded(self.chunks(), self.header.encoding, self.anomalies)

    def decode(self, limit: int = -1) -> bytes:
        """The decoded body, or its first `limit` octets."""
        found: list[bytes] = []
        size = 0
        for chunk in self.decoded_chunks():
            found.append(chunk)
            size += len(chunk)
            if 0 <= limit <= size:
                break
        data = b"".join(found)
        return data if limit < 0 else data[:limit]


@dataclass(frozen=True, slots=True)
class _Attached:
    """A message that waits for its turn."""

    buffer: Buffer
    begin: int
    end: int
    depth: int


class Splitter:
    """Walks through one message and the messages in it."""

    def __init__(self, target_charset: str) -> None:
        self._target = target_charset
        self._total = 0
        self._waiting: deque[_Attached] = deque()

    def parts(self, buffer: Buffer, begin: int = 0) -> Iterator[Part]:
        """All parts of a message that begins with its header at `begin`."""
        self._waiting.append(_Attached(buffer, begin, len(buffer), 0))
        while self._waiting:
            message = self._waiting.popleft()
            yield from self._walk(message, (message.begin, message.end), [0], cover=True, depth=message.depth)

    def _walk(self, message: _Attached, place: tuple[int, int], counter: list[int], *, cover: bool, depth: int) -> Iterator[Part]:
        self._total += 1
        if self._total > MAX_PARTS:
            return
        buffer, (begin, end) = message.buffer, place
        body = _end_of_header(buffer, begin, end)
        header = read_header(buffer[begin : min(body, begin + MAX_HEADER)].decode("latin-1"), self._target)
        part = Part(header, buffer, body, end, counter[0], cover, message.depth > 0)
        counter[0] += 1
        yield part
        if depth >= MAX_DEPTH:
            return
        if header.is_multipart and header.boundary:
            related = header.content_type in ("multipart/alternative", "multipart/related")
            for index, piece in enumerate(_pieces(buffer, body, end, header.boundary)):
                yield from self._walk(message, piece, counter, cover=cover and (related or index == 0), depth=depth + 1)
        elif header.content_type.startswith("message/rfc822"):
            self._waiting.append(_attached(part, depth + 1))


def _attached(part: Part, depth: int) -> _Attached:
    if part.header.encoding in ("base64", "quoted-printable"):
        data = part.decode()
        return _Attached(data, 0, len(data), depth)
    return _Attached(part.buffer, part.begin, part.end, depth)


def _end_of_header(buffer: Buffer, begin: int, end: int) -> int:
    """Where the body begins: after the first empty line."""
    if buffer[begin : begin + 1] == b"\n":
        return begin + 1
    found = buffer.find(b"\n\n", begin, end)
    return end if found < 0 else found + 2


def _pieces(buffer: Buffer, begin: int, end: int, boundary: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each part between the delimiter lines."""
    mark = b"--" + boundary.encode("latin-1")
    position = _delimiter(buffer, mark, begin, end)
    start = -1
    while position >= 0:
        if start >= 0:
            yield start, position
        after = position + len(mark)
        line_end = buffer.find(b"\n", after, end)
        if line_end < 0 or buffer[after : after + 2] == b"--":
            return
        start = line_end + 1
        position = _delimiter(buffer, mark, start, end)
    if start >= 0:
        yield start, end


def _delimiter(buffer: Buffer, mark: bytes, start: int, end: int) -> int:
    """The next line, at `start` or behind it, that is the delimiter and not that of a longer boundary; -1 when there is none."""
    at = start if buffer[start : start + len(mark)] == mark else _line_after(buffer, mark, start, end)
    while at >= 0:
        tail = buffer[at + len(mark) : at + len(mark) + 1]
        if tail in (b"", b"\n", b" ", b"\t", b"-"):
            return at
        at = _line_after(buffer, mark, at + 1, end)
    return -1


def _line_after(buffer: Buffer, mark: bytes, start: int, end: int) -> int:
    found = buffer.find(b"\n" + mark, start, end)
    return found + 1 if found >= 0 else -1
