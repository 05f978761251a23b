"""Tests of the core. # RFC 5228 5"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.filters.sieve.capabilities import EXIM_CAPABILITIES
from angaros.filters.sieve.fields import (
    ADDRESS_HEADERS,
    EXIM_ADDRESS_HEADERS,
    address_values,
    check_names,
    header_values,
    raw_values,
    valid_name,
)
from angaros.filters.sieve.match import MATCH_TAGS, check_comparator, compare
from angaros.filters.sieve.tree import Argument, Node, Spec, Tag

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

PART_TWICE = "address part already specified"

PART_TAGS = (
    Tag(":localpart", "part", twice=PART_TWICE),
    Tag(":domain", "part", twice=PART_TWICE),
    Tag(":all", "part", twice=PART_TWICE),
)
HEADERS = Argument("list", "header string list expected")
KEYS = Argument("list", "key string list expected")


def check_address(checker: Any, node: Node) -> None:
    """Only headers that have addresses. # RFC 5228 5.1"""
    check_comparator(checker, node)
    exims = checker.required.issubset(EXIM_CAPABILITIES)
    for name in node.args[0]:
        if checker.constant(name) and name.lower() not in (EXIM_ADDRESS_HEADERS if exims else ADDRESS_HEADERS):
            raise checker.fail("invalid header field")


def check_header(checker: Any, node: Node) -> None:
    """Names have to be names, comparators known ones."""
    check_comparator(checker, node)
    check_names(checker, node.args[0])


def check_exists(checker: Any, node: Node) -> None:
    """# Exim filter spec 2.3"""
    check_names(checker, node.args[0], "header string expansion failed")


def is_address(run: Run, node: Node) -> bool:
    """# RFC 5228 5.1"""
    return compare(run, node, address_values(run, node, node.args[0]), node.args[1])


def is_header(run: Run, node: Node) -> bool:
    """# RFC 5228 5.7"""
    return compare(run, node, header_values(run, node, node.args[0]), node.args[1])


def is_exists(run: Run, node: Node) -> bool:
    """All of them; none are all. # RFC 5228 5.5, Exim filter spec 2.4"""
    return all(valid_name(name) and bool(raw_values(run, name)) for name in node.args[0])


def is_size(run: Run, node: Node) -> bool:
    """# RFC 5228 5.9"""
    size: int = run.message.message_size
    return bool(size > node.args[0] if node.tags["relation"] == ":over" else size < node.args[0])


TESTS = (
    Spec("address", is_address, tags=(*PART_TAGS, *MATCH_TAGS), arguments=(HEADERS, KEYS), check=check_address),
    Spec("allof", lambda run, node: all(run.test(test) for test in node.tests), shape="list"),
    Spec("anyof", lambda run, node: any(run.test(test) for test in node.tests), shape="list"),
    Spec("exists", is_exists, arguments=(HEADERS,), check=check_exists),
    Spec("false", lambda run, node: False),
    Spec("header", is_header, tags=MATCH_TAGS, arguments=(HEADERS, KEYS), check=check_header),
    Spec("not", lambda run, node: not run.test(node.tests[0]), shape="test"),
    Spec(
        "size",
        is_size,
        tags=(Tag(":over", "relation"), Tag(":under", "relation")),
        arguments=(Argument("number", "missing number"),),
        needs=(("relation", "missing :over or :under"),),
    ),
    Spec("true", lambda run, node: True),
)
