"""Diffie-Hellman parameters for a server's older ciphers: `tls_dhparam`, `tls_dh_max_bits` (Exim spec 14).

The standard primes are made by the formulas of their RFCs. Where Exim names primes that have none (its own `exim.dev...`, and the
obsolete `ike22`, `ike23`, `ike24`), the `ffdhe` (or `ike`) prime of the same size stands in: as good, and its origin is known.
"""

from __future__ import annotations

import base64
import re
from functools import cache

NONE = "none"
DEFAULT = "ffdhe2048"
_E, _PI = "e", "pi"
_FORMULAS = {
    "ffdhe2048": (_E, 2048, 560316), "ffdhe3072": (_E, 3072, 2625351), "ffdhe4096": (_E, 4096, 5736041),
    "ffdhe6144": (_E, 6144, 15705020), "ffdhe8192": (_E, 8192, 10965728),
    "ike1": (_PI, 768, 149686), "ike2": (_PI, 1024, 129093), "ike5": (_PI, 1536, 741804), "ike14": (_PI, 2048, 124476),
    "ike15": (_PI, 3072, 1690314), "ike16": (_PI, 4096, 240904), "ike17": (_PI, 6144, 929484), "ike18": (_PI, 8192, 4743158),
}  # fmt: skip
"""Name -> constant, bits, offset. # RFC 7919 A, RFC 2409 6, RFC 3526"""
_STAND_INS = {
    "": DEFAULT, "default": DEFAULT, "historic": DEFAULT, "exim.dev.20160529.1": DEFAULT, "exim.dev.20160529.2": DEFAULT,
    "exim.dev.20160529.3": DEFAULT, "ike22": "ike2", "ike23": DEFAULT, "ike24": DEFAULT,
}  # fmt: skip
_GUARD_BITS = 64
"""Bits by which the constants are computed more exactly than they are needed."""


def parameters(wish: str, max_bits: int) -> bytes:
    """PEM for what `tls_dhparam` says; b"" for none, or for a file with more bits than allowed. Raises OSError for the file,
    ValueError for its content or an unknown name."""
    if wish.startswith("/"):
        with open(wish.encode("latin-1"), "rb") as file:
            pem = file.read()
        return pem if bits_of(pem) <= max_bits else b""
    name = _STAND_INS.get(wish, wish).lower()
    return b"" if name == NONE else named(name)


def bits_of(pem: bytes) -> int:
    """The size of the prime. Raises ValueError."""
    match = re.search(rb"-----BEGIN DH PARAMETERS-----(.*?)-----END DH PARAMETERS-----", pem, re.S)
    if match is None:
        raise ValueError("no DH parameters")
    der = base64.b64decode(b"".join(match[1].split()), validate=True)
    start, _ = _header(der, 0, 0x30)
    start, length = _header(der, start, 0x02)
    return int.from_bytes(der[start : start + length], "big").bit_length()


def _header(der: bytes, position: int, tag: int) -> tuple[int, int]:
    """Where the content of an element begins, and its length. # X.690 8.1.3"""
    if len(der) < position + 2 or der[position] != tag:
        raise ValueError("malformed DH parameters")
    length, position = der[position + 1], position + 2
    if length & 0x80:
        octets = length & 0x7F
        length, position = int.from_bytes(der[position : position + octets], "big"), position + octets
    return position, length


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, size) if size < 0x80 else (tag, 0x80 | len(octets), *octets)) + content


@cache
def named(name: str) -> bytes:
    """PEM of a standard group, generator 2: PKCS #3 DHParameter. Raises ValueError."""
    number = prime(name)
    integers = _element(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big")) + _element(0x02, b"\x02")
    body = base64.encodebytes(_element(0x30, integers))
    return b"-----BEGIN DH PARAMETERS-----\n" + body + b"-----END DH PARAMETERS-----\n"


def prime(name: str) -> int:
    """Raises ValueError for a name that nobody knows."""
    if name not in _FORMULAS:
        raise ValueError(f"unknown DH prime: {name}")
    constant, bits, offset = _FORMULAS[name]
    places = bits - 130
    digits = _e(places) if constant == _E else _pi(places)
    if constant == _E:
        return int((1 << bits) - (1 << bits - 64) + (digits + offset << 64) - 1)
    return int((1 << bits) - (1 << bits - 64) - 1 + (digits + offset << 64))


def _e(places: int) -> int:
    """floor(2^places * e)."""
    one = 1 << places + _GUARD_BITS
    total = term = one
    number = 1
    while term:
        term //= number
        total += term
        number += 1
    return total >> _GUARD_BITS


def _pi(places: int) -> int:
    """floor(2^places * pi), by Machin's formula."""
    one = 1 << places + _GUARD_BITS
    return (16 * _arctan(5, one) - 4 * _arctan(239, one)) >> _GUARD_BITS


def _arctan(inverse: int, one: int) -> int:
    power = one // inverse
    total, number, sign = power, 3, -1
    while power:
        power //= inverse * inverse
        total += sign * (power // number)
        number, sign = number + 2, -sign
    return total
