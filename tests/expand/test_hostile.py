"""Hostile text: a clear error or a result, in bounded time and memory, and never another exception."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from angaros.expand.engine import Engine
from angaros.expand.language import CONDITIONS, ITEMS, OPERATORS
from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope
from tests.expand.conftest import shown


@pytest.mark.parametrize(
    "text",
    [
        "${lc:" * 10_000 + "x" + "}" * 10_000,
        "${if eq{a}{a}{" * 10_000 + "x" + "}}" * 10_000,
        "${if " + "!" * 10_000 + "eq{a}{a}}",
        "${if and{{" * 10_000,
        "${eval:" + "(" * 10_000 + "1" + ")" * 10_000 + "}",
        "${eval:" + "-" * 10_000 + "1}",
        "${extract{${extract{" * 5_000,
        "${map{a:b}{" * 10_000,
        "${" * 10_000,
        "{" * 10_000,
        "}" * 10_000,
        "x" * 1_000_000,
        "$h_" + "x" * 1_000_000,
        "${lc:" + "x" * 1_000_000 + "}",
        "${if match{" + "a" * 5_000 + "}{(a*)*b}{y}{n}}",
        "${sg{" + "a" * 5_000 + "}{(x+x+)+y}{z}}",
        "${sg{" + "ab" * 100_000 + "}{b}{<$0>}}",
    ],
    ids=lambda text: text[:20],
)
def test_bounded(text: str, scope: Scope) -> None:
    start = time.process_time()
    shown(text, scope)
    assert time.process_time() - start < 5


def test_growth_is_bounded(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("angaros.expand.nodes.MAX_RESULT", 100_000)
    doubling = "${reduce{1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20}{xx}{$value$value}}"
    assert "longer than" in shown(doubling, scope)


def test_deep_expand_of_expand(scope: Scope) -> None:
    assert scope.message is not None
    scope.message.acl_m["m0"] = "${expand:$acl_m0}"
    assert "nested too deeply" in shown("$acl_m0 ${expand:$acl_m0}", scope)


def test_cache_is_bounded(scope: Scope) -> None:
    from angaros.expand.engine import CACHE_SIZE

    engine = Engine()
    for number in range(CACHE_SIZE + 100):
        engine.expand(f"${{lc:{number}}}", scope)
    assert len(engine._trees) <= CACHE_SIZE


WORDS = st.sampled_from(
    [
        *ITEMS,
        *OPERATORS,
        *CONDITIONS,
        "primary_hostname",
        "value",
        "item",
        "unknown",
        "h_to:",
        "1",
        "-1",
        "a",
        "b:c",
        "fail",
        "json",
    ]
)
PIECES = st.one_of(WORDS, st.sampled_from(["${", "{", "}", "$", ":", " ", "\\", "_", ",", "\\N", "}{", "!", "<", "/x"]))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=25))
def test_any_text(pieces: list[str], scope: Scope) -> None:
    text = "".join(pieces)
    if any(word in text for word in ("run", "perl", "python", "readsocket", "dlfunc", "pam", "radius", "ldapauth", "lookup")):
        return
    scope.numeric = ()
    try:
        scope.services.expander.expand(text, scope)
    except ExpansionError as error:
        assert str(error)
