"""Which addresses and ports the daemon listens on, and the listening sockets (spec 13)."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from angaros.config.config import Config
from angaros.config.main_options import MainOptions
from angaros.lists.parse import split_list
from angaros.model.errors import ConfigError
from angaros.net.fast_open import listen_fast

ROOMY_BACKLOG = 1024
"""Connections that may wait in the kernel where the configuration does not say (Exim's default is 20): an event loop takes them
in bursts, and one that does not fit costs its client a second (SYN again)."""

WILDCARDS = {"0.0.0.0": "IPv4", "::": "IPv6", "::0": "IPv6"}
KNOWN_PORTS = {"smtp": 25, "smtps": 465, "submissions": 465, "ssmtp": 465, "submission": 587}
"""Names that every system ought to have in /etc/services; some minimal ones have not."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address and port to listen on."""

    address: str
    port: int
    tls_on_connect: bool = False

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def wildcard(self) -> bool:
        return self.address in WILDCARDS


def port_number(text: str) -> int:
    """A port by number or service name. Raises ConfigError."""
    if text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        if text in KNOWN_PORTS:
            return KNOWN_PORTS[text]
        raise ConfigError(f"TCP port {text} is unknown") from None


def parse_interface(text: str) -> tuple[str, int]:
    """`1.2.3.4`, `1.2.3.4.25`, `[1.2.3.4]:25`, `::1`, `::1.25`, `[::1]:25` (spec 13.5); port 0 when none is given."""
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?", text)
    if bracketed:
        address, port = bracketed[1], int(bracketed[2] or 0)
    else:
        dotted = re.fullmatch(r"(\d+\.\d+\.\d+\.\d+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*?)(?:\.(\d+))?", text)
        v4_in_v6 = ":" in text and text.count(".") in (3,)
        if dotted is None:
            raise ConfigError(f'"{text}" is not a valid IP address in local_interfaces')
        address, port = (text, 0) if v4_in_v6 else (dotted[1], int(dotted[2] or 0))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.inet_pton(family, address)
    except OSError:
        raise ConfigError(f'"{text}" is not a valid IP address in local_interfaces') from None
    return address, port


def _override(text: str | None) -> tuple[list[str], list[str]]:
    """-oX: (interfaces, ports)."""
    items = split_list(text) if text else []
    return [i for i in items if "." in i or ":" in i], [i for i in items if "." not in i and ":" not in i]


def listeners(config: Config, override: str | None = None, tls_on_connect: bool = False) -> list[Listener]:
    """What to listen on: `local_interfaces` times `daemon_smtp_ports`, changed by -oX and `tls_on_connect_ports`."""
    main = config.main
    given_interfaces, given_ports = _override(override)
    ports = [port_number(p) for p in given_ports or split_list(main.daemon_smtp_ports or "smtp")]
    interfaces = given_interfaces or split_list(
        main.local_interfaces if main.local_interfaces is not None else "<; ::0 ; 0.0.0.0"
    )
    tls_ports = {port_number(p) for p in split_list(main.tls_on_connect_ports or "")}
    found: list[Listener] = []
    for item in interfaces:
        address, port = parse_interface(item)
        if main.disable_ipv6 and ":" in address:
            continue
        for number in [port] if port else ports:
            listener = Listener(address, number, tls_on_connect or number in tls_ports)
            if listener not in found:
                found.append(listener)
    return found


def _describe_group(group: Sequence[Listener]) -> str:
    """`port 25 (IPv6 and IPv4) [127.0.0.1]:{26,27}`."""
    wild: dict[int, list[str]] = {}
    named: dict[str, list[int]] = {}
    for listener in group:
        if listener.wildcard:
            wild.setdefault(listener.port, []).append(WILDCARDS[listener.address])
        else:
            named.setdefault(listener.address, []).append(listener.port)
    parts = [f"port {port} ({' and '.join(sorted(families, reverse=True))})" for port, families in wild.items()]
    for address, ports in named.items():
        numbers = str(ports[0]) if len(ports) == 1 else "{" + ",".join(map(str, ports)) + "}"
        parts.append(f"[{address}]:{numbers}")
    return " ".join(parts)


def describe(found: Sequence[Listener]) -> str:
    """For the log: `listening for SMTP on ... and for SMTPS on ...`."""
    if not found:
        return "not listening for SMTP"
    plain = [x for x in found if not x.tls_on_connect]
    tls = [x for x in found if x.tls_on_connect]
    parts = [f"for {name} on {_describe_group(group)}" for name, group in (("SMTP", plain), ("SMTPS", tls)) if group]
    return "listening " + " and ".join(parts)


def backlog_of(main: MainOptions) -> int:
    """`smtp_connect_backlog`, or ours when it is not set. # Exim spec 14.23"""
    return main.smtp_connect_backlog if main.is_set("smtp_connect_backlog") else ROOMY_BACKLOG


def open_listener(listener: Listener, backlog: int) -> socket.socket:
    """Bind and listen. OSError as it came."""
    channel = socket.socket(listener.family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            channel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        channel.bind((listener.address, listener.port))
        channel.listen(backlog)
        listen_fast(channel)
        channel.setblocking(False)
    except OSError:
        channel.close()
        raise
    return channel


@dataclass(frozen=True, slots=True)
class Patience:
    """`daemon_startup_retries`, `daemon_startup_sleep`."""

    retries: int
    pause: int


def open_all(
    found: Sequence[Listener], config: Config, sleep: Callable[[float], None], warn: Callable[[str], None]
) -> list[tuple[Listener, socket.socket]]:
    """All listening sockets; retries as configured. Raises ConfigError with Exim's words when a port cannot be had."""
    patience = Patience(config.main.daemon_startup_retries, config.main.daemon_startup_sleep)
    wild6 = {x.port for x in found if x.address in ("::", "::0")}
    opened: list[tuple[Listener, socket.socket]] = []
    for listener in found:
        left = patience.retries
        while True:
            try:
                opened.append((listener, open_listener(listener, backlog_of(config.main))))
                break
            except OSError as error:
                if listener.address == "0.0.0.0" and listener.port in wild6 and not opened:
                    break  # the IPv6 socket takes both
                where = f"(any {WILDCARDS[listener.address]})" if listener.wildcard else listener.address
                text = f"socket bind() to port {listener.port} for address {where} failed: {error.strerror}"
                if left <= 0:
                    for _, channel in opened:
                        channel.close()
                    raise ConfigError(f"{text}: daemon abandoned") from None
                warn(f"{text}: waiting {patience.pause}s before trying again ({left} more {'tries' if left > 1 else 'try'})")
                left -= 1
                sleep(patience.pause)
    return opened
