"""duplicate: messages that have been here before. # RFC 7352

What was seen stands in one small database in `sieve_vacation_directory`, the directory of the user's Sieve state.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from typing import TYPE_CHECKING, Any

from angaros.filters.sieve.fields import check_names, raw_values
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

DATABASE = "duplicates.sqlite"
DEFAULT_SECONDS = 7 * 86400
MAX_SECONDS = 90 * 86400
"""Longer times are cut. # RFC 7352 3.3"""

BUSY_SECONDS = 10.0
"""How long another delivery to the same user may hold the database."""


def check_duplicate(checker: Any, node: Node) -> None:
    """`:header` names a field."""
    if node.tags.get("unique tag") == ":header":
        check_names(checker, [node.tags["unique"]])


def is_duplicate(run: Run, node: Node) -> bool:
    """# RFC 7352 3"""
    unique = _unique(run, node)
    if unique is None:
        return False
    directory = run.setting.vacation_directory
    if directory is None:
        raise run.fail("duplicate disabled")
    key = hashlib.sha256(f"{node.tags.get('handle', '')}\0{unique}".encode("latin-1")).hexdigest()
    seconds = min(node.tags.get("seconds", DEFAULT_SECONDS), MAX_SECONDS)
    try:
        return _seen(os.path.join(directory, DATABASE), key, run, seconds, "last" in node.tags)
    except (OSError, sqlite3.Error):
        return False  # in doubt it is none: nothing may be lost


def _unique(run: Run, node: Node) -> str | None:
    """What identifies the message: its Message-ID, a field, or a given string. # RFC 7352 3.1"""
    if node.tags.get("unique tag") == ":uniqueid":
        return str(node.tags["unique"])
    name = node.tags.get("unique", "message-id")
    values = raw_values(run, name)
    return f"{name.lower()}:{values[0]}" if values and values[0] else None


def _seen(path: str, key: str, run: Run, seconds: int, refresh: bool) -> bool:
    """Look, and note this one. A test run notes nothing."""
    now = run.scope.services.clock.now()
    if run.setting.testing and not os.path.exists(path):
        return False
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None) as database:
        database.execute("CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, message TEXT, expires REAL)")
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM seen WHERE expires < ?", (now,))
        row = database.execute("SELECT message FROM seen WHERE key = ?", (key,)).fetchone()
        known = row is not None and row[0] != run.message.id  # a later attempt to deliver the same message is no duplicate
        if not run.setting.testing and (row is None or refresh):
            database.execute("REPLACE INTO seen VALUES (?, ?, ?)", (key, row[0] if known else run.message.id, now + seconds))
        database.execute("COMMIT")
    database.close()
    return known


EXTENSION = Extension(
    ("duplicate",),
    tests=(
        Spec(
            "duplicate",
            is_duplicate,
            "duplicate",
            (
                Tag(":handle", argument=Argument("string", "handle string expected")),
                Tag(
                    ":header",
                    "unique",
                    Argument("string", "header string expected"),
                    twice="header or uniqueid already specified",
                ),
                Tag(
                    ":uniqueid",
                    "unique",
                    Argument("string", "uniqueid string expected"),
                    twice="header or uniqueid already specified",
                ),
                Tag(":seconds", argument=Argument("number", "missing number")),
                Tag(":last"),
            ),
            check=check_duplicate,
        ),
    ),
)
