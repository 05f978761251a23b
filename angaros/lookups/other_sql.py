"""`oracle` (python-oracledb, thin) and `ibase` (fdb), where they are installed; in a thread. # Exim spec 9.22"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from angaros.lookups.base import NOT_FOUND, Request
from angaros.lookups.sql import Kind, Pool, Server, perform, quote_backslash, shape
from angaros.model.errors import LookupDefer
from angaros.model.interfaces import LookupResult
from angaros.model.text import untaint

ORACLE = Kind("ORACLE", "oracle_servers")
IBASE = Kind("IBASE", "ibase_servers")


class _DbApi:
    """What the two have in common: PEP 249."""

    kind: Kind
    connect: Callable[[Server], Any]

    def __init__(self) -> None:
        self._pool = Pool()

    def find(self, request: Request) -> LookupResult:
        """Rows, or the number of rows that a command changed."""
        waiter = request.scope.services.waiter
        return perform(request, self.kind, lambda server, query: waiter.in_thread(lambda: self._ask(server, untaint(query))))

    def _ask(self, server: Server, query: str) -> LookupResult:
        name = self.kind.name
        connection = self._pool.take(server)
        try:
            connection = connection or type(self).connect(server)
        except Exception as error:  # the modules' errors have no common base that could be named without importing them
            raise LookupDefer(f"{name} connection failed: {error}") from error
        try:
            result = _run(connection, query)
        except Exception as error:
            connection.close()
            raise LookupDefer(f"{name}: query failed: {error}") from error
        self._pool.give(server, connection)
        return result

    def quote(self, value: str, option: str, kind: str) -> str | None:
        """Oracle as MySQL; InterBase doubles single quotes."""
        if option:
            return None
        return quote_backslash(value) if kind == "oracle" else value.replace("'", "''")

    def close(self) -> None:
        """Close connections."""
        self._pool.close()


def _run(connection: Any, query: str) -> LookupResult:
    cursor = connection.cursor()
    try:
        cursor.execute(query.encode("latin-1").decode("utf-8", "replace").rstrip("; \n"))
        if cursor.description is None:
            connection.commit()
            return LookupResult(str(max(cursor.rowcount, 0)), cacheable=False)
        names = [_octets(column[0]) for column in cursor.description]
        rows = [[_octets(value) for value in row] for row in cursor.fetchall()]
        return shape(names, rows) if rows else NOT_FOUND
    finally:
        cursor.close()


def _octets(value: object) -> str:
    return "" if value is None else str(value).encode("utf-8").decode("latin-1")


def _connect_oracle(server: Server) -> Any:
    """The host is the service name; the database name is not used."""
    _, user, password = server.rest
    return import_module("oracledb").connect(user=user, password=password, dsn=server.host)


def _connect_ibase(server: Server) -> Any:
    """`host|/path/of/database` may not be split at slashes: the path stands in parentheses."""
    host, path = server.port_part
    database, user, password = server.rest
    return import_module("fdb").connect(host=host, database=path or database, user=user, password=password)


class Oracle(_DbApi):
    """# Exim spec 9.22"""

    kind = ORACLE
    connect = staticmethod(_connect_oracle)


class Ibase(_DbApi):
    """# Exim spec 9.22"""

    kind = IBASE
    connect = staticmethod(_connect_ibase)
