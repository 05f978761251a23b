"""`lmdb`: memory-mapped databases made by others; read only. # Exim spec 9.3"""

from __future__ import annotations

import os
from typing import Any

from angaros.lookups.base import NOT_FOUND, PlainDriver, Request, check_file
from angaros.model.errors import LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import octets, text


class LmdbFile:
    """One environment that is one file."""

    __slots__ = ("_environment",)

    def __init__(self, path: str, status: os.stat_result) -> None:
        import lmdb

        check_file(status, path, "lmdb")
        try:
            self._environment: Any = lmdb.open(path, subdir=False, readonly=True, lock=False, readahead=False, create=False)
        except lmdb.Error as error:
            raise LookupFailure(f"LMDB: Unable to open environment with error: {error}") from error

    def get(self, key: bytes) -> bytes | None:
        """One record, from a fresh snapshot."""
        with self._environment.begin() as transaction:
            value: bytes | None = transaction.get(key)
            return value

    def close(self) -> None:
        """Close it."""
        self._environment.close()


class Lmdb(PlainDriver):
    """Keys without a terminating zero."""

    def find(self, request: Request) -> LookupResult:
        """# Exim spec 9.3"""
        try:
            file: LmdbFile = request.files.get("lmdb", request.source, LmdbFile)
        except OSError as error:
            raise LookupFailure(f"LMDB: Unable to open environment with error: {error.strerror}") from error
        value = file.get(octets(request.key)) if request.key else None
        return NOT_FOUND if value is None else LookupResult(text(value))
