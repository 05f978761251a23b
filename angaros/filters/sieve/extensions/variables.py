"""variables: `set`, `string`, `${name}`. # RFC 5229"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from angaros.filters.sieve.match import MATCH_TAGS, check_comparator, compare
from angaros.filters.sieve.tests import KEYS
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag
from angaros.model.text import concat, like, lower

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

MAX_VALUE = 1 << 16
"""Octets of a variable; longer values are cut. RFC 5229 6 wants 4000 at least."""

MAX_VARIABLES = 1024
"""RFC 5229 6 wants 128 at least."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?")
_REFERENCE = re.compile(r"\$\{(?:(\d{1,9})|([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*))\}")
_ASCII_UPPER = {code: code - 32 for code in range(97, 123)}
_ADDED_BY = {":encodeurl": "enotify", ":quoteregex": "regex"}

_MODIFIERS: tuple[tuple[int, str, Callable[[str], str]], ...] = (
    (40, ":lower", lambda value: lower(value)),
    (40, ":upper", lambda value: _upper(value)),
    (30, ":lowerfirst", lambda value: concat([lower(value[:1]), value[1:]])),
    (30, ":upperfirst", lambda value: concat([_upper(value[:1]), value[1:]])),
    (20, ":quotewildcard", lambda value: like(re.sub(r"[*?\\]", r"\\\g<0>", value), value)),
    (20, ":quoteregex", lambda value: like(re.sub(r"[][^$.*+?(){}|\\/]", r"\\\g<0>", value), value)),
    (15, ":encodeurl", lambda value: _percent(value)),
    (10, ":length", lambda value: str(len(value.encode("latin-1").decode("utf-8", "replace")))),
)
"""Precedence, name, what it does: the greater goes first. # RFC 5229 4.1, RFC 5435 6"""


def _upper(value: str) -> str:
    """ASCII only: the text is octets."""
    return like(str(value).translate(_ASCII_UPPER), value)


def _percent(value: str) -> str:
    from urllib.parse import quote

    return like(quote(value.encode("latin-1"), safe="-._~"), value)


def substitute(run: Run, text: str) -> str:
    """`text` with its references replaced; unknown variables are empty. # RFC 5229 3"""
    out: list[str] = []
    pos = 0
    for found in _REFERENCE.finditer(text):
        out.append(text[pos : found.start()])
        out.append(_value(run, found))
        pos = found.end()
    out.append(text[pos:])
    return concat(out)


def _value(run: Run, found: re.Match[str]) -> str:
    if found[1] is not None:
        number = int(found[1])
        return run.captures[number] if number < len(run.captures) else ""
    name = found[2].lower()
    if "." in name and not name.startswith("global."):
        raise run.fail(f"unknown namespace in variable {found[2]}")
    return run.variables.get(name.removeprefix("global.") if name.startswith("global.") else local_name(run, name), "")


def local_name(run: Run, name: str) -> str:
    """Key of a variable of the script that runs: included ones have their own, but for global ones. # RFC 6609 3.4"""
    prefix = run.memory.get("include prefix", "")
    return name if name in run.memory.get("global names", ()) or not prefix else f"{prefix}{name}"


def store(run: Run, name: str, value: str) -> None:
    """Give a variable a value."""
    lowered = name.lower()
    key = lowered.removeprefix("global.") if lowered.startswith("global.") else local_name(run, lowered)
    if key not in run.variables and len(run.variables) >= MAX_VARIABLES:
        raise run.fail("too many variables")
    run.variables[key] = value[:MAX_VALUE]


def check_set(checker: Any, node: Node) -> None:
    """The name has to be one, and no number. # RFC 5229 4"""
    if _NAME.fullmatch(node.args[0]) is None:
        raise checker.fail(f'invalid variable name "{node.args[0]}"')


def do_set(run: Run, node: Node) -> None:
    """# RFC 5229 4"""
    value = node.args[1]
    for precedence, name, change in _MODIFIERS:
        if node.tags.get(str(precedence)) == name:
            value = change(value)
    store(run, node.args[0], value)


def is_string(run: Run, node: Node) -> bool:
    """# RFC 5229 5"""
    values = node.args[0]
    if node.tags.get("match tag") == ":count":
        values = [value for value in values if value]
    return compare(run, node, values, node.args[1])


_TAGS = tuple(
    Tag(name, str(precedence), capability=_ADDED_BY.get(name, ""), twice="modifiers of the same precedence")
    for precedence, name, _ in _MODIFIERS
)

EXTENSION = Extension(
    ("variables",),
    commands=(
        Spec(
            "set",
            do_set,
            "variables",
            _TAGS,
            (Argument("string", "missing variable name string"), Argument("string", "missing value string")),
            check_set,
        ),
    ),
    tests=(
        Spec(
            "string",
            is_string,
            "variables",
            MATCH_TAGS,
            (Argument("list", "source string list expected"), KEYS),
            check_comparator,
        ),
    ),
)
