"""`sqlite`. # Exim spec 9.26"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from angaros.lookups.base import Request
from angaros.lookups.sql import shape
from angaros.model.errors import LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import Tainted, untaint

NULL = "<NULL>"
MAX_FILES = 25
"""Databases kept open."""


class Sqlite:
    """Keeps databases open; a lock is waited for in a thread."""

    def __init__(self) -> None:
        self._open: dict[str, sqlite3.Connection] = {}

    def find(self, request: Request) -> LookupResult:
        """Any SQL; a wrong statement is a lookup that found nothing, as in Exim."""
        path, query = _file_and_query(request)
        seconds = request.scope.services.config.main.sqlite_lock_timeout
        base = self._connect(path)
        try:
            try:
                return _run(base, query, 0)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
            return request.scope.services.waiter.in_thread(lambda: _run(base, query, seconds))
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            request.scope.services.log.debug("lookup", f"sqlite3_exec failed: {error}")
            return LookupResult(None)

    def _connect(self, path: str) -> sqlite3.Connection:
        base = self._open.get(path)
        if base is None:
            while len(self._open) >= MAX_FILES:
                self._open.pop(next(iter(self._open))).close()
            try:
                base = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
                base.text_factory = _decode
                base.execute("PRAGMA schema_version")
            except sqlite3.Error as error:
                if base is None or "locked" not in str(error):
                    raise LookupFailure(str(error)) from error
            self._open[path] = base
        return base

    def quote(self, value: str, option: str, kind: str) -> str | None:
        """A single quote is doubled."""
        return None if option else str(value).replace("'", "''")

    def close(self) -> None:
        """Close all."""
        for base in self._open.values():
            base.close()
        self._open.clear()


def _decode(octets: bytes) -> str:
    return octets.decode("latin-1")


def _file_and_query(request: Request) -> tuple[str, str]:
    """From the option `file=`, the start of the query, or `sqlite_dbfile`."""
    query = request.key
    path: str = request.option("file") or ""
    if not path and query[:1] == "/":
        parts = query.split(None, 1)
        path, query = parts[0], parts[1] if len(parts) > 1 else ""
        if isinstance(request.key, Tainted):
            request.scope.log(f"Tainted filename for search: '{path}'", panic=True)
            raise LookupFailure("NULL")
    path = path or request.scope.services.config.main.sqlite_dbfile or ""
    if path[:1] != "/":
        raise LookupFailure('absolute file name expected for "sqlite" lookup')
    return path, untaint(query)


def _statements(query: str) -> Iterator[str]:
    """One statement after the other."""
    begin = end = 0
    while (end := query.find(";", end)) >= 0:
        end += 1
        if sqlite3.complete_statement(query[begin:end]):
            yield query[begin:end]
            begin = end
    if query[begin:].strip():
        yield query[begin:]


def _run(base: sqlite3.Connection, query: str, seconds: int) -> LookupResult:
    """All statements; their rows follow one another."""
    base.execute(f"PRAGMA busy_timeout = {int(seconds) * 1000}")
    text = query.encode("latin-1").decode("utf-8", "replace")
    lines: list[str] = []
    for statement in _statements(text):
        cursor = base.execute(statement)
        if cursor.description is None:
            continue
        names = [name[0].encode("utf-8").decode("latin-1") for name in cursor.description]
        rows = [[_text(value) for value in row] for row in cursor]
        found = shape(names, rows).value
        if found is not None:
            lines.append(found)
    return LookupResult("\n".join(lines)) if lines else LookupResult(None, cacheable=False)


def _text(value: object) -> str:
    if value is None:
        return NULL
    if isinstance(value, float):
        digits, exponent, power = f"{value:.15g}".partition("e")
        return digits + ("" if "." in digits or not digits.lstrip("-").isdigit() else ".0") + exponent + power
    return value.decode("latin-1").partition("\0")[0] if isinstance(value, bytes) else str(value)
