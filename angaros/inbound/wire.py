"""From octets as they came to header lines and a body with LF line ends. # Exim spec 48.2

Laws:
- The first line decides: after CRLF, a bare LF is no line end (in a header line it becomes a fold, in an SMTP body a blank);
  after a bare LF, LF is the line end.
- A bare CR is a line end in the body; in a header line it becomes a fold, so that nobody injects a header.
- What is not a header line ends the header; it is the first line of the body.
- Memory is bounded by `header_maxsize`.
"""

from __future__ import annotations

import re

HEADER, BDAT_HEADER, LOCAL_HEADER = "smtp", "bdat", "local"
"""Where a header comes from."""

_NAME = re.compile(rb"[!-9;-~\x80-\xff]*[ \t]*:")
_BLANK_TAIL = re.compile(rb"(?:\n[ \t]+)+\Z")
_LINE_ENDS = re.compile(rb"\r\n|\r|\n")


class HeaderProblem(Exception):
    """The header cannot be taken. `args[0]`: `long` (the whole), `line` (one line), `crlf` (bare LF in BDAT)."""


class HeaderReader:
    """Collects header lines. `feed` returns what belongs to the body once the header is complete, None before."""

    __slots__ = (
        "kind",
        "maxsize",
        "line_maxsize",
        "lines",
        "crlf",
        "size",
        "blank_line",
        "from_line",
        "regular",
        "_take_from",
        "_buffer",
        "_pos",
        "_pending",
    )

    def __init__(self, kind: str = HEADER, maxsize: int = 1 << 20, line_maxsize: int = 0) -> None:
        self.kind = kind
        self.maxsize = maxsize
        self.line_maxsize = line_maxsize
        self.lines: list[str] = []
        """Complete headers, each with its continuation lines and a final LF."""
        self.crlf: bool | None = None
        """Whether the first line ended in CRLF."""
        self.size = 0
        self.blank_line = False
        """The header ended with an empty line."""
        self.from_line = ""
        """A UUCP `From ` line that came first, when it was asked for."""
        self.regular = True
        """No bare CR or LF stood inside a line."""
        self._take_from: re.Pattern[str] | None = None
        self._buffer = b""
        self._pos = 0
        self._pending = b""

    def take_from_line(self) -> None:
        """A first line that begins with `From ` is no header and no body; the caller looks at it."""
        self._take_from = re.compile(r"From ")

    @property
    def unfinished(self) -> bytes:
        """A line that has no end yet."""
        return self._buffer[self._pos :]

    def feed(self, data: bytes) -> bytes | None:
        """More octets."""
        buffer = self._buffer[self._pos :] + data if self._pos < len(self._buffer) else data
        self._buffer = buffer
        self._pos = 0
        while (end := buffer.find(b"\n", self._pos)) >= 0:
            start = self._pos
            self._pos = end + 1
            rest = self._line(buffer, start, end)
            if rest is not None:
                self._buffer = b""
                return rest
        if self.size + len(buffer) - self._pos > self.maxsize > 0:
            raise HeaderProblem("long")
        return None

    def end(self) -> bytes:
        """The input is over (only a local message may end here): the rest of the body."""
        rest = self._buffer[self._pos :]
        if rest or self._pending:
            left = self.feed(b"\r\n" if self.crlf else b"\n")
            if left is not None:
                return left[:-2] if self.crlf else left[:-1]
        self._finish_line()
        return b""

    def _line(self, buffer: bytes, start: int, end: int) -> bytes | None:
        ends_crlf = end > start and buffer[end - 1] == 13
        if self.crlf is None:
            self.crlf = ends_crlf
        if not ends_crlf and self.kind == BDAT_HEADER:
            self.lines.append(buffer[start:end].decode("latin-1") + "\n")
            raise HeaderProblem("crlf")
        if not ends_crlf and self.crlf:
            self.regular = False
            self._pending += buffer[start:end].replace(b"\r", b"\n ") + b"\n "
            return None
        line = buffer[start : end - 1] if ends_crlf else buffer[start:end]
        if b"\r" in line:
            self.regular = False
            line = line.replace(b"\r", b"\n ")
        if self._pending:
            line = self._pending + line
            self._pending = b""
        if not line:
            self._finish_line()
            self.blank_line = True
            return buffer[end + 1 :]
        return self._header_line(line, buffer, start, end)

    def _header_line(self, line: bytes, buffer: bytes, start: int, end: int) -> bytes | None:
        if line[0] in b" \t" and self.lines:
            text = self.lines[-1] + line.decode("latin-1") + "\n"
            self.lines[-1] = text
        elif _NAME.match(line):
            self._finish_line()
            text = line.decode("latin-1") + "\n"
            self.lines.append(text)
        elif self._take_from is not None and not self.lines and not self.from_line and line.startswith(b"From "):
            self.from_line = line.decode("latin-1")
            self._take_from = None
            return None
        else:
            self._finish_line()
            if line == buffer[start:end].removesuffix(b"\r"):
                return buffer[start:]
            return (line + b"\n").replace(b"\n", b"\r\n" if self.crlf else b"\n") + buffer[end + 1 :]
        self.size += len(line) + 1
        if self.size > self.maxsize > 0:
            raise HeaderProblem("long")
        if 0 < self.line_maxsize < len(text):
            raise HeaderProblem("line")
        return None

    def _finish_line(self) -> None:
        """The last header is complete: blank continuation lines at its end go, NUL octets become `?`."""
        if not self.lines:
            return
        text = self.lines[-1]
        if "\0" in text:
            text = text.replace("\0", "?")
        if text[-2:-1] in (" ", "\t"):
            body = text[:-1]
            octets = body.encode("latin-1")
            text = _BLANK_TAIL.sub(b"", octets).decode("latin-1") + "\n"
        self.lines[-1] = text


class BodyDecoder:
    """Body octets to LF line ends. `strict`: from SMTP DATA with CRLF lines, where a bare LF is no line end."""

    __slots__ = ("strict", "wire", "_held")

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.wire = b""
        """What `feed` got, when it was in order: CRLF line ends and nothing else."""
        self._held = False

    def feed(self, data: bytes) -> bytes:
        """The body's next octets. A CR at the end waits for what follows it."""
        if self._held:
            data = b"\r" + data
            self._held = False
        if data.endswith(b"\r"):
            data = data[:-1]
            self._held = True
        self.wire = b""
        out = data.replace(b"\r\n", b"\n")
        ends = len(data) - len(out)
        if b"\r" not in out:
            if not ends:
                return data.replace(b"\n", b" ") if self.strict else data
            orderly = out.count(b"\n") == ends
            if orderly or not self.strict:
                self.wire = data if orderly else b""
                return out
        if not self.strict:
            return out.replace(b"\r", b"\n")
        return _LINE_ENDS.sub(lambda found: b" " if found[0] == b"\n" else b"\n", data)

    def end(self) -> bytes:
        """What was held back."""
        self.wire = b""
        if self._held:
            self._held = False
            return b"\n"
        return b""
