"""A copy of a message with signatures on top (`smtp.transaction.DataSource`).

Law: the body is read twice, once for its hashes and once to be sent, and never held; what a filter made is read from its file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from angaros.mailauth.dkim.canon import BodyHasher
from angaros.mailauth.dkim.sign import signature_line
from angaros.transports.arc_sign import Sealing
from angaros.transports.dkim_sign import Plan, Signing

if TYPE_CHECKING:
    from angaros.model.scope import Scope
    from angaros.smtp.transaction import DataSource

IN_THREAD = 1 << 20
"""Octets from which on the body is hashed in a thread: other connections of the worker go on meanwhile."""

_LINE = re.compile(r"\r\n(?![ \t])")


class SignedSource:
    """`inner` with a DKIM-Signature for each key and an ARC set, as the options ask."""

    def __init__(self, inner: DataSource, options: Any, scope: Scope, *, whole_in_body: bool = False) -> None:
        self._inner = inner
        self._options = options
        self._scope = scope
        self._whole = whole_in_body
        """The header is part of `inner.body()` (a filter's output)."""
        self._header: bytes | None = None
        self._skip = 0
        self._size: int | None = None
        self.dkim_log = ""
        """`DKIM=` of the delivery line."""

    def header(self) -> bytes:
        """The signatures, the header lines, the empty line. Raises `dkim_sign.SigningDeferred`."""
        if self._header is None:
            self._prepare()
        assert self._header is not None
        return self._header

    def body_size(self) -> int | None:
        """Octets of the body; a filter's output is counted while it is hashed."""
        if not self._whole:
            return self._inner.body_size()
        self.header()
        return self._size

    def body(self) -> Iterable[bytes]:
        """The body, once more."""
        return _without(self._inner.body(), self._skip) if self._skip else self._inner.body()

    def _prepare(self) -> None:
        options, scope = self._options, self._scope
        plan = Signing(options, scope).plan() if options.dkim_domain else Plan([])
        sealing = Sealing(options, scope)
        request = sealing.request() if options.arc_sign else None
        header, pieces = self._split()
        hashers: dict[tuple[str, str], BodyHasher] = {}
        for one in plan.requests:
            hashers.setdefault((one.digest, one.canon), BodyHasher(one.digest, one.canon))
        if request is not None:
            from angaros.mailauth.arc.sign import BODY_CANON, DIGEST

            hashers.setdefault((DIGEST, BODY_CANON), BodyHasher(DIGEST, BODY_CANON))
        digests = self._hash(hashers, pieces)
        lines = [line + "\r\n" for line in _LINE.split(header.decode("latin-1").removesuffix("\r\n\r\n")) if line]
        made = [signature_line(one, lines, digests[one.digest, one.canon]) for one in plan.requests]
        self.dkim_log = plan.log_text()
        if request is not None:
            made.insert(0, sealing.lines(request, [*made, *lines], digests[DIGEST, BODY_CANON]))
        self._header = "".join(made).replace("\n", "\r\n").encode("latin-1") + header

    def _split(self) -> tuple[bytes, Iterable[bytes]]:
        """Header with its empty line, and body."""
        if not self._whole:
            return self._inner.header(), self._inner.body()
        pieces = iter(self._inner.body())
        start = b""
        for piece in pieces:
            start += piece
            end = start.find(b"\r\n\r\n")
            if end >= 0:
                header, rest = start[: end + 4], start[end + 4 :]
                self._skip = len(header)
                return header, _chained(rest, pieces)
        self._skip = len(start)
        return start if start.endswith(b"\r\n\r\n") else start + b"\r\n", ()

    def _hash(self, hashers: dict[tuple[str, str], BodyHasher], pieces: Iterable[bytes]) -> dict[tuple[str, str], bytes]:
        several = tuple(hashers.values())
        size = 0

        def run() -> None:
            nonlocal size
            for piece in pieces:
                size += len(piece)
                for hasher in several:
                    hasher.feed(piece)

        expected = self._inner.body_size()
        if several or self._whole:
            if expected is not None and expected < IN_THREAD:
                run()
            else:
                _in_thread(self._scope, run)
        self._size = size
        return {key: hasher.finish() for key, hasher in hashers.items()}


def _in_thread(scope: Scope, run: Callable[[], None]) -> None:
    scope.services.waiter.in_thread(run)


def _chained(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _without(pieces: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The pieces but for their first `count` octets."""
    for piece in pieces:
        if count >= len(piece):
            count -= len(piece)
        elif count:
            yield piece[count:]
            count = 0
        else:
            yield piece
