"""TCP Fast Open (RFC 7413) as Linux has it: a cookie of an earlier connection lets octets travel with the SYN.

Laws: without the kernel's support nothing changes; only what may arrive twice goes with the SYN (a greeting of the client); what
is told of a connection is what the kernel says of it afterwards.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from functools import cache
from typing import Any

MSG_FASTOPEN = 0x20000000
SETTING = "/proc/sys/net/ipv4/tcp_fastopen"
_SERVER_BIT = 2
BACKLOG = 64
"""Connections that may wait with data before their handshake is complete: a bound on what a spoofer can make us hold."""
_TCP_INFO_OCTETS = 8
_OPTIONS, _CLIENT_FAIL = 5, 7
"""Octets of `struct tcp_info`."""
_SYN_DATA, _FAST_CHILD = 0x20, 0x80
"""TCPI_OPT_SYN_DATA: data with the SYN was acknowledged, taken. TCPI_OPT_TFO_CHILD (Linux 6.13): accepted by its cookie."""


def begin_connect(sock: socket.socket, target: Any, options: Mapping[str, Any]) -> tuple[int, int]:
    """Start to connect a socket that does not block: errno (0, EINPROGRESS, ...), and how many octets of `early_data` the kernel
    has taken. `fastopen`: try it."""
    if options.get("fastopen"):
        try:
            sent = sock.sendto(options.get("early_data") or b"", MSG_FASTOPEN, target)
            return errno.EINPROGRESS, sent  # the octets are under way; the answer to the SYN is still to come
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EPIPE, errno.ENOTCONN):
                return error.errno or errno.EIO, 0
    return sock.connect_ex(target), 0


def used_by_client(sock: socket.socket) -> str:
    """How a connection of ours began: `tfo_data` (with data), `tfo` (by a cookie: the greeting could come at once), ""."""
    info = _info(sock)
    if not info:
        return ""
    if info[_OPTIONS] & _SYN_DATA:
        return "tfo_data"
    return "" if info[_CLIENT_FAIL] & 0x06 else "tfo"


def used_by_server(fd: int) -> str:
    """`TFO*`, `TFO` or "" of an accepted connection, for the log."""
    if not server_enabled():
        return ""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            info = _info(sock)
    except OSError:
        return ""
    if not info:
        return ""
    if info[_OPTIONS] & _SYN_DATA:
        return "TFO*"
    return "TFO" if info[_OPTIONS] & _FAST_CHILD else ""


def _info(sock: socket.socket) -> bytes:
    try:
        found = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_OCTETS)
    except (OSError, AttributeError):
        return b""
    return found if len(found) == _TCP_INFO_OCTETS else b""


@cache
def server_enabled() -> bool:
    """Whether the administrator lets servers do it; asked once."""
    try:
        with open(SETTING, "rb") as file:
            return bool(int(file.read()) & _SERVER_BIT)
    except (OSError, ValueError):
        return False


def listen_fast(sock: socket.socket) -> None:
    """Accept it on a listening socket; there is no option for this (Exim spec 30.4, hosts_try_fastopen)."""
    if server_enabled():
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, BACKLOG)
        except (OSError, AttributeError):
            pass
