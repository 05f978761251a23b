"""Quoting of tainted text follows it through an expansion. # Exim spec 9.9"""

from __future__ import annotations

import pytest

from angaros.model.scope import Scope
from angaros.model.text import Tainted, concat, quoted_for, taint

CASES = [
    ("${lookup testdb {x${quote_testdb:$acl_m_a}y}}", True),
    ("${lookup testdb {x${quote_testdb:$acl_m_a}y$acl_m_a}}", False),
    ("${lookup testdb {$acl_m_a}}", False),
    ("${lookup testdb {<${quote_testdb:$acl_m_empty}>}}", True),
    ("${lookup testdb {${quote_mysql:$acl_m_a}}}", False),
    ("${lookup testdb_nq {$acl_m_a}}", True),
]


@pytest.mark.parametrize(("text", "quoted"), CASES)
def test_query_is_quoted(text: str, quoted: bool, scope: Scope) -> None:
    assert scope.message is not None
    scope.message.acl_m.update(m_a=taint("abc"), m_empty=taint(""))
    scope.expand(text)
    complaints = [line for line in scope.services.log.lines if "not properly quoted" in line]  # type: ignore[attr-defined]
    assert bool(complaints) is not quoted


def test_quoted_item_of_a_list(scope: Scope) -> None:
    assert scope.message is not None
    scope.message.acl_m.update(m_a=taint("x@y"), m_empty=taint(""))
    for name in ("m_a", "m_empty"):
        assert scope.services.lists.match_address("x@y", f"testdb;<${{quote_testdb:$acl_{name}}}>", scope)
    assert scope.services.log.lines == []  # type: ignore[attr-defined]


def test_joining() -> None:
    quoted = quoted_for("a", "mysql")
    for parts, quoter in ((["x", quoted], "mysql"), ([quoted, taint("")], "mysql"), ([quoted, taint("b")], "")):
        joined = concat(parts)
        assert isinstance(joined, Tainted) and joined.quoter == quoter
