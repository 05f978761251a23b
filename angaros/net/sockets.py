"""Sockets as both waiters make them: options, source address, addresses of the two ends."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from typing import Any

DSCP_NAMES = {
    "af11": 0x28, "af12": 0x30, "af13": 0x38, "af21": 0x48, "af22": 0x50, "af23": 0x58, "af31": 0x68, "af32": 0x70, "af33": 0x78,
    "af41": 0x88, "af42": 0x90, "af43": 0x98, "ef": 0xB8, "cs0": 0, "cs1": 0x20, "cs2": 0x40, "cs3": 0x60, "cs4": 0x80,
    "cs5": 0xA0, "cs6": 0xC0, "cs7": 0xE0, "lowcost": 0x02, "lowdelay": 0x10, "reliability": 0x04, "throughput": 0x08,
}  # fmt: skip


def dscp_value(name: str) -> int | None:
    """The octet for IP_TOS/IPV6_TCLASS of a `dscp` option: a name, or a number 0..63 (Exim spec 30.4); None: neither."""
    octet = DSCP_NAMES.get(name.strip().lower())
    if octet is not None:
        return octet
    try:
        code = int(name.strip(), 0)
    except ValueError:
        return None
    return code << 2 if 0 <= code <= 63 else None


def family_of(address: str) -> socket.AddressFamily:
    """By the look of an IP address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp_socket(address: str, source: tuple[str, int] | None, options: Mapping[str, Any]) -> socket.socket:
    """A TCP socket, not blocking, not yet connected: bound to `source`, `dscp` (octet) and `keepalive` set."""
    family = family_of(address)
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.get("keepalive"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        dscp = options.get("dscp")
        if dscp is not None:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp)
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp)
        if source is not None and source[0]:
            if source[1]:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(sock, source)
    except BaseException:
        sock.close()
        raise
    return sock


class BindError(OSError):
    """The source address of a connection cannot be had."""


def _bind(sock: socket.socket, source: tuple[str, int]) -> None:
    try:
        sock.bind(source)
    except OSError as error:
        raise BindError(error.errno, error.strerror) from None


def abort_on_close(fd: int) -> None:
    """Closing this socket resets the connection. OSError when it is no socket."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def plain_address(name: Any) -> tuple[str, int]:
    """(address, port) of getsockname/getpeername; an IPv4 address mapped into IPv6 as IPv4, no scope."""
    if not isinstance(name, tuple) or len(name) < 2:
        return "", 0
    address = str(name[0]).partition("%")[0]
    if address.lower().startswith("::ffff:") and "." in address:
        address = address[7:]
    return address, int(name[1])


def peer_uid(sock: socket.socket) -> int:
    """Real uid of the other end of a unix socket; -1 unknown."""
    if sock.family != socket.AF_UNIX:
        return -1
    try:
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except OSError:
        return -1
    return int.from_bytes(credentials[4:8], "little", signed=True)
