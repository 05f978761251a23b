"""Transfer encodings undone chunk by chunk, as leniently as mail clients do it. RFC 2045 6.7, 6.8"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator

CHUNK = 1 << 16
"""Octets in hand at a time."""

Anomaly = tuple[int, str]
"""`$mime_anomaly_level` and `$mime_anomaly_text`. Exim spec 45.4"""
BROKEN_BASE64: Anomaly = (2, "Broken BASE64 encoding detected")
BROKEN_QP: Anomaly = (1, "Broken Quoted-Printable encoding detected")

_QP = re.compile(rb"=([0-9A-Fa-f]{2})|=[ \t]*(?:\n|\Z)|=")
_QP_BROKEN = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*(?:\n|\Z))")
_QP_BLANKS = re.compile(rb"[ \t]+(?=\n)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_BROKEN_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\r\n]")


def decoded(chunks: Iterator[bytes], encoding: str, anomalies: list[Anomaly]) -> Iterator[bytes]:
    """The contents; what is wrong with them goes to `anomalies`. Other encodings than base64 and quoted-printable are none."""
    decoder = _DECODERS.get(encoding)
    return decoder(chunks, anomalies) if decoder is not None else chunks


def _base64(chunks: Iterator[bytes], anomalies: list[Anomaly]) -> Iterator[bytes]:
    """All that can be decoded: characters that do not belong there are skipped, padding ends a run and another may follow."""
    rest = b""
    for chunk in chunks:
        if not anomalies and _BROKEN_BASE64.search(chunk):
            anomalies.append(BROKEN_BASE64)
        runs = chunk.split(b"=")
        for number, run in enumerate(runs):
            rest += _NOT_BASE64.sub(b"", run)
            whole = len(rest) // 4 * 4
            yield base64.b64decode(rest[:whole])
            rest = rest[whole:]
            if number < len(runs) - 1:
                yield _last_group(rest)
                rest = b""
    yield _last_group(rest)


def _last_group(digits: bytes) -> bytes:
    """Fewer than four digits: their whole octets."""
    return base64.b64decode(digits + b"=" * (4 - len(digits))) if len(digits) > 1 else b""


def _quoted_printable(chunks: Iterator[bytes], anomalies: list[Anomaly]) -> Iterator[bytes]:
    """Soft line breaks, blanks at line ends dropped; a stray `=` stays."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        end = rest.rfind(b"\n") + 1
        if not end and len(rest) > CHUNK:
            end = rest.rfind(b"=", len(rest) - 3)  # one endless line: cut it where no escape is
            end = len(rest) if end < 0 else end
        yield _qp_lines(rest[:end], anomalies)
        rest = rest[end:]
    yield _qp_lines(rest, anomalies)


def _qp_lines(data: bytes, anomalies: list[Anomaly]) -> bytes:
    if not anomalies and _QP_BROKEN.search(data):
        anomalies.append(BROKEN_QP)
    return _QP.sub(_qp_octet, _QP_BLANKS.sub(b"", data))


def _qp_octet(found: re.Match[bytes]) -> bytes:
    if found.group(1):
        return bytes((int(found.group(1), 16),))
    return b"=" if found.group() == b"=" else b""


_DECODERS: dict[str, Callable[[Iterator[bytes], list[Anomaly]], Iterator[bytes]]] = {
    "base64": _base64,
    "quoted-printable": _quoted_printable,
}
