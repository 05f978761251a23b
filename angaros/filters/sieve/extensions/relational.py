"""relational: `:value` and `:count`. # RFC 5231"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from angaros.filters.sieve.tree import Argument, Extension, Tag

_TWICE = "match type already specified"
_RELATION = Argument("string", "missing relation string")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
}

EXTENSION = Extension(
    ("relational",),
    tags={"match": tuple(Tag(name, "match", _RELATION, "relational", _TWICE) for name in (":value", ":count"))},
)


def valid(relation: str) -> bool:
    """Whether this is the name of a relation."""
    return relation.lower() in _OPERATORS


def holds(relation: str, left: Any, right: Any) -> bool:
    """`left relation right`."""
    return bool(_OPERATORS[relation.lower()](left, right))
