"""Tokens of a Sieve script. # RFC 5228 8.1

Reading is lazy: an error in the text is an error only when the parser comes to it, and a script may have stopped by then. Lines
are counted as Exim counts them: the line of an error is where reading has got to, behind white space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPACE = re.compile(r"[ \t\r\n]*")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"(\d+)([KMGkmg]?)(?![A-Za-z0-9_])|(\d+)")
_TEXT = re.compile(r"text:[ \t]*(?:#[^\n]*)?\r?\n", re.IGNORECASE)
_SCALE = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

MAX_NUMBER = (1 << 63) - 1
"""RFC 5228 2.4.1 wants 2^31-1 at least."""

MAX_SCRIPT = 1 << 20
"""Octets of a script; the limit of redirection files."""


class SieveError(Exception):
    """An error of the script; `str()` is Exim's text (after `Sieve error: `)."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(f"{text} in line {line}")


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: `identifier`, `tag`, `number`, `string`, `end`, or the punctuation itself."""

    kind: str
    text: str = ""
    number: int = 0


_END = Token("end")


class Lexer:
    """Reads a script from front to back with one token of look-ahead."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.pos = 0
        self.line = 1
        self._ahead: Token | None = None

    def fail(self, text: str) -> SieveError:
        """An error here."""
        return SieveError(text, self.line)

    def peek(self) -> Token:
        """The next token; it stays. Raises SieveError."""
        if self._ahead is None:
            self._skip()
            self._ahead = self._read()
        return self._ahead

    def next(self) -> Token:
        """Take the next token."""
        token = self.peek()
        self._ahead = None
        return token

    def accept(self, kind: str) -> bool:
        """Take the next token if it is of this kind."""
        if self.peek().kind != kind:
            return False
        self._ahead = None
        return True

    def _advance(self, end: int) -> None:
        self.line += self.source.count("\n", self.pos, end)
        self.pos = end

    def _skip(self) -> None:
        """White space and comments. # RFC 5228 2.3"""
        source = self.source
        while True:
            found = _SPACE.match(source, self.pos)
            assert found is not None
            self._advance(found.end())
            if source.startswith("#", self.pos):
                newline = source.find("\n", self.pos)
                self._advance(len(source) if newline < 0 else newline)
            elif source.startswith("/*", self.pos):
                end = source.find("*/", self.pos + 2)
                if end < 0:
                    raise self.fail("missing end of comment")
                self._advance(end + 2)
            else:
                return

    def _read(self) -> Token:
        source, start = self.source, self.pos
        if start >= len(source):
            return _END
        char = source[start]
        if char == '"':
            return self._quoted()
        text = _TEXT.match(source, start)
        if text is not None:
            return self._multi_line(text.end())
        number = _NUMBER.match(source, start)
        if number is not None:
            return self._number(number)
        word = _IDENTIFIER.match(source, start + (char == ":"))
        if word is not None:
            self.pos = word.end()
            return Token("tag" if char == ":" else "identifier", source[start : word.end()].lower())
        self.pos += 1
        return Token(char)

    def _number(self, found: re.Match[str]) -> Token:
        """Digits with K, M or G. # RFC 5228 2.4.1"""
        self.pos = found.end()
        value = int((found[1] or found[3])[:40]) * _SCALE[(found[2] or "").lower()]
        if value > MAX_NUMBER:
            raise self.fail("Numerical result out of range")
        return Token("number", number=value)

    def _quoted(self) -> Token:
        """# RFC 5228 2.4.2"""
        source, pos = self.source, self.pos + 1
        out: list[str] = []
        while pos < len(source):
            char = source[pos]
            if char == '"':
                self._advance(pos + 1)
                return Token("string", "".join(out))
            if char == "\\" and pos + 1 < len(source):
                pos += 1
                char = source[pos]
            out.append(char)
            pos += 1
        self._advance(len(source))
        raise self.fail("missing end of string")

    def _multi_line(self, start: int) -> Token:
        """`text:` up to a line with a dot; a dot before a dot goes. # RFC 5228 2.4.2"""
        out: list[str] = []
        pos = start
        while True:
            newline = self.source.find("\n", pos)
            if newline < 0:
                self._advance(len(self.source))
                raise self.fail("missing end of multi line string")
            line = self.source[pos:newline]
            pos = newline + 1
            if line.rstrip("\r") == ".":
                self._advance(pos)
                return Token("string", "".join(out))
            out.append((line[1:] if line.startswith("..") else line) + "\n")
