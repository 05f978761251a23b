"""Small things that transports do as the user: autoreply's log and once file, queuefile's copies."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from angaros.model.delivery import DeliveryResult
from angaros.transports.performing.copying import write_all
from angaros.transports.performing.creation import octets
from angaros.transports.performing.outcome import deferred
from angaros.transports.plan import AppendTextPlan, OncePlan, QueuefilePlan
from angaros.transports.writer import read_body


def perform_append_text(plan: AppendTextPlan, fds: list[int]) -> DeliveryResult:
    """Append to a file in one write."""
    try:
        fd = os.open(octets(plan.path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, plan.mode)
    except OSError as error:
        raise deferred("", error.errno or 0) from None
    try:
        os.write(fd, plan.text.encode("latin-1"))
    except OSError as error:
        raise deferred("", error.errno or 0) from None
    finally:
        os.close(fd)
    return DeliveryResult("ok")


ENTRY_OVERHEAD = 9
"""Octets that an entry of a fixed-size once file takes besides its address (a time, and an end mark): Exim's figure."""


def perform_once(plan: OncePlan, fds: list[int]) -> DeliveryResult:
    """Look up (detail `last`: seconds since the epoch, 0 for never) or note. The file is an SQLite database."""
    import sqlite3

    try:
        if plan.keep_days and not plan.note:
            _prepare_directory(plan)
        if os.path.isdir(octets(plan.path)):
            raise OSError(21, "Is a directory")
        os.close(os.open(octets(plan.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise deferred(error.strerror or "", error.errno or 0) from None
    result = DeliveryResult("ok")
    try:
        connection = sqlite3.connect(octets(plan.path).decode("utf-8", "surrogateescape"), timeout=10, isolation_level=None)
        try:
            connection.execute("CREATE TABLE IF NOT EXISTS once (key TEXT PRIMARY KEY, time REAL NOT NULL)")
            if plan.note:
                connection.execute("INSERT OR REPLACE INTO once VALUES (?, ?)", (plan.key, plan.now))
                if plan.max_size > 0:
                    _shrink(connection, plan.max_size)
            else:
                row = connection.execute("SELECT time FROM once WHERE key = ?", (plan.key,)).fetchone()
                result.detail["last"] = row[0] if row else 0.0
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise deferred(str(error), 5) from None
    return result


def _prepare_directory(plan: OncePlan) -> None:
    """The directory of a user's vacation databases: make it, remove those that have grown old. # README.SIEVE"""
    directory = os.path.dirname(octets(plan.path))
    os.makedirs(directory, mode=0o700, exist_ok=True)
    oldest = plan.now - plan.keep_days * 86400
    for entry in os.scandir(directory):
        stem = entry.name.partition(b".")[0]  # only what has a name of ours
        ours = len(stem) == 32 and not stem.strip(b"0123456789ABCDEF")
        if ours and entry.stat(follow_symlinks=False).st_mtime < oldest:
            with suppress(FileNotFoundError):
                os.unlink(entry.path)


def _shrink(connection: object, limit: int) -> None:
    """Drop the oldest entries until the rest would fit into a fixed-size file."""
    run = connection.execute  # type: ignore[attr-defined]
    rows = run("SELECT key FROM once ORDER BY time DESC").fetchall()
    used = 0
    for (key,) in rows:
        used += len(key) + ENTRY_OVERHEAD
        if used > limit:
            run("DELETE FROM once WHERE key = ?", (key,))


def perform_queuefile(plan: QueuefilePlan, fds: list[int]) -> DeliveryResult:
    """Copies of -D and -H in the directory."""
    base = octets(f"{plan.path}/{plan.message_id}")
    try:
        facts = os.stat(octets(plan.path))
        if not stat.S_ISDIR(facts.st_mode):
            raise OSError(20, "Not a directory")
    except OSError as error:
        text = f"transport accessing directory: {plan.path} failed with error: {error.strerror}"
        raise deferred(text, error.errno or 0) from None
    made: list[bytes] = []
    try:
        made.append(base + b"-D")
        _copy_data(plan, fds[0], base + b"-D")
        made.append(base + b"-H")
        fd = os.open(base + b"-H", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            write_all(fd, [plan.header_file.encode("latin-1")])
            os.fdatasync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        name = made.pop().decode("latin-1")
        for other in made:
            with suppress(OSError):
                os.unlink(other)
        if error.errno != 17:
            with suppress(OSError):
                os.unlink(name.encode("latin-1"))
        text = f"transport creating file: {name} failed with error: {error.strerror}"
        raise deferred(text, error.errno or 0) from None
    return DeliveryResult("ok")


def _copy_data(plan: QueuefilePlan, source: int, target: bytes) -> None:
    if plan.data_path:
        with suppress(OSError):
            os.link(octets(plan.data_path), target)
            return
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        write_all(fd, read_body(source, 0, os.fstat(source).st_size))
        os.fdatasync(fd)
    finally:
        os.close(fd)
