"""A Bloom filter that can lie in a hints record: the set of events that `ratelimit ... unique=` has seen. Exim spec 44.43."""

from __future__ import annotations

import base64
import hashlib
from binascii import Error

HASHES = 8
OCTETS_PER_EVENT = 2
"""With 16 bits an event a filter that is full up to the limit errs for one in 1700 new events."""
SMALLEST = 8
LARGEST = 1 << 20
"""Octets; a limit of half a million events and more."""


class Bloom:
    """The filter."""

    __slots__ = ("_bits",)

    def __init__(self, bits: bytearray) -> None:
        self._bits = bits

    @staticmethod
    def size_for(limit: int) -> int:
        """Octets for a rate limit."""
        return min(max(limit * OCTETS_PER_EVENT, SMALLEST), LARGEST)

    @classmethod
    def empty(cls, limit: int) -> Bloom:
        """A new one."""
        return cls(bytearray(cls.size_for(limit)))

    @classmethod
    def load(cls, text: object, limit: int) -> Bloom | None:
        """From a record; None when there is none or it is of another size (the limit was changed)."""
        if not isinstance(text, str):
            return None
        try:
            bits = bytearray(base64.b64decode(text, validate=True))
        except (Error, ValueError):
            return None
        return cls(bits) if len(bits) == cls.size_for(limit) else None

    def dump(self) -> str:
        """For a record."""
        return base64.b64encode(self._bits).decode("ascii")

    def add(self, event: str) -> bool:
        """Put an event in; whether it was new."""
        digest = hashlib.blake2b(event.encode("latin-1"), digest_size=HASHES * 4).digest()
        count = len(self._bits) * 8
        new = False
        for start in range(0, len(digest), 4):
            octet, bit = divmod(int.from_bytes(digest[start : start + 4], "big") % count, 8)
            if not self._bits[octet] & (1 << bit):
                self._bits[octet] |= 1 << bit
                new = True
        return new
