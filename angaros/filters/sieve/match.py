"""Comparing: match types and comparators. # RFC 5228 2.7, RFC 4790"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from angaros.filters.sieve.tree import Argument, Node, Tag
from angaros.model.text import like, lower

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

DEFAULT_COMPARATOR = "i;ascii-casemap"
_DIGITS = re.compile(r"\d+")
_MATCH_TWICE = "match type already specified"

MATCH_TAGS = (
    Tag(":is", "match", twice=_MATCH_TWICE),
    Tag(":contains", "match", twice=_MATCH_TWICE),
    Tag(":matches", "match", twice=_MATCH_TWICE),
    Tag(":comparator", "comparator", Argument("string", "missing comparator"), twice="comparator already specified"),
)
"""Tags of every test that compares."""

NUMERIC = "i;ascii-numeric"
_COMPARATORS = frozenset({"i;octet", "i;ascii-casemap", "en;ascii-casemap", NUMERIC})


def check_comparator(checker: Any, node: Node) -> None:
    """The comparator has to be a known one."""
    name = node.tags.get("comparator")
    if name is not None and checker.constant(name) and name.lower() not in _COMPARATORS:
        raise checker.fail("invalid comparator")
    if "match tag" in node.tags:
        from angaros.filters.sieve.extensions.relational import valid

        relation = node.tags["match"]
        if checker.constant(relation) and not valid(relation):
            raise checker.fail(f'unknown relation "{relation}"')


def compare(run: Run, node: Node, values: Sequence[str], keys: Sequence[str]) -> bool:
    """Whether some value matches some key. # RFC 5228 2.7.1"""
    comparator = node.tags.get("comparator", DEFAULT_COMPARATOR).lower()
    kind = node.tags.get("match tag") or node.tags.get("match", ":is")
    if kind == ":count":
        values, kind = [str(len(values))], ":value"
    if comparator == NUMERIC and kind in (":contains", ":matches", ":regex"):
        raise run.fail("comparator does not offer specified matchtype")
    one = _MATCHERS[kind]
    return any(one(run, node, comparator, value, key) for value in values for key in keys)


def folded(text: str, comparator: str) -> str:
    """As the comparator sees a string; `i;ascii-casemap` folds ASCII only. # RFC 4790 9.2"""
    return text if comparator == "i;octet" else lower(text)


def numeric(text: str) -> tuple[int, int]:
    """Key of order for `i;ascii-numeric`: leading digits; all that begins otherwise is equal and greater. # RFC 4790 9.1"""
    found = _DIGITS.match(text)
    return (0, int(found[0][:400])) if found is not None else (1, 0)


def order_key(text: str, comparator: str) -> Any:
    """What `<` compares."""
    return numeric(text) if comparator == NUMERIC else folded(text, comparator)


def _is(run: Run, node: Node, comparator: str, value: str, key: str) -> bool:
    return bool(order_key(value, comparator) == order_key(key, comparator))


def _contains(run: Run, node: Node, comparator: str, value: str, key: str) -> bool:
    return folded(key, comparator) in folded(value, comparator)


def _matches(run: Run, node: Node, comparator: str, value: str, key: str) -> bool:
    """`*` and `?`; sets `${1}`... # RFC 5229 3.2"""
    found = glob_match(_characters(value, comparator), _characters(key, comparator), comparator != "i;octet")
    if found is None:
        return False
    run.captures = (value, *(like(_octets(part, comparator), value) for part in found))
    return True


def _regex(run: Run, node: Node, comparator: str, value: str, key: str) -> bool:
    from angaros.filters.sieve.extensions.regex import search

    found = search(run, key, value, caseless=comparator != "i;octet")
    if found is None:
        return False
    run.captures = found
    return True


def _relation(run: Run, node: Node, comparator: str, value: str, key: str) -> bool:
    from angaros.filters.sieve.extensions.relational import holds

    return holds(node.tags["match"], order_key(value, comparator), order_key(key, comparator))


_MATCHERS: dict[str, Callable[[Run, Node, str, str, str], bool]] = {
    ":is": _is,
    ":contains": _contains,
    ":matches": _matches,
    ":regex": _regex,
    ":value": _relation,
}


def _characters(text: str, comparator: str) -> str:
    """For `?`: an octet under i;octet, else a UTF-8 character."""
    if comparator == "i;octet" or text.isascii():
        return str(text)
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def _octets(text: str, comparator: str) -> str:
    if comparator == "i;octet" or text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


_ASCII_LOWER = {code: code + 32 for code in range(65, 91)}


def glob_match(value: str, pattern: str, caseless: bool) -> list[str] | None:
    """What each wildcard stands for, each `*` for as little as possible; None: no match. # RFC 5228 2.7.1, RFC 5229 3.2

    What stands between two `*` is looked for from left to right and never moved again: no backtracking.
    """
    if caseless:
        pattern = pattern.translate(_ASCII_LOWER)
    subject = value.translate(_ASCII_LOWER) if caseless else value
    first, *others = _segments(pattern)
    found = first.expression.match(subject)
    if found is None or (not others and found.end() != len(subject)):
        return None
    captures = [value[found.start(n) : found.end(n)] for n in range(1, first.wildcards + 1)]
    at = found.end()
    for number, segment in enumerate(others, 1):
        if number == len(others):
            start = len(subject) - segment.length
            found = segment.expression.match(subject, start) if start >= at else None
        else:
            found = segment.expression.search(subject, at)
        if found is None:
            return None
        captures.append(value[at : found.start()])
        captures += [value[found.start(n) : found.end(n)] for n in range(1, segment.wildcards + 1)]
        at = found.end()
    return captures


@dataclass(frozen=True, slots=True)
class _Segment:
    """What stands between two `*`; each `?` is a group."""

    expression: re.Pattern[str]
    length: int
    wildcards: int


@lru_cache(maxsize=256)
def _segments(pattern: str) -> tuple[_Segment, ...]:
    parts: list[list[str]] = [[]]
    escaped = False
    for char in pattern:
        if escaped or char not in "*?\\":
            parts[-1].append(re.escape(char))
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "?":
            parts[-1].append("(.)")
        else:
            parts.append([])
    if escaped:
        parts[-1].append(re.escape("\\"))
    return tuple(_Segment(re.compile("".join(part), re.DOTALL), len(part), part.count("(.)")) for part in parts)
