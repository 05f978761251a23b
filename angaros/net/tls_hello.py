"""The server name in a ClientHello, read before OpenSSL sees it (RFC 8446 4.1.2, RFC 6066 3).

So the certificate can be chosen by expansions that wait, outside of any callback of OpenSSL. Sans-I/O.
"""

from __future__ import annotations

HELLO_LIMIT = 65536
"""Octets of a ClientHello; post-quantum key shares make it large, but not that large."""


def server_name(data: bytes) -> str | None:
    """The name in the ClientHello at the start of `data`: "" when there is none (or this is none), None when more octets
    are needed."""
    hello = b""
    position = 0
    while True:
        if len(data) < position + 5:
            return None if len(data) < HELLO_LIMIT else ""
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        if data[position] != 22 or length == 0:
            return ""
        if len(data) < position + 5 + length:
            return None if len(data) < HELLO_LIMIT else ""
        hello += data[position + 5 : position + 5 + length]
        position += 5 + length
        if hello[0] != 1 or len(hello) > HELLO_LIMIT:
            return ""
        if len(hello) >= 4 and len(hello) >= 4 + int.from_bytes(hello[1:4], "big"):
            break
    try:
        return _name_of(hello)
    except IndexError:
        return ""


def _name_of(hello: bytes) -> str:
    position = 4 + 2 + 32
    position += 1 + hello[position]  # session id
    position += 2 + int.from_bytes(hello[position : position + 2], "big")  # cipher suites
    position += 1 + hello[position]  # compression methods
    end = position + 2 + int.from_bytes(hello[position : position + 2], "big")
    position += 2
    while position + 4 <= min(end, len(hello)):
        kind = int.from_bytes(hello[position : position + 2], "big")
        length = int.from_bytes(hello[position + 2 : position + 4], "big")
        if kind == 0:
            body = hello[position + 4 : position + 4 + length]
            if len(body) > 5 and body[2] == 0:
                return body[5 : 5 + int.from_bytes(body[3:5], "big")].decode("latin-1")
            return ""
        position += 4 + length
    return ""
