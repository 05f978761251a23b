"""IP addresses as text: recognising, masking, other spellings. No sockets."""

from __future__ import annotations

import socket

from angaros.expand.nodes import fail


def parse_ipv4(text: str) -> bytes | None:
    """Four octets, or None. Leading zeros are wrong."""
    parts = text.split(".")
    if len(parts) != 4:
        return None
    for part in parts:
        if not part.isdigit() or not part.isascii() or len(part) > 3 or int(part) > 255 or (len(part) > 1 and part[0] == "0"):
            return None
    return bytes(int(part) for part in parts)


def parse_ipv6(text: str) -> bytes | None:
    """Sixteen octets, or None. A zone (`%eth0`) is not looked at. # RFC 4291 2.2"""
    if ":" not in text:
        return None
    try:
        return socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return None


def ip_version(text: str) -> int:
    """4, 6, or 0 when it is no address."""
    if not text.isascii():
        return 0
    plain = str(text)
    if parse_ipv4(plain) is not None:
        return 4
    return 6 if parse_ipv6(plain) is not None else 0


def packed(text: str) -> bytes:
    """Octets of an address. Raises ExpansionError."""
    found = parse_ipv4(str(text)) or parse_ipv6(str(text))
    if found is None:
        raise fail(f'"{text}" is not an IP address')
    return found


def apply_mask(octets: bytes, bits: int) -> bytes:
    """The first `bits` bits; the others zero."""
    length = len(octets) * 8
    value = int.from_bytes(octets, "big")
    mask = ((1 << bits) - 1) << (length - bits)
    return (value & mask).to_bytes(len(octets), "big")


def groups(octets: bytes) -> list[str]:
    """Eight groups of four hexadecimal digits."""
    digits = octets.hex()
    return [digits[index : index + 4] for index in range(0, 32, 4)]


def short_ipv6(octets: bytes) -> str:
    """The shortest spelling; Exim shortens a single zero group, too. # RFC 5952 4"""
    numbers = [int(group, 16) for group in groups(octets)]
    best_start, best_length, start = -1, 0, -1
    for index in range(9):
        if index < 8 and numbers[index] == 0:
            if start < 0:
                start = index
        elif start >= 0:
            if index - start > best_length:
                best_start, best_length = start, index - start
            start = -1
    words = [f"{number:x}" for number in numbers]
    if best_start < 0:
        return ":".join(words)
    return ":".join(words[:best_start]) + "::" + ":".join(words[best_start + best_length :])
