"""`exim -be`: lines, continuation, macros, set."""

from __future__ import annotations

import io

import pytest

from angaros.config.config import Macro
from angaros.expand.probe import run
from angaros.model.scope import Scope
from angaros.model.text import is_tainted


def session(text: str, scope: Scope, **options: bool) -> str:
    """What a session with this input shows."""
    out: list[str] = []
    assert run(scope, [], io.StringIO(text), out.append, **options) == 0
    return "".join(out)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", "> \n"),
        ("${lc:A}\n", "> a\n> \n"),
        ("x\\\n   y\n  z  \n", "> xy\n>   z\n> \n"),
        ("no newline", "> no newline\n> \n"),
        ("last\\", "> last\n> \n"),
        ("${if\nok\n", '> Failed: condition name expected, but found ""\n> ok\n> \n'),
        ("FOO = bar\na FOO\n", "> Defined macro 'FOO'\n> a bar\n> \n"),
        ("set acl_m0 = ${lc:AB}\n[$acl_m0]\n", "> variable m0 set\n> [ab]\n> \n"),
        ("${run{/bin/echo x}}\n[$value]\n", "> x\n\n> []\n> \n"),
    ],
)
def test_lines(text: str, result: str, scope: Scope) -> None:
    assert session(text, scope) == result


def test_set_tainted(scope: Scope) -> None:
    session("set,t acl_m_x = a:b\n", scope)
    assert scope.message is not None and is_tainted(scope.message.acl_m["m_x"])


def test_arguments(scope: Scope) -> None:
    out: list[str] = []
    run(scope, ["a\\", "", "${lc:A}", "FOO_2 = baz", "a FOO_2"], io.StringIO(""), out.append)
    assert "".join(out) == "Failed: \\ at end of string\n\na\nDefined macro 'FOO_2'\na baz\n"


def test_macros_are_for_administrators(scope: Scope) -> None:
    scope.services.config.macros["SECRET"] = Macro("SECRET", "x")  # type: ignore[index]
    assert session("a SECRET\n", scope) == "> a x\n> \n"
    assert session("a SECRET\n", scope, admin=False) == "> a SECRET\n> \n"


def test_lines_come_again(scope: Scope) -> None:
    assert session("$acl_m0\n" * 3 + "set acl_m0 = 1\n" + "$acl_m0\n" * 2, scope).count("> 1\n") == 2
