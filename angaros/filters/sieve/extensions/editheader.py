"""editheader: `addheader`, `deleteheader`. # RFC 5293

The script sees its own changes; deliveries that it sets up afterwards get them. A delivery can only take all fields of a
name away and append new ones, so fields of a changed name move to the end of the header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.filters.sieve.automatic import header_text
from angaros.filters.sieve.fields import decoded, valid_name
from angaros.filters.sieve.match import MATCH_TAGS, check_comparator, compare
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag
from angaros.mime.headers import header_type
from angaros.model.message import Header
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

MAX_VALUE = 4096
"""Octets of a field that a script adds."""

_PROTECTED = frozenset({"received", "auto-submitted"})
"""Not to be deleted. # RFC 5293 6"""


class Edits:
    """Names of fields that were touched."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def touch(self, name: str) -> None:
        if name.lower() not in self.names:
            self.names.append(name.lower())

    def changes(self, run: Run) -> tuple[list[str], str]:
        """Lines to add and names to remove for a delivery that is set up now."""
        original = {name: [h.text for h in run.message.headers_named(name)] for name in self.names}
        added: list[str] = []
        removed: list[str] = []
        for name in self.names:
            lines = [field.text for field in run.fields if field.name.lower() == name]
            kept = original[name]
            if lines == kept:
                continue
            if kept and lines[: len(kept)] == kept:
                added += lines[len(kept) :]
                continue
            if kept:
                removed.append(name)
            added += lines
        return added, ":".join(removed)


def _edits(run: Run) -> Edits:
    edits: Edits | None = run.memory.get("editheader")
    if edits is None:
        edits = run.memory["editheader"] = Edits()
    return edits


def check_addheader(checker: Any, node: Node) -> None:
    """# RFC 5293 4"""
    if checker.constant(node.args[0]) and not valid_name(node.args[0]):
        raise checker.fail("invalid header field")


def do_addheader(run: Run, node: Node) -> None:
    """At the beginning, or with `:last` at the end. # RFC 5293 4"""
    name, value = node.args
    if len(value) > MAX_VALUE:
        raise run.fail("header field is too long")
    text = value if value.isascii() and "\n" not in value else header_text(value)
    header = Header(concat([name, ": ", text, "\n"]), header_type(name))
    _edits(run).touch(name)
    if "last" in node.tags:
        run.fields.append(header)
    else:
        run.fields.insert(0, header)


def check_deleteheader(checker: Any, node: Node) -> None:
    """# RFC 5293 5"""
    check_comparator(checker, node)
    if checker.constant(node.args[0]) and not valid_name(node.args[0]):
        raise checker.fail("invalid header field")
    if "last" in node.tags and "index" not in node.tags:
        raise checker.fail(":last without :index")


def do_deleteheader(run: Run, node: Node) -> None:
    """# RFC 5293 5"""
    name, patterns = node.args[0].lower(), node.args[1]
    if name in _PROTECTED:
        return
    fields = [field for field in run.fields if field.name.lower() == name]
    number = node.tags.get("index")
    if number is not None:
        at = -number if "last" in node.tags else number - 1
        fields = [fields[at]] if 1 <= number <= len(fields) else []
    gone = [
        field
        for field in fields
        if patterns is None or compare(run, node, [decoded(field.value.replace("\n", "").strip())], patterns)
    ]
    if gone:
        _edits(run).touch(name)
        run.fields[:] = [field for field in run.fields if not any(field is other for other in gone)]


EXTENSION = Extension(
    ("editheader",),
    commands=(
        Spec(
            "addheader",
            do_addheader,
            "editheader",
            (Tag(":last"),),
            (Argument("string", "missing header name string"), Argument("string", "missing value string")),
            check_addheader,
        ),
        Spec(
            "deleteheader",
            do_deleteheader,
            "editheader",
            (Tag(":index", argument=Argument("number", "missing number")), Tag(":last"), *MATCH_TAGS),
            (
                Argument("string", "missing header name string"),
                Argument("list", "value pattern string list expected", optional=True),
            ),
            check_deleteheader,
        ),
    ),
)
