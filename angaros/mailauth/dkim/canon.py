"""Canonicalisation of header lines and of the body. # RFC 6376 3.4

Laws:
- The body is hashed as it comes: `BodyHasher` keeps no more of it than the white space and the empty lines at its end.
- No work per line in Python. A piece without blanks (base64) costs its hash and one look through it; one that is canonical
  already costs the search for what would have to change, as fast as the machine's vector instructions let it.
- Lines end in CRLF here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

from angaros import regex

SIMPLE, RELAXED = "simple", "relaxed"
METHODS = (SIMPLE, RELAXED)

_HEADER_BLANKS = re.compile(r"[ \t\r\n]+")
_LINE_END = re.compile(r"\r?\n")
_TAIL_ENDS = re.compile(rb"(?:\r\n)+\Z")
_TAIL_BLANKS = re.compile(rb"[ \t\r\n]+\Z")


def header_line(line: str, method: str) -> str:
    """One header line as it is signed, with its CRLF. # RFC 6376 3.4.1, 3.4.2"""
    if method == SIMPLE:
        return _LINE_END.sub("\r\n", line)
    name, _, value = line.partition(":")
    name = name.rstrip(" \t").lower()
    return f"{name}:{_HEADER_BLANKS.sub(' ', value).strip(' ')}\r\n"


class BodyHasher:
    """The hash over a body in one canonical form. # RFC 6376 3.4.3, 3.4.4, 3.7"""

    __slots__ = ("_blank", "_ends", "_hash", "_left", "_limit", "_part", "_relaxed", "size")

    def __init__(self, algorithm: str, method: str, limit: int | None = None) -> None:
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._relaxed = method == RELAXED
        self._limit = limit
        self._left = limit if limit is not None else -1
        self._ends = 0
        """Line ends held back: they may be the body's last."""
        self._blank = False
        """A blank is held back, after the line ends: it may be the line's last."""
        self._part = b""
        """A CR whose LF has not come."""
        self.size = 0
        """Octets of the canonical body."""

    def feed(self, piece: bytes) -> None:
        """The next octets, CRLF line ends."""
        if self._part:
            piece = self._part + piece
            self._part = b""
        if piece.endswith(b"\r"):
            piece = piece[:-1]
            self._part = b"\r"
        if self._relaxed:
            self._feed_relaxed(piece)
        else:
            self._feed_simple(piece)

    def _feed_simple(self, piece: bytes) -> None:
        if not piece:
            return
        if not piece.endswith(b"\r\n"):
            self._content(piece)
            return
        end = _ends_at(piece)
        if end:
            self._content(memoryview(piece)[:end])
        self._ends += (len(piece) - end) >> 1

    def _feed_relaxed(self, piece: bytes) -> None:
        if b" " in piece or b"\t" in piece:
            if self._blank:
                piece = b" " + piece
                self._blank = False
            piece = _reduced(piece)
            if piece.endswith(b" "):
                piece = piece[:-1]
                self._blank_after(piece)
                return
        elif self._blank and piece:
            self._blank = False
            if not piece.startswith(b"\r\n"):
                piece = b" " + piece
        self._feed_simple(piece)

    def _blank_after(self, piece: bytes) -> None:
        self._feed_simple(piece)
        self._blank = True

    def _content(self, piece: bytes | memoryview) -> None:
        if self._ends:
            self._flush_ends()
        self._update(piece)

    def _flush_ends(self) -> None:
        count, self._ends = self._ends, 0
        while count > 0:
            step = min(count, 1 << 15)
            self._update(b"\r\n" * step)
            count -= step

    def _update(self, piece: bytes | memoryview) -> None:
        self.size += len(piece)
        if self._limit is not None:
            if len(piece) > self._left:
                piece = piece[: self._left]
            self._left -= len(piece)
        self._hash.update(piece)

    def finish(self) -> bytes:
        """All has come: the digest."""
        if self._part:  # a CR that ends nothing
            self._content(self._part)
            self._part = b""
        self._ends = 0
        if self.size or not self._relaxed:  # an empty body is a line end in simple form, nothing in relaxed form
            self._update(b"\r\n")
        return self._hash.digest()

    @property
    def short(self) -> bool:
        """The body is shorter than the signature says. # RFC 6376 3.5, l="""
        return self._limit is not None and self._left > 0


def _ends_at(piece: bytes) -> int:
    """Where the line ends begin that close a piece."""
    end = len(piece) - 2
    if piece[end - 2 : end] != b"\r\n":
        return end
    found = _TAIL_ENDS.search(piece, len(piece.rstrip(b"\r\n")))
    assert found is not None
    return found.start()


def _reduced(piece: bytes) -> bytes:
    """Runs of blanks become one space; none stands before a line end."""
    if b"\t" in piece:
        piece = piece.replace(b"\t", b" ")
    search = _search()
    while search.doubled(piece):
        piece = b" ".join(search.split(piece))  # in half the time of replace(), which counts first
    if search.before_end(piece):
        piece = piece.replace(b" \r\n", b"\r\n")
    return piece


class _Search(NamedTuple):
    """What a relaxed body has to lose."""

    doubled: Callable[[bytes], bool]
    """Two spaces in a row."""
    split: Callable[[bytes], Iterable[bytes]]
    """The parts between them."""
    before_end: Callable[[bytes], bool]
    """A space before a CR."""


@cache
def _search() -> _Search:
    """The fastest that there is.

    Prose has a space in six octets, so that whatever looks at each costs as much as the hash. PCRE2 compares vectors for a pair
    of different octets, StringZilla (optional: `angaros[speed]`) for equal ones too.
    """
    try:
        from stringzilla import Str, find
    except ImportError:
        pair = regex.compile(" \r")
        return _Search(
            lambda piece: b"  " in piece, lambda piece: piece.split(b"  "), lambda piece: pair.search(piece) is not None
        )
    return _Search(
        lambda piece: find(piece, b"  ") >= 0, lambda piece: Str(piece).split(b"  "), lambda piece: find(piece, b" \r") >= 0
    )
