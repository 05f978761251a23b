"""This host's own addresses: which to listen on, and which mean "us" when routing (Exim spec 13)."""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from typing import TYPE_CHECKING

from angaros.config.settings import split_list
from angaros.model.errors import ConfigError

if TYPE_CHECKING:
    from angaros.config.config import Config
    from angaros.model.interfaces import Services

ANY4, ANY6 = "0.0.0.0", "::"
REFRESH = 30.0
"""Seconds for which the list of interfaces is believed."""
_BRACKETED = re.compile(r"\[([^\]]*)\](?::(\d+))?\Z")
_DOTTED_PORT = re.compile(r"(\d+\.\d+\.\d+\.\d+|[^.]*:[^.]*?(?:\d+\.\d+\.\d+\.\d+)?)\.(\d+)\Z")


def parse_address_port(text: str) -> tuple[str, int]:
    """`1.2.3.4`, `1.2.3.4.25`, `::1.25`, `[1.2.3.4]:25`, `[::1]:25` -> (address, port); port 0 when there is none. ValueError."""
    found = _BRACKETED.match(text) or _DOTTED_PORT.match(text)
    address, port = (found[1], int(found[2] or 0)) if found else (text, 0)
    host, percent, scope = address.partition("%")
    plain = str(ipaddress.ip_address(host)) + percent + scope
    if port > 65535:
        raise ValueError(f"port number {port} is too large")
    return plain, port


def parse_interfaces(text: str, option: str, *, ipv6: bool = True) -> list[tuple[str, int]]:
    """The items of `local_interfaces` or `extra_local_interfaces`, in order. `ConfigError` with Exim's words."""
    found = []
    for item in split_list(text):
        if not item:
            continue
        try:
            address, port = parse_address_port(item)
        except ValueError:
            raise ConfigError(f'Malformed IP address "{item}" in {option}') from None
        if ":" not in address or ipv6:
            found.append((address, port))
    return found


def parse_ports(text: str, protocol: str = "tcp") -> list[int]:
    """Port numbers and service names of `daemon_smtp_ports`. `ConfigError` for an unknown name."""
    ports = []
    for item in split_list(text):
        if item.isdigit():
            ports.append(int(item))
            continue
        try:
            ports.append(socket.getservbyname(item, protocol))
        except (OSError, UnicodeError):
            raise ConfigError(f'failed to find port number for service "{item}"') from None
    return ports


def local_interfaces(config: Config) -> list[tuple[str, int]]:
    """(address, port) to listen on; the wildcard addresses are `0.0.0.0` and `::`."""
    main = config.main
    ports = parse_ports(main.daemon_smtp_port or main.daemon_smtp_ports)
    found: dict[tuple[str, int], None] = {}
    for address, port in parse_interfaces(main.local_interfaces, "local_interfaces", ipv6=not main.disable_ipv6):
        for number in [port] if port else ports:
            found[address, number] = None
    return list(found)


def local_addresses(services: Services) -> frozenset[str]:
    """All addresses that mean this host: of local_interfaces and extra_local_interfaces, wildcards replaced (Exim spec 13.8)."""
    now = services.clock.monotonic()
    known = services.extra.get("local_addresses")
    if known is not None and now < known[0]:
        return known[1]  # type: ignore[no-any-return]
    main = services.config.main
    ipv6 = not main.disable_ipv6
    listed = parse_interfaces(main.local_interfaces, "local_interfaces", ipv6=ipv6)
    if main.extra_local_interfaces:
        listed += parse_interfaces(main.extra_local_interfaces, "extra_local_interfaces", ipv6=ipv6)
    addresses = {address.lower() for address, _ in listed} - {ANY4, ANY6}
    wildcards = {address for address, _ in listed} & {ANY4, ANY6}
    if wildcards:
        for address in interface_addresses():
            if (ANY6 if ":" in address else ANY4) in wildcards:
                addresses.add(address)
    result = frozenset(addresses)
    services.extra["local_addresses"] = (now + REFRESH, result)
    return result


def is_local_address(address: str, services: Services) -> bool:
    """Whether `address` is one of ours; every 127.x.x.x and the wildcards are."""
    address = address.partition("%")[0].lower()
    if address.startswith("::ffff:") and "." in address:
        address = address[7:]
    if address.startswith("127.") or address in (ANY4, ANY6):  # the kernel takes "any" for itself
        return True
    if ":" in address:
        try:
            address = str(ipaddress.IPv6Address(address))
        except ValueError:
            return False
    return address in local_addresses(services)


def interface_addresses() -> list[str]:
    """The addresses of all interfaces, asked of the kernel (rtnetlink(7), RTM_GETADDR)."""
    addresses: list[str] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as sock:
        sock.send(struct.pack("=IHHIIBxxx", 20, 22, 0x301, 1, 0, 0))  # RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP
        while True:
            data = sock.recv(65536)
            position = 0
            while position + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, position)
                if kind in (2, 3) or length < 16:  # NLMSG_ERROR, NLMSG_DONE
                    return addresses
                if kind == 20:
                    _collect(data[position + 16 : position + length], addresses)
                position += (length + 3) & ~3
            if not data:
                return addresses


def _collect(message: bytes, addresses: list[str]) -> None:
    """The local address of one RTM_NEWADDR message: IFA_LOCAL, else IFA_ADDRESS."""
    family = message[0]
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    found: dict[int, bytes] = {}
    position = 8
    while position + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, position)
        if length < 4:
            break
        found[kind] = message[position + 4 : position + length]
        position += (length + 3) & ~3
    raw = found.get(2) or found.get(1)
    if raw:
        addresses.append(socket.inet_ntop(family, raw))
