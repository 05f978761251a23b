"""The header that a load balancer puts before a connection (HAProxy's Proxy Protocol, versions 1 and 2). Sans-I/O.

Feed what has come so far; None means: more is needed. What follows the header belongs to the connection.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from dataclasses import dataclass

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1_LIMIT = 107
"""Octets of the longest version 1 header, as its specification says."""
V2_LIMIT = 16 + 2048
"""Addresses need 36 octets; the rest is extensions, which we pass over."""

_V1 = re.compile(rb"PROXY (TCP4|TCP6) (\S+) (\S+) (\d{1,5}) (\d{1,5})\Z")


class ProxyError(ValueError):
    """Not a Proxy Protocol header, or a broken one."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What the header says. `local`: the proxy speaks for itself, or does not know: keep the connection's own addresses."""

    length: int
    """Octets of the header."""
    local: bool = False
    source: str = ""
    source_port: int = 0
    destination: str = ""
    destination_port: int = 0


def parse_proxy(data: bytes) -> ProxyHeader | None:
    """The header at the start of `data`; None when more octets are needed. `ProxyError` when it is wrong."""
    start = data[:12]
    if SIGNATURE.startswith(start):
        return _parse_v2(data) if len(data) >= 16 else None
    if b"PROXY ".startswith(data[:6]):
        return _parse_v1(data)
    raise ProxyError("no Proxy Protocol signature")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, V1_LIMIT)
    if end < 0:
        if len(data) >= V1_LIMIT:
            raise ProxyError("version 1 header too long")
        return None
    line = data[:end]
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return ProxyHeader(end + 2, local=True)
    found = _V1.match(line)
    if found is None:
        raise ProxyError("malformed version 1 header")
    family = 4 if found[1] == b"TCP4" else 6
    ports = int(found[4]), int(found[5])
    if max(ports) > 65535:
        raise ProxyError("port number too large")
    return ProxyHeader(end + 2, False, _address(found[2], family), ports[0], _address(found[3], family), ports[1])


def _address(text: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        raise ProxyError("malformed IP address") from None
    if address.version != version:
        raise ProxyError("wrong kind of IP address")
    return str(address)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    version, family, length = struct.unpack_from("!BBH", data, 12)
    if version >> 4 != 2:
        raise ProxyError("unknown version")
    total = 16 + length
    if total > V2_LIMIT:
        raise ProxyError("version 2 header too long")
    if len(data) < total:
        return None
    command = version & 15
    if command == 0:
        return ProxyHeader(total, local=True)
    if command != 1:
        raise ProxyError("unknown command")
    sizes = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}
    if family not in sizes:
        raise ProxyError("unsupported address family")
    kind, size = sizes[family]
    if length < 2 * size + 4:
        raise ProxyError("version 2 header too short")
    source = socket.inet_ntop(kind, data[16 : 16 + size])
    destination = socket.inet_ntop(kind, data[16 + size : 16 + 2 * size])
    source_port, destination_port = struct.unpack_from("!HH", data, 16 + 2 * size)
    return ProxyHeader(total, False, source, source_port, destination, destination_port)
