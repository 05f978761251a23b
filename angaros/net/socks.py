"""Outgoing connections through a SOCKS5 proxy (RFC 1928, RFC 1929; Exim spec 58.2)."""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.config.settings import split_list

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from angaros.model.interfaces import Services, Stream

REPLIES = (
    "succeeded",
    "general SOCKS server failure",
    "connection not allowed by ruleset",
    "Network unreachable",
    "Host unreachable",
    "Connection refused",
    "TTL expired",
    "Command not supported",
    "Address type not supported",
)
"""RFC 1928 6."""


class SocksError(OSError):
    """The proxy did not do what we want."""


@dataclass(frozen=True, slots=True)
class SocksProxy:
    """One proxy specifier."""

    address: str
    port: int = 1080
    auth: str = "none"
    name: str = ""
    password: str = ""
    timeout: int = 5
    priority: int = 1
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and how."""

    address: str
    port: int
    timeout: float
    source: tuple[str, int] | None = None
    options: Mapping[str, Any] | None = None


@dataclass(slots=True)
class SocksConnection:
    """A connection through a proxy, and the addresses for `$proxy_*`."""

    stream: Stream
    proxy: SocksProxy
    bound_address: str
    bound_port: int


def parse_proxies(text: str) -> list[SocksProxy]:
    """The expanded `socks_proxy` option. ValueError for an unknown option."""
    proxies = []
    for item in split_list(text):
        fields = item.split()
        if not fields:
            continue
        values: dict[str, str] = {}
        for field in fields[1:]:
            key, _, value = field.partition("=")
            if key not in ("auth", "name", "pass", "port", "tmo", "pri", "weight"):
                raise ValueError(f"bad option in socks_proxy: {field}")
            values[key] = value
        proxies.append(
            SocksProxy(
                fields[0],
                int(values.get("port") or 1080),
                values.get("auth") or "none",
                values.get("name", ""),
                values.get("pass", ""),
                int(values.get("tmo") or 5),
                int(values.get("pri") or 1),
                int(values.get("weight") or 1),
            )
        )
    return proxies


def connect(proxies: list[SocksProxy], target: Target, services: Services) -> SocksConnection:
    """Through the proxies by priority and weighted chance, until one does it. The last error is raised."""
    deadline = time.monotonic() + target.timeout if target.timeout else None
    left = list(proxies)
    error: OSError = SocksError("no SOCKS proxy")
    while left and (deadline is None or time.monotonic() < deadline):
        proxy = _pick(left, services)
        left.remove(proxy)
        try:
            return _through(proxy, target, services)
        except OSError as problem:
            error = problem
    raise error


def _pick(proxies: list[SocksProxy], services: Services) -> SocksProxy:
    best = max(proxy.priority for proxy in proxies)
    group = [proxy for proxy in proxies if proxy.priority == best]
    number = services.random.below(max(1, sum(proxy.weight for proxy in group)))
    for proxy in group:
        number -= proxy.weight
        if number < 0:
            return proxy
    return group[-1]


def _through(proxy: SocksProxy, target: Target, services: Services) -> SocksConnection:
    stream = services.waiter.connect(
        proxy.address, proxy.port, timeout=proxy.timeout, source=target.source, options=target.options or {}
    )
    try:
        bound = _negotiate(stream, proxy, target)
    except BaseException:
        stream.close()
        raise
    return SocksConnection(stream, proxy, *bound)


def _negotiate(stream: Stream, proxy: SocksProxy, target: Target) -> tuple[str, int]:
    method = 2 if proxy.auth == "name" else 0
    stream.write(bytes((5, 1, method)), proxy.timeout)
    if _read(stream, 2, proxy) != bytes((5, method)):
        raise SocksError("SOCKS proxy refused the authentication method")
    if method == 2:
        name, password = proxy.name.encode("latin-1"), proxy.password.encode("latin-1")
        stream.write(bytes((1, len(name))) + name + bytes((len(password),)) + password, proxy.timeout)
        if _read(stream, 2, proxy)[1] != 0:
            raise SocksError("SOCKS proxy refused name and password")
    stream.write(b"\5\1\0" + _pack(target.address) + target.port.to_bytes(2, "big"), target.timeout or proxy.timeout)
    version, reply, _, kind = _read(stream, 4, proxy)
    if version != 5 or reply:
        raise SocksError(f"proxy reply: {REPLIES[reply] if reply < len(REPLIES) else reply}")
    if kind == 3:
        address = _read(stream, _read(stream, 1, proxy)[0], proxy).decode("latin-1")
    else:
        family, size = (socket.AF_INET6, 16) if kind == 4 else (socket.AF_INET, 4)
        address = socket.inet_ntop(family, _read(stream, size, proxy))
    return address, int.from_bytes(_read(stream, 2, proxy), "big")


def _pack(address: str) -> bytes:
    ip = ipaddress.ip_address(address)
    return (b"\1" if ip.version == 4 else b"\4") + ip.packed


def _read(stream: Stream, count: int, proxy: SocksProxy) -> bytes:
    """Exactly so many octets; what comes after belongs to the next one."""
    data = b""
    while len(data) < count:
        more = stream.read(count - len(data), proxy.timeout)
        if not more:
            raise SocksError("SOCKS proxy closed the connection")
        data += more
    return data
