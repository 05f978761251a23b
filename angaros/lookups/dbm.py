"""`dbm`, `dbmnz`, `dbmjz`: indexed files. # Exim spec 9.3

Formats, told apart by their first octets:
- SQLite with one table `tbl(ky, dat)`, what Exim 4.98 and later make when built with USE_SQLITE; `write_dbm` (our
  `exim_dbmbuild`) makes these too.
- Berkeley DB hash and btree files, what Exim on Debian and elsewhere has made so far: read, never written.
- GDBM, where Python's `dbm.gnu` is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, Protocol

from angaros.lists.parse import split_list
from angaros.lookups.base import NOT_FOUND, PlainDriver, Request, check_file
from angaros.lookups.bdb import BdbError, is_bdb, read_bdb
from angaros.model.errors import LookupDefer, LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import octets, text, untaint

_SQLITE_HEAD = b"SQLite format 3\0"
_GDBM_MAGICS = frozenset((0x13579ACD, 0x13579ACE, 0x13579ACF))
_UNSAFE = re.compile(r"[^\x21-\x7e]|[+=]")
_SCHEMA = "CREATE TABLE tbl (ky TEXT PRIMARY KEY, dat BLOB)"


class DbmFile(Protocol):
    """An open file."""

    def get(self, key: bytes) -> bytes | None:
        """Data of a key."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def encode_key(key: str) -> str:
    """Keys in SQLite files are xtext, so that they may have zeros. # RFC 3461 4"""
    return _UNSAFE.sub(lambda match: f"+{ord(match[0]):02X}", key)


def decode_key(key: str) -> str:
    """The other way."""
    return re.sub(r"\+([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), key)


class SqliteFile:
    """What we write."""

    __slots__ = ("_base",)

    def __init__(self, path: str) -> None:
        import sqlite3
        from urllib.parse import quote

        self._base = sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        self._base.text_factory = bytes

    def get(self, key: bytes) -> bytes | None:
        """One row."""
        row = self._base.execute("SELECT dat FROM tbl WHERE ky = ?", (encode_key(text(key)),)).fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Close it."""
        self._base.close()


class BerkeleyFile:
    """Read into memory."""

    __slots__ = ("_records",)

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self._records = read_bdb(file.read())

    def get(self, key: bytes) -> bytes | None:
        """One record."""
        return self._records.get(key)

    def close(self) -> None:
        """Forget it."""
        self._records = {}


class GnuFile:
    """Through Python's own module."""

    __slots__ = ("_base",)

    def __init__(self, path: str) -> None:
        import dbm.gnu

        self._base: Any = dbm.gnu.open(path, "ru")  # noqa: SIM115

    def get(self, key: bytes) -> bytes | None:
        """One record."""
        value: bytes | None = self._base.get(key)
        return value

    def close(self) -> None:
        """Close it."""
        self._base.close()


def open_dbm(path: str, status: os.stat_result) -> DbmFile:
    """Open by format. Raises OSError, `LookupFailure`."""
    check_file(status, path, "dbm")
    with open(path, "rb") as file:
        head = file.read(64)
    if head[:16] == _SQLITE_HEAD:
        return SqliteFile(path)
    if is_bdb(head):
        return BerkeleyFile(path)
    if int.from_bytes(head[:4], "little") in _GDBM_MAGICS or int.from_bytes(head[:4], "big") in _GDBM_MAGICS:
        return GnuFile(path)
    raise OSError(22, "Invalid argument")


class Dbm(PlainDriver):
    """All three: they differ in what is done to the key."""

    def find(self, request: Request) -> LookupResult:
        """# Exim spec 9.3"""
        key = untaint(request.key)
        if request.kind == "dbm":
            key += "\0"
        elif request.kind == "dbmjz":
            parts = split_list(key)
            if not parts:
                raise LookupFailure("empty list key")
            key = "\0".join(parts)
        try:
            file: DbmFile = request.files.get("dbm", request.source, open_dbm)
            value = file.get(octets(key))
        except (OSError, ImportError, BdbError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise LookupFailure(f"failed to open {request.source} as a sqlite3 file: {reason}") from error
        except Exception as error:  # sqlite3.Error, _gdbm.error: neither module is imported here
            raise LookupDefer(f"{request.source}: {error}") from error
        return NOT_FOUND if value is None else LookupResult(text(value.partition(b"\0")[0]))


def write_dbm(path: str, records: Iterable[tuple[str, str]], *, zero: bool = True) -> int:
    """Make a new file, in a temporary one that then takes its name; the first of equal keys stays. Returns how many were
    written. `zero`: keys end in a zero, as `dbm` lookups want it. # Exim spec 54.9"""
    import sqlite3

    temporary = f"{path}.dbmbuild_temp"
    if os.path.exists(temporary):
        os.unlink(temporary)
    end = "\0" if zero else ""
    base = sqlite3.connect(temporary, isolation_level=None)
    try:
        base.execute("PRAGMA journal_mode=OFF")
        base.execute(_SCHEMA)
        base.execute("BEGIN")
        rows = ((encode_key(key + end), octets(value) + b"\0") for key, value in records)
        count = base.executemany("INSERT OR IGNORE INTO tbl VALUES (?, ?)", rows).rowcount
        base.execute("COMMIT")
    finally:
        base.close()
    os.rename(temporary, path)
    return max(count, 0)


def read_all(path: str) -> list[tuple[str, str]]:
    """All records, for `exim_dumpdb` and tests; only of files that we write and Berkeley DB files."""
    import sqlite3

    with open(path, "rb") as file:
        data = file.read()
    if data[:16] != _SQLITE_HEAD:
        return [(text(key), text(value)) for key, value in read_bdb(data).items()]
    base = sqlite3.connect(path)
    try:
        return [(decode_key(key), text(bytes(value))) for key, value in base.execute("SELECT ky, dat FROM tbl")]
    finally:
        base.close()
