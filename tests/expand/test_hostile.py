"""Hostile text: a clear error or a result, in bounded time and memory, and never another exception."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from angaros.expand.engine import Engine
from angaros.expand.language import CONDITIONS, ITEMS, OPERATORS
from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope
from angaros.model.text import taint
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


GIANT = ":".join(["a"] * 200_000)
MEGABYTE = "x" * 1_000_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${map{$acl_m_list}{${map{$acl_m_list}{x}}}}", "too many items"),
        ("${map{$acl_m_list}{$acl_m_long}}", "longer than"),
        ("${reduce{$acl_m_list}{}{$value$acl_m_long}}", "Failed: "),
        ("${reduce{$acl_m_list}{0}{${reduce{$acl_m_list}{}{$item}}}}", "too many items"),
        ("${filter{$acl_m_list}{forany{$acl_m_list}{eq{$item}{b}}}}", "too many items"),
        ("${if forall{$acl_m_list}{forall{$acl_m_list}{eq{$item}{a}}}}", "too many items"),
        ("${sort{$acl_m_list}{<}{$item}}", 'integer expected but "a" found'),
        ("${sg{$acl_m_long}{x}{$acl_m_long}}", "longer than"),
        ("${sg{$acl_m_long}{x}{\\$0$acl_m_long}}", "longer than"),
        ("${sg{$acl_m_long}{x}{\\$0\\$0}}", "xx"),
        ("${readfile{/dev/zero}}", "longer than"),
        ("${run{/bin/sh -c yes}}", "Failed: "),
        ("${hash{5}{99}{x}}", "too big"),
        ("${length{99999999999999999999}{x}}", "x"),
        ("${substr{-99999999999999999999}{99999999999999999999}{x}}", ""),
        ("${listextract{-99999999999999999999}{a:b}}", ""),
        ("${headerwrap_9_99999999999:$acl_m_long}", "x\n\tx"),
    ],
)
def test_giants(text: str, words: str, scope: Scope) -> None:
    assert scope.message is not None
    scope.message.acl_m.update(m_list=GIANT, m_long=MEGABYTE)
    start = time.process_time()
    assert words in shown(text, scope)
    assert time.process_time() - start < 10
    assert scope.work is None  # the next expansion begins anew


@pytest.mark.parametrize(
    "text",
    [
        "${run{$acl_m_outside}}",
        "${readfile{$acl_m_outside}}",
        "${readsocket{$acl_m_outside}{x}}",
        "${lookup{k}lsearch{$acl_m_outside}}",
        "${expand:$acl_m_outside}",
        "${acl{$acl_m_outside}}",
    ],
)
def test_outside_data_opens_nothing(text: str, scope: Scope) -> None:
    assert scope.message is not None
    scope.message.acl_m["m_outside"] = taint("/bin/true")
    assert shown(text, scope).startswith("Failed: ")


@pytest.mark.parametrize("octet", [" ", "(", '"', "a@b,", "\\", "<", ".", "[1,"])
@pytest.mark.parametrize("operator", ["address", "addresses", "domain", "local_part"])
def test_addresses_take_linear_time(operator: str, octet: str, scope: Scope) -> None:
    assert scope.message is not None
    scope.message.acl_m["m_long"] = octet * (100_000 // len(octet))
    start = time.process_time()
    shown(f"${{{operator}:$acl_m_long}}", scope)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("octet", ["x", "(", ":", "\xc3", '"'])
@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - {"randint", "expand", "stat"}))
def test_operators_take_a_megabyte(operator: str, octet: str, scope: Scope) -> None:
    assert scope.message is not None
    size = 1_000_000 if octet == "x" else 20_000
    scope.message.acl_m["m_long"] = taint(octet * (size // len(octet)))
    name = {"hash": "hash_8_62", "h": "h_8_62", "nhash": "nhash_9", "nh": "nh_9", "substr": "substr_5_7", "s": "s_5_7"}.get(
        operator
    )
    start = time.process_time()
    shown(f"${{{name or operator}:$acl_m_long}}", scope)
    assert time.process_time() - start < (5 if octet == "x" else 2)


@pytest.mark.parametrize(
    "text",
    [
        "${if match_domain{$acl_m_long}{^(a*)*b}{y}{n}}",
        "${if match_local_part{$acl_m_long}{^(a|aa)+$}{y}{n}}",
        "${if match_address{$acl_m_long@x}{^(a*)*b@x}{y}{n}}",
        "${filter{$acl_m_long:$acl_m_long}{match{$item}{^(a+)+b}}}",
        "${if match{$acl_m_long}{\\N^(\\w+\\s?)*$\\N}{y}{n}}",
        "${if forany{$acl_m_long}{match{$item}{(a+)+b}}{y}{n}}",
    ],
)
def test_catastrophic_patterns(text: str, scope: Scope) -> None:
    assert scope.message is not None
    scope.message.acl_m["m_long"] = taint("a" * 5000 + "!")
    start = time.process_time()
    assert shown(text, scope) in ("n", "")
    assert time.process_time() - start < 5


MEMORY = 1 << 30
"""Octets of address space for the deep and long texts together, the interpreter with it."""
ALL_HOSTILE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (%d, %d))
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-n0", "-k", "test_bounded", %r]))
"""


def test_all_in_bounded_memory() -> None:
    if os.environ.get("ANGAROS_HOSTILE"):
        return  # we are the inner one
    program = ALL_HOSTILE % (MEMORY, MEMORY, __file__)
    environment = {**os.environ, "ANGAROS_HOSTILE": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


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
