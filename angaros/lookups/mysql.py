"""`mysql`: MySQL and MariaDB through PyMySQL, in a thread. # Exim spec 9.22-9.24"""

from __future__ import annotations

import os
from typing import Any

from angaros.lookups.base import NOT_FOUND, Request
from angaros.lookups.sql import Kind, Pool, Server, host_and_port, perform, quote_backslash, shape
from angaros.model.errors import LookupDefer
from angaros.model.interfaces import LookupResult
from angaros.model.text import octets, text, untaint

KIND = Kind("MySQL", "mysql_servers")
PORT = 3306
GROUP = "exim"
"""Default group in MySQL's option files."""
OPTION_FILES = ("/etc/mysql/my.cnf", "/etc/my.cnf")
SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")
"""Where the local server's socket is when nothing says so (Debian, Red Hat, MySQL's own default)."""
LOST = (0, 2006, 2013, 1927, 1317, 1053)
"""Error numbers of a connection that has ended."""
CONNECT_TIMEOUT = 30
"""Seconds; Exim leaves it to the library, whose default is the system's (minutes)."""


class Mysql:
    """Keeps connections."""

    def __init__(self) -> None:
        self._pool = Pool(any_password=True)

    def find(self, request: Request) -> LookupResult:
        """Rows, or the number of rows that a command changed."""
        waiter = request.scope.services.waiter
        return perform(request, KIND, lambda server, query: waiter.in_thread(lambda: self._ask(server, untaint(query))))

    def _ask(self, server: Server, query: str) -> LookupResult:
        """A connection that was kept may be dead: then once more with a new one."""
        import pymysql

        connection = self._pool.take(server)
        if connection is not None:
            try:
                return self._use(server, connection, query)
            except pymysql.err.MySQLError as error:
                if error.args and error.args[0] not in LOST:
                    self._pool.give(server, connection)
                    raise LookupDefer(f"MYSQL: query failed: {error.args[-1]}") from error
                connection.close()
        try:
            connection = _connect(server)
        except (pymysql.err.MySQLError, OSError) as error:
            raise LookupDefer(f"MYSQL connection failed: {error.args[-1]}") from error
        try:
            return self._use(server, connection, query)
        except pymysql.err.MySQLError as error:
            connection.close()
            raise LookupDefer(f"MYSQL: query failed: {error.args[-1]}") from error

    def _use(self, server: Server, connection: Any, query: str) -> LookupResult:
        with connection.cursor() as cursor:
            affected = cursor.execute(octets(query))
            if cursor.description is None:
                result = LookupResult(str(affected), cacheable=False)
            else:
                names = [column[0].encode("utf-8").decode("latin-1") for column in cursor.description]
                rows = [["" if value is None else text(bytes(value)) for value in row] for row in cursor]
                result = shape(names, rows) if rows else NOT_FOUND
            if cursor.nextset():
                raise LookupDefer("MYSQL: got unexpected more results")
        self._pool.give(server, connection)
        return result

    def quote(self, value: str, option: str, kind: str) -> str | None:
        """# Exim spec 9.22"""
        return None if option else quote_backslash(value)

    def close(self) -> None:
        """Close connections."""
        self._pool.close()


def _connect(server: Server) -> Any:
    """`host:port(socket)[group]/database/user/password`. # Exim spec 9.24"""
    import pymysql

    address, _, group = server.host.partition("[")
    host, socket = Server(address, ()).port_part
    host, port = host_and_port(host, PORT)
    database, user, password = server.rest
    arguments: dict[str, Any] = {
        "user": user or None,
        "password": password,
        "database": database or None,
        "charset": "utf8mb4",
        "use_unicode": False,
        "conv": {},
        "autocommit": True,
        "connect_timeout": CONNECT_TIMEOUT,
        "read_default_group": group.rstrip("]") or GROUP,
        "read_default_file": next((path for path in OPTION_FILES if os.path.exists(path)), OPTION_FILES[-1]),
    }
    if socket or host in ("", "localhost"):
        arguments["unix_socket"] = socket or next((path for path in SOCKETS if os.path.exists(path)), SOCKETS[0])
    else:
        arguments |= {"host": host, "port": port}
    try:
        return pymysql.connect(**arguments)
    except OSError:  # a TLS context cannot be made (an SSLKEYLOGFILE that is not ours, no certificates): TLS is optional here
        return pymysql.connect(**arguments, ssl_disabled=True)
