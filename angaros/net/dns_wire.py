"""DNS messages: building queries, reading answers (RFC 1035 4). Sans-I/O; nothing here trusts a length or a pointer.

Names are text as `dn_expand` shows them: no final dot, special octets escaped with a backslash.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import Any

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "TLSA": 52,
    "SPF": 99, "ANY": 255, "CSA": 33,
}  # fmt: skip
"""Type numbers; `CSA` is asked as SRV (Exim spec 44.52)."""

NAME_LIMIT = 255
"""Octets of a name on the wire. RFC 1035 2.3.4."""
LABEL_LIMIT = 63
RECORD_LIMIT = 8192
"""Records read from one answer: `manyhome` sites have thousands of addresses, an attack has more."""
EDNS_SIZE = 1232
"""Octets of UDP answer that no network fragments (DNS flag day 2020)."""

FLAG_RESPONSE, FLAG_AA, FLAG_TC, FLAG_RD, FLAG_AD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0020
_ESCAPED = frozenset(b'".;\\()@$')
_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")
_WORD = struct.Struct("!H")


class WireError(ValueError):
    """A message, or a name, that breaks the rules."""


@dataclass(slots=True)
class Record:
    """One resource record. `data` is None when its content is broken or of an unknown type."""

    name: str
    kind: int
    ttl: int
    data: Any


@dataclass(slots=True)
class Response:
    """An answer taken apart."""

    rcode: int = 0
    flags: int = 0
    answers: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)

    @property
    def truncated(self) -> bool:
        """TC bit: ask again over TCP."""
        return bool(self.flags & FLAG_TC)

    @property
    def authenticated(self) -> bool:
        """AD bit."""
        return bool(self.flags & FLAG_AD)

    @property
    def authoritative(self) -> bool:
        """AA bit."""
        return bool(self.flags & FLAG_AA)


def pack_name(name: str) -> bytes:
    """Wire form. `WireError` for empty or long labels."""
    if name in ("", "."):
        return b"\0"
    parts = []
    if name.endswith(".") and not name.endswith("\\."):
        name = name[:-1]
    for label in _labels(name):
        if not 0 < len(label) <= LABEL_LIMIT:
            raise WireError("label empty or too long")
        parts.append(bytes((len(label),)) + label)
    packed = b"".join(parts) + b"\0"
    if len(packed) > NAME_LIMIT:
        raise WireError("name too long")
    return packed


def _labels(name: str) -> list[bytes]:
    octets = name.encode("latin-1", "replace")
    if b"\\" not in octets:
        return octets.split(b".")
    labels, current, position = [], bytearray(), 0
    while position < len(octets):
        octet = octets[position]
        position += 1
        if octet == 0x2E:
            labels.append(bytes(current))
            current.clear()
        elif octet == 0x5C and position < len(octets):
            digits = octets[position : position + 3]
            if len(digits) == 3 and digits.isdigit() and int(digits) < 256:
                current.append(int(digits))
                position += 3
            else:
                current.append(octets[position])
                position += 1
        else:
            current.append(octet)
    return [*labels, bytes(current)]


def build_query(number: int, name: str, kind: int, *, edns: bool, dnssec: bool) -> bytes:
    """A query with recursion desired; with EDNS, and DO and AD when `dnssec`. RFC 4035 3.2.1, RFC 6840 5.7."""
    flags = FLAG_RD | (FLAG_AD if dnssec else 0)
    query = _HEADER.pack(number, flags, 1, 0, 0, 1 if edns else 0) + pack_name(name) + struct.pack("!HH", kind, 1)
    if edns:
        query += b"\0" + struct.pack("!HHIH", 41, EDNS_SIZE, 0x8000 if dnssec else 0, 0)
    return query


def answers_query(data: bytes, query: bytes) -> bool:
    """Whether `data` has the id and the question of `query`. RFC 5452 9.1."""
    end = query.index(b"\0", 12) + 5
    return (
        len(data) >= end
        and data[:2] == query[:2]
        and bool(data[2] & 0x80)
        and data[4:6] == b"\0\1"
        and data[12:end].lower() == query[12:end].lower()
    )


def parse_response(data: bytes) -> Response:
    """Take an answer apart. `WireError` when it is cut or twisted; a truncated one (TC) gives what is there."""
    if len(data) < 12:
        raise WireError("short header")
    _, flags, questions, answers, authority, _ = _HEADER.unpack_from(data)
    response = Response(flags & 15, flags)
    position = 12
    try:
        for _ in range(min(questions, 4)):
            _, position = read_name(data, position)
            position += 4
        budget = RECORD_LIMIT
        for count, section in ((answers, response.answers), (authority, response.authority)):
            for _ in range(count):
                budget -= 1
                if budget < 0:
                    raise WireError("too many records")
                position = _read_record(data, position, section)
    except (WireError, struct.error, IndexError):
        if not response.truncated:
            raise WireError("malformed answer") from None
    return response


def read_name(data: bytes, position: int) -> tuple[str, int]:
    """A name, and the position after it. Pointers must go back, so that there is no loop. RFC 1035 4.1.4."""
    labels: list[str] = []
    end = -1
    limit, used = position, 0
    while True:
        length = data[position]
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | data[position + 1]
            if end < 0:
                end = position + 2
            if target >= limit:
                raise WireError("pointer forward")
            position = limit = target
            continue
        if length > LABEL_LIMIT:
            raise WireError("label type")
        position += 1
        if not length:
            return ".".join(labels), end if end >= 0 else position
        used += length + 1
        label = data[position : position + length]
        if used >= NAME_LIMIT or len(label) != length:
            raise WireError("name too long")
        labels.append(_show_label(label))
        position += length


def _show_label(label: bytes) -> str:
    text = label.decode("latin-1")
    if text.isalnum() and text.isascii():
        return text
    parts = []
    for octet in label:
        if octet in _ESCAPED:
            parts.append("\\" + chr(octet))
        elif 33 <= octet <= 126:
            parts.append(chr(octet))
        else:
            parts.append(f"\\{octet:03d}")
    return "".join(parts)


def _read_record(data: bytes, position: int, section: list[Record]) -> int:
    name, position = read_name(data, position)
    kind, _, ttl, length = _FIXED.unpack_from(data, position)
    position += 10
    end: int = position + length
    if end > len(data):
        raise WireError("record too long")
    if kind != 41:
        try:
            value = _read_data(data, position, end, kind)
        except (WireError, struct.error, IndexError, ValueError):
            value = None
        section.append(Record(name, kind, 0 if ttl & 0x80000000 else ttl, value))
    return end


def _read_data(data: bytes, position: int, end: int, kind: int) -> Any:
    if kind == 1:
        return socket.inet_ntop(socket.AF_INET, data[position:end])
    if kind == 28:
        return socket.inet_ntop(socket.AF_INET6, data[position:end])
    if kind in (2, 5, 12):
        return _whole_name(data, position, end)
    if kind == 15:
        return _WORD.unpack_from(data, position)[0], _whole_name(data, position + 2, end)
    if kind in (16, 99):
        return _read_strings(data, position, end)
    if kind == 33:
        return *struct.unpack_from("!HHH", data, position), _whole_name(data, position + 6, end)
    if kind == 52:
        return data[position], data[position + 1], data[position + 2], data[position + 3 : end]
    if kind == 6:
        primary, position = read_name(data, position)
        mailbox, position = read_name(data, position)
        return primary, mailbox, *struct.unpack_from("!5I", data, position)
    return data[position:end]


def _whole_name(data: bytes, position: int, end: int) -> str:
    name, after = read_name(data, position)
    if after != end:
        raise WireError("record length")
    return name


def _read_strings(data: bytes, position: int, end: int) -> tuple[str, ...]:
    strings = []
    while position < end:
        length = data[position]
        if position + 1 + length > end:
            raise WireError("string too long")
        strings.append(data[position + 1 : position + 1 + length].decode("latin-1"))
        position += 1 + length
    return tuple(strings)
