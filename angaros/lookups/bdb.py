"""Reading Berkeley DB files (hash and btree), which Exim on most systems has made its DBM files with.

Only what a lookup needs: the file is read once and turned into a dictionary. No library: nobody ships Python bindings for
it any more, and files made before a change from Exim must go on working.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HASH_MAGIC = 0x061561
BTREE_MAGIC = 0x053162
_MAGIC_AT = 12
_PAGE_HEADER = 26
_HASH_PAGES = (2, 13)
"""Unsorted and sorted hash pages."""
_BTREE_LEAF = 5
_KEY_DATA, _OFF_PAGE = 1, 3
MAX_PAGES = 1 << 22
"""Pages of overflow chains that are followed; more is a loop in a broken file."""


class BdbError(ValueError):
    """The file is not what it claims to be."""


def is_bdb(head: bytes) -> bool:
    """Whether a file that begins so is one."""
    return len(head) >= 64 and (_order(head) != "")


def _order(head: bytes) -> str:
    """Byte order by the magic number; "" for another kind of file."""
    for order in "<>":
        (magic,) = struct.unpack_from(order + "I", head, _MAGIC_AT)
        if magic in (HASH_MAGIC, BTREE_MAGIC):
            return order
    return ""


def read_bdb(data: bytes) -> dict[bytes, bytes]:
    """All records; the first of duplicates."""
    order = _order(data)
    if not order:
        raise BdbError("no Berkeley DB magic number")
    (size,) = struct.unpack_from(order + "I", data, 20)
    if size < 512 or size > 65536 or size & (size - 1):
        raise BdbError("impossible page size")
    reader = _Reader(data, order, size)
    records: dict[bytes, bytes] = {}
    try:
        for number in range(1, len(data) // size):
            for key, value in reader.pairs(number):
                records.setdefault(key, value)
    except (struct.error, IndexError) as error:
        raise BdbError("truncated") from error
    return records


class _Reader:
    def __init__(self, data: bytes, order: str, size: int) -> None:
        self.data = data
        self.size = size
        self.u16 = struct.Struct(order + "H")
        self.u32 = struct.Struct(order + "I")
        self.pages = 0

    def pairs(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        """Keys and data of one page, if it is one that has them."""
        base = number * self.size
        kind = self.data[base + 25]
        if kind in _HASH_PAGES:
            items = self._hash_items(base)
        elif kind == _BTREE_LEAF:
            items = self._btree_items(base)
        else:
            return
        for key, value in zip(items[::2], items[1::2], strict=False):
            if key is not None and value is not None:
                yield key, value

    def _slots(self, base: int) -> list[int]:
        (count,) = self.u16.unpack_from(self.data, base + 20)
        if _PAGE_HEADER + 2 * count > self.size:
            raise BdbError("impossible count of entries")
        return [self.u16.unpack_from(self.data, base + _PAGE_HEADER + 2 * i)[0] for i in range(count)]

    def _hash_items(self, base: int) -> list[bytes | None]:
        """Items lie from the page's end downwards, without lengths."""
        items: list[bytes | None] = []
        end = self.size
        for slot in self._slots(base):
            kind = self.data[base + slot]
            if kind == _KEY_DATA:
                items.append(self.data[base + slot + 1 : base + end])
            elif kind == _OFF_PAGE:
                items.append(self._overflow(base + slot + 4))
            else:
                items.append(None)
            end = slot
        return items

    def _btree_items(self, base: int) -> list[bytes | None]:
        items: list[bytes | None] = []
        for slot in self._slots(base):
            (size,) = self.u16.unpack_from(self.data, base + slot)
            kind = self.data[base + slot + 2]
            if kind == _KEY_DATA:
                items.append(self.data[base + slot + 3 : base + slot + 3 + size])
            elif kind == _OFF_PAGE:
                items.append(self._overflow(base + slot + 4))
            else:
                items.append(None)
        return items

    def _overflow(self, position: int) -> bytes:
        """An item on pages of its own: first page and length at `position`."""
        (page,) = self.u32.unpack_from(self.data, position)
        (left,) = self.u32.unpack_from(self.data, position + 4)
        parts: list[bytes] = []
        while page and left > 0:
            self.pages += 1
            if self.pages > MAX_PAGES:
                raise BdbError("loop of overflow pages")
            base = page * self.size
            (used,) = self.u16.unpack_from(self.data, base + 22)
            parts.append(self.data[base + _PAGE_HEADER : base + _PAGE_HEADER + min(used, left)])
            left -= used
            (page,) = self.u32.unpack_from(self.data, base + 16)
        return b"".join(parts)
