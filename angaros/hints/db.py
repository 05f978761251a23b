"""Hints databases: typed records in SQLite, one file a database, under Exim's names in `spool/db/`.

Laws:
- Hints may vanish at any time; nothing here stops mail. A file that cannot be used is set aside and begun anew; a directory
  that cannot be written makes every read empty and every write vain.
- A record is a JSON object of numbers and text; the time of its last change stands beside it, for `exim_tidydb`.
- Keys are octets (latin-1 text). A connection is used by one thread of one process; after a fork a new one is opened.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from angaros.model.errors import AngarosError

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS = 5.0
"""How long to wait for another process's transaction: those take microseconds."""

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750

SCHEMA = "CREATE TABLE IF NOT EXISTS hints (key TEXT PRIMARY KEY, time REAL NOT NULL, record TEXT NOT NULL) WITHOUT ROWID"


class HintsError(AngarosError):
    """A database name that is no plain file name."""


class HintsDb:
    """`model.interfaces.Hints` over SQLite files."""

    def __init__(self, directory: str, *, uid: int = -1, gid: int = -1, now: Callable[[], float] = time.time) -> None:
        self.directory = directory
        self._owner = (uid, gid)
        self._now = now
        self._pid = os.getpid()
        self._open: dict[str, sqlite3.Connection | None] = {}

    # --- model.interfaces.Hints ---------------------------------------------------------------------------------------

    def get(self, database: str, key: str) -> dict[str, Any] | None:
        """The record of `key`, or None."""
        row = self._run(database, "SELECT record FROM hints WHERE key = ?", (key,), create=False)
        return _decode(row[0]) if row else None

    def put(self, database: str, key: str, record: Mapping[str, Any]) -> None:
        """Store a record; the time of its change is now."""
        values = (key, self._now(), json.dumps(record))
        self._run(database, "INSERT OR REPLACE INTO hints (key, time, record) VALUES (?, ?, ?)", values)

    def delete(self, database: str, key: str) -> None:
        """Forget a key."""
        self._run(database, "DELETE FROM hints WHERE key = ?", (key,), create=False)

    def update(self, database: str, key: str, change: Callable[[dict[str, Any] | None], dict[str, Any] | None]) -> None:
        """Read, change and write with other processes kept out; None deletes. `change` must not wait for anything."""

        def attempt(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                row = connection.execute("SELECT record FROM hints WHERE key = ?", (key,)).fetchone()
                record = change(_decode(row[0]) if row else None)
                if record is None:
                    connection.execute("DELETE FROM hints WHERE key = ?", (key,))
                else:
                    connection.execute(
                        "INSERT OR REPLACE INTO hints (key, time, record) VALUES (?, ?, ?)",
                        (key, self._now(), json.dumps(record)),
                    )
                connection.execute("COMMIT")
            except BaseException:
                with suppress(Exception):
                    connection.execute("ROLLBACK")
                raise

        if not self._with(database, attempt):
            change(None)

    # --- for the tools ------------------------------------------------------------------------------------------------

    def items(self, database: str) -> Iterator[tuple[str, float, dict[str, Any]]]:
        """All (key, time of last change, record), keys in order."""
        rows: list[tuple[str, float, str]] = []

        def attempt(connection: sqlite3.Connection) -> None:
            rows[:] = connection.execute("SELECT key, time, record FROM hints ORDER BY key").fetchall()

        self._with(database, attempt, create=False)
        for key, changed, text in rows:
            record = _decode(text)
            if record is not None:
                yield key, changed, record

    def exists(self, database: str) -> bool:
        """Whether the database's file is there."""
        return os.path.exists(self._path(database))

    def names(self) -> list[str]:
        """Databases that exist."""
        try:
            found = os.listdir(self.directory)
        except OSError:
            return []
        return sorted(name for name in found if not name.endswith(("-wal", "-shm", ".lockfile", ".bad")))

    def touched(self, database: str, key: str) -> float:
        """Time of the key's last change; 0.0 when it is not there."""
        row = self._run(database, "SELECT time FROM hints WHERE key = ?", (key,), create=False)
        return float(row[0]) if row else 0.0

    def close(self) -> None:
        """Close all files."""
        for connection in self._open.values():
            if connection is not None and self._pid == os.getpid():
                connection.close()
        self._open.clear()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _path(self, database: str) -> str:
        if not database or "/" in database or "\0" in database or database.startswith("."):
            raise HintsError(f'bad name for a hints database: "{database}"')
        return f"{self.directory}/{database}"

    def _run(self, database: str, sql: str, values: tuple[Any, ...], *, create: bool = True) -> tuple[Any, ...] | None:
        """One statement and its first row."""
        result: list[tuple[Any, ...] | None] = [None]

        def attempt(connection: sqlite3.Connection) -> None:
            result[0] = connection.execute(sql, values).fetchone()

        self._with(database, attempt, create=create)
        return result[0]

    def _with(self, database: str, attempt: Callable[[sqlite3.Connection], None], *, create: bool = True) -> bool:
        """Run `attempt` on the connection; a file that turns out damaged is set aside and the attempt made once more."""
        import sqlite3

        for last in (False, True):
            connection = self._connection(database, create)
            if connection is None:
                return False
            try:
                attempt(connection)
                return True
            except sqlite3.OperationalError:
                return False  # busy, read-only, full disk: hints are not worth more
            except sqlite3.DatabaseError:
                if last:
                    return False
                self._set_aside(database)
        return False

    def _connection(self, database: str, create: bool) -> sqlite3.Connection | None:
        if self._pid != os.getpid():
            self._open = {}  # connections must not cross a fork; the parent closes its own
            self._pid = os.getpid()
        connection = self._open.get(database)
        if connection is not None:
            return connection
        path = self._path(database)
        if not create and not os.path.exists(path):
            return None
        connection = self._open_file(path)
        if connection is not None:
            self._open[database] = connection
        return connection

    def _open_file(self, path: str) -> sqlite3.Connection | None:
        import sqlite3

        try:
            self._prepare(path)
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error):
            return None
        try:
            self._set_up(connection)
        except sqlite3.OperationalError:
            connection.close()
            return None
        except sqlite3.DatabaseError:  # not a database (Exim's own, for example), or damaged
            connection.close()
            _move_aside(path)
            try:
                self._prepare(path)
                connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
                self._set_up(connection)
            except (OSError, sqlite3.Error):
                return None
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")  # after a power failure the file may be begun anew
        connection.execute(SCHEMA)

    def _prepare(self, path: str) -> None:
        """Make directory and file with the right mode and owner; SQLite gives -wal and -shm those of the file."""
        uid, gid = self._owner
        root = os.geteuid() == 0 and uid > 0
        if not os.path.isdir(self.directory):
            os.makedirs(self.directory, DIRECTORY_MODE, exist_ok=True)
            if root:
                os.chown(self.directory, uid, gid)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        except FileExistsError:
            return
        if root:
            os.fchown(fd, uid, gid)
        os.close(fd)

    def _set_aside(self, database: str) -> None:
        connection = self._open.pop(database, None)
        if connection is not None:
            connection.close()
        _move_aside(self._path(database))


def _decode(text: str) -> dict[str, Any] | None:
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _move_aside(path: str) -> None:
    with suppress(OSError):
        os.replace(path, path + ".bad")
    for suffix in ("-wal", "-shm"):
        with suppress(OSError):
            os.unlink(path + suffix)


class MemoryHints:
    """`model.interfaces.Hints` without files: tests, -bh, and -be."""

    def __init__(self) -> None:
        self.databases: dict[str, dict[str, dict[str, Any]]] = {}

    def get(self, database: str, key: str) -> dict[str, Any] | None:
        """A copy of the record."""
        record = self.databases.get(database, {}).get(key)
        return dict(record) if record is not None else None

    def put(self, database: str, key: str, record: Mapping[str, Any]) -> None:
        """Store."""
        self.databases.setdefault(database, {})[key] = dict(record)

    def delete(self, database: str, key: str) -> None:
        """Forget."""
        self.databases.get(database, {}).pop(key, None)

    def update(self, database: str, key: str, change: Callable[[dict[str, Any] | None], dict[str, Any] | None]) -> None:
        """Read, change, write."""
        record = change(self.get(database, key))
        if record is None:
            self.delete(database, key)
        else:
            self.put(database, key, record)
