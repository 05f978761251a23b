"""Words and strings of a filter file. Exim filter spec 3.2 to 3.5.

Line numbers in messages are those of Exim: of the place reading has got to, which is past the white space behind a word.
"""

from __future__ import annotations

from angaros.filters.outcome import FilterError

_SPACE = " \t\r\f\v\n"
_BLANKS = frozenset(" \t")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_OCTAL = "01234567"
_HEX = "0123456789abcdefABCDEF"

MAX_WORD = 1024
"""Longest bare word."""

MAX_STRING = 8192
"""Longest data value."""


class Words:
    """Reads a filter file from front to back."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.line = 1
        self.skip()

    @property
    def at_end(self) -> bool:
        """Nothing but white space and comments is left."""
        return self.pos >= len(self.text)

    def peek(self) -> str:
        """The next character."""
        return self.text[self.pos : self.pos + 1]

    def skip(self) -> None:
        """Past white space and comments."""
        text, end = self.text, len(self.text)
        while self.pos < end:
            char = text[self.pos]
            if char == "\n":
                self.line += 1
            elif char == "#":
                newline = text.find("\n", self.pos)
                self.pos = end if newline < 0 else newline
                continue
            elif char not in _SPACE:
                return
            self.pos += 1

    def take(self, char: str) -> bool:
        """Take one character if it is the next."""
        if self.peek() != char:
            return False
        self.pos += 1
        self.skip()
        return True

    def word(self, brackets: bool = False) -> str:
        """A word up to white space (or a parenthesis, with `brackets`)."""
        text, end, start = self.text, len(self.text), self.pos
        stop = _SPACE + "()" if brackets else _SPACE
        while self.pos < end and text[self.pos] not in stop:
            self.pos += 1
        word = text[start : self.pos]
        if len(word) > MAX_WORD:
            raise FilterError(f"word is too long in filter file (line {self.line})")
        self.skip()
        return word

    def value(self, brackets: bool = False) -> str:
        """A data value: a quoted string or a word; not yet expanded."""
        if self.peek() != '"':
            return self.word(brackets)
        self.pos += 1
        start_line = self.line
        out: list[str] = []
        while True:
            char = self.peek()
            if not char:
                raise FilterError(f"quote missing at end of string in line {start_line}")
            self.pos += 1
            if char == '"':
                break
            if char == "\n":
                self.line += 1
            out.append(self._escaped() if char == "\\" else char)
        value = "".join(out)
        if len(value) > MAX_STRING:
            raise FilterError(f"string is too long in filter file (line {self.line})")
        self.skip()
        return value

    def _escaped(self) -> str:
        """What follows a backslash in quotes."""
        blank = self.pos
        while self.text[blank : blank + 1] in _BLANKS:
            blank += 1
        if self.text[blank : blank + 1] == "\n":  # continued on the next line; blanks on both sides go
            self.line += 1
            self.pos = blank + 1
            while self.peek() in _BLANKS:
                self.pos += 1
            return ""
        char = self.peek()
        self.pos += 1
        if char == "x":
            return self._number(_HEX, 2, 16)
        if char and char in _OCTAL:
            self.pos -= 1
            return self._number(_OCTAL, 3, 8)
        return _ESCAPES.get(char, char)

    def _number(self, digits: str, most: int, base: int) -> str:
        start = self.pos
        while self.pos < start + most and self.peek() and self.peek() in digits:
            self.pos += 1
        text = self.text[start : self.pos]
        return chr(int(text, base) & 0xFF) if text else "x"
