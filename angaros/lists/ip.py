"""IP addresses and masks, as host lists and lookups need them; no I/O. # Exim spec 10.12-10.13

An address is (bits, value): bits is 32 or 128.
"""

from __future__ import annotations

import socket
from functools import lru_cache

Address = tuple[int, int]


def parse_ip(text: str) -> Address | None:
    """Dotted quad or IPv6 (a zone `%eth0` is dropped); None for other text."""
    text = str(text)
    try:
        if ":" in text:
            return 128, int.from_bytes(socket.inet_pton(socket.AF_INET6, text.partition("%")[0]), "big")
        return 32, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=4096)
def parse_net(text: str) -> tuple[int, int, int] | None:
    """`address` or `address/mask` as (bits, value under the mask, shift); None for other text. A pure function, hence cached."""
    address, slash, mask = text.partition("/")
    parsed = parse_ip(address)
    if parsed is None or (slash and not (mask.isascii() and mask.isdigit())):
        return None
    bits, value = parsed
    shift = max(0, bits - int(mask)) if slash else 0
    return bits, value >> shift, shift


def unmapped(text: str) -> str:
    """An IPv4 address in IPv6 clothes (`::ffff:1.2.3.4`) as plain IPv4. # Exim spec 10.12"""
    return text[7:] if text[:7].lower() == "::ffff:" and "." in text else text


def in_net(address: Address, net: tuple[int, int, int]) -> bool:
    """Whether the address is in the net."""
    return address[0] == net[0] and address[1] >> net[2] == net[1]


def key_text(address: Address, mask: int = -1, separator: str = ".") -> str:
    """Key of `net-` lookups: dotted quad, or all of an IPv6 address in hex groups; with `/mask` when there is one."""
    bits, value = address
    if mask >= 0:
        shift = max(0, bits - mask)
        value = value >> shift << shift
    if bits == 32:
        text = ".".join(str(value >> place & 255) for place in (24, 16, 8, 0))
    else:
        text = separator.join(f"{value >> place & 0xFFFF:04x}" for place in range(112, -1, -16))
    return text if mask < 0 else f"{text}/{mask}"
