"""Addresses as names of the DNS."""

from __future__ import annotations

import socket


def reversed_labels(address: str) -> str:
    """An IP address as labels of a reversed name (octets, nibbles of IPv6); other text as it is. # RFC 5782 2.1, 2.4"""
    try:
        if ":" in address:
            return ".".join(reversed(socket.inet_pton(socket.AF_INET6, address).hex()))
        return ".".join(str(octet) for octet in reversed(socket.inet_pton(socket.AF_INET, address)))
    except (OSError, UnicodeEncodeError, ValueError):
        return address
