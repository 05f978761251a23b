"""`pgsql`: PostgreSQL through libpq (psycopg's low level), in a thread: octets in, octets out. # Exim spec 9.22, 9.25"""

from __future__ import annotations

from typing import Any

from angaros.lookups.base import NOT_FOUND, Request
from angaros.lookups.sql import Kind, Pool, Server, host_and_port, perform, quote_backslash, shape
from angaros.model.errors import LookupDefer
from angaros.model.interfaces import LookupResult
from angaros.model.text import octets, text, untaint

KIND = Kind("PostgreSQL", "pgsql_servers")
SOCKET_NAME = ".s.PGSQL."


class Connection:
    """One libpq connection."""

    __slots__ = ("raw",)

    def __init__(self, parameters: dict[str, str]) -> None:
        from psycopg.pq import ConnStatus, PGconn

        line = " ".join(f"{name}={_quoted(value)}" for name, value in parameters.items() if value)
        self.raw: Any = PGconn.connect(octets(line))
        if self.raw.status != ConnStatus.OK:
            message = text(self.raw.error_message)
            self.raw.finish()
            raise LookupDefer(f"PGSQL connection failed: {message}")

    @property
    def alive(self) -> bool:
        """Whether the server has not hung up."""
        from psycopg.pq import ConnStatus

        return bool(self.raw.status == ConnStatus.OK)

    def close(self) -> None:
        """End it."""
        self.raw.finish()


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Pgsql:
    """Keeps connections."""

    def __init__(self) -> None:
        self._pool = Pool()

    def find(self, request: Request) -> LookupResult:
        """Rows, or the number of rows that a command changed."""
        waiter = request.scope.services.waiter
        return perform(request, KIND, lambda server, query: waiter.in_thread(lambda: self._ask(server, untaint(query))))

    def _ask(self, server: Server, query: str) -> LookupResult:
        """A connection that was kept may be dead: then once more with a new one."""
        connection: Connection | None = self._pool.take(server)
        if connection is not None:
            try:
                return self._use(server, connection, query)
            except LookupDefer:
                if connection.alive:
                    self._pool.give(server, connection)
                    raise
                connection.close()
        connection = Connection(_parameters(server))
        try:
            return self._use(server, connection, query)
        except LookupDefer:
            connection.close()
            raise

    def _use(self, server: Server, connection: Connection, query: str) -> LookupResult:
        from psycopg.pq import ExecStatus

        found = connection.raw.exec_(octets(query))
        status = ExecStatus(found.status)
        if status == ExecStatus.COMMAND_OK:
            result = LookupResult(str(found.command_tuples or 0), cacheable=False)
        elif status == ExecStatus.TUPLES_OK:
            names = [text(found.fname(column) or b"") for column in range(found.nfields)]
            rows = [
                [text(found.get_value(row, column) or b"") for column in range(found.nfields)] for row in range(found.ntuples)
            ]
            result = shape(names, rows) if rows else NOT_FOUND
        else:
            message = text(found.error_message).strip()
            raise LookupDefer(f"PGSQL: query failed: {message} (PGRES_{status.name}) ({query})")
        self._pool.give(server, connection)
        return result

    def quote(self, value: str, option: str, kind: str) -> str | None:
        """As for MySQL, but a single quote is doubled, as observed in Exim: a backslash would not protect it."""
        return None if option else quote_backslash(value).replace("\\'", "''")

    def close(self) -> None:
        """Close connections."""
        self._pool.close()


def _parameters(server: Server) -> dict[str, str]:
    """`host:port` or `(/path/.s.PGSQL.5432)`, database, user, password. # Exim spec 9.25"""
    host, path = server.port_part
    database, user, password = server.rest
    common = {"dbname": database, "user": user, "password": password, "client_encoding": "SQL_ASCII"}
    if path:
        directory, slash, name = path.rpartition("/")
        if not slash or not name.startswith(SOCKET_NAME):
            raise LookupDefer(f"PGSQL invalid filename for socket: {path}")
        return {"host": directory, "port": name[len(SOCKET_NAME) :], **common}
    name, port = host_and_port(host, 0)
    return {"host": name, "port": str(port) if port else "", **common}
