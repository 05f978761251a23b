"""`cdb`: constant databases. # Exim spec 9.3, https://cr.yp.to/cdb/cdb.txt"""

from __future__ import annotations

import mmap
import os
import struct

from angaros.lookups.base import NOT_FOUND, PlainDriver, Request, check_file
from angaros.model.errors import LookupDefer, LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import octets, text

_PAIR = struct.Struct("<II")
_HEADER = 2048


class CdbFile:
    """One open file, mapped."""

    __slots__ = ("_map", "path")

    def __init__(self, path: str, status: os.stat_result) -> None:
        check_file(status, path, "cdb")
        if status.st_size < _HEADER:
            raise LookupFailure(f"failed to open {path} too short for cdb lookup: {os.strerror(2)}")
        self.path = path
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def close(self) -> None:
        """Unmap."""
        self._map.close()

    def get(self, key: bytes) -> bytes | None:
        """Data of the first record with this key."""
        hashed = 5381
        for octet in key:
            hashed = ((hashed << 5) + hashed ^ octet) & 0xFFFFFFFF
        data = self._map
        try:
            start, slots = _PAIR.unpack_from(data, (hashed & 255) * 8)
            for probe in range(slots):
                known, position = _PAIR.unpack_from(data, start + ((hashed >> 8) + probe) % slots * 8)
                if not position:
                    return None
                if known == hashed:
                    key_size, data_size = _PAIR.unpack_from(data, position)
                    begin = position + 8
                    if data[begin : begin + key_size] == key:
                        return bytes(data[begin + key_size : begin + key_size + data_size])
        except struct.error:
            raise LookupDefer(f"cdb: corrupt cdb file {self.path} (too short)") from None
        return None


class Cdb(PlainDriver):
    """Keys without a terminating zero."""

    def find(self, request: Request) -> LookupResult:
        """# Exim spec 9.3"""
        try:
            file: CdbFile = request.files.get("cdb", request.source, CdbFile)
        except OSError as error:
            raise LookupFailure(f"failed to open {request.source} for cdb lookup: {error.strerror}") from error
        value = file.get(octets(request.key))
        return NOT_FOUND if value is None else LookupResult(text(value))
