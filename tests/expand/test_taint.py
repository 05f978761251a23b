"""Taint: what carries it, what refuses it, what takes it away. Compared with Exim 4.96 (`exim -f sndr@dom -be`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.model.scope import Scope
from angaros.model.text import Tainted, is_tainted
from tests.expand.conftest import shown

CARRIES = (
    "$sender_address", "x$sender_address", "${lc:$sender_address}", "${uc:$sender_address}", "${length_3:$sender_address}",
    "${substr_0_3:$sender_address}", "${sg{$sender_address}{s}{t}}", "${tr{$sender_address}{s}{t}}", "${domain:$sender_address}",
    "${extract{1}{@}{$sender_address}}", "${map{a:b}{$sender_address}}", "${filter{$sender_address}{eq{1}{1}}}",
    "${listextract{1}{$sender_address}}", "${base64:$sender_address}", "${quote:$sender_address}", "${rxquote:$sender_address}",
    "${hexquote:$sender_address \\n}", "${escape:$sender_address\\n}", "${if match{$sender_address}{(.*)}{$1}}",
    "${prvs{$sender_address}{a}}", "${rfc2047:$sender_address=}", "${listquote{:}{$sender_address}}", "${hash_3:$sender_address}",
    "${sort{$sender_address}{lt}{$item}}", "${address:$sender_address}", "${addresses:$sender_address}", "$sender_address_domain",
    "$sender_address_local_part", "${reduce{a:b}{$sender_address}{$value}}",
)  # fmt: skip
CLEAN = (
    "$primary_hostname", "${strlen:$sender_address}", "${md5:$sender_address}", "${hmac{md5}{a}{$sender_address}}",
    "${if eq{$sender_address}{x}{y}{n}}", "${if inlist{$sender_address}{a:sndr@dom}{$value}}", "${map{$sender_address}{x}}",
    "$tod_log", "${reduce{$sender_address}{}{x}}", "${listcount:$sender_address}", "${sha256:$sender_address}",
)  # fmt: skip


@pytest.fixture
def outside(scope: Scope) -> Scope:
    """The sender comes from outside."""
    assert scope.message is not None
    scope.message.sender_address = Tainted("sndr@dom")
    return scope


@pytest.mark.parametrize("text", CARRIES)
def test_carries(text: str, outside: Scope) -> None:
    assert is_tainted(outside.expand(text))


@pytest.mark.parametrize("text", CLEAN)
def test_clean(text: str, outside: Scope) -> None:
    assert not is_tainted(outside.expand(text))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${expand:$sender_address}", "internal expansion of \"sndr@dom\" failed: attempt to expand tainted string 'sndr@dom'"),
        ("${hash{$sender_address}{x}}", "attempt to use tainted string 'sndr@dom' for hash"),
        ("${sg{x}{x}{$sender_address\\$0}}", "attempt to expand tainted string 'sndr@dom$0'"),
        ("${run{$sender_address}}", "couldn't create child process: Operation not permitted"),
        ("${run,preexpand{/bin/echo $sender_address}}", "couldn't create child process: Operation not permitted"),
        ("${acl{$sender_address}}", "attempt to use tainted string 'sndr@dom' for acl"),
        ("${dlfunc{$sender_address}{f}}", "attempt to use tainted string 'sndr@dom' for dlfunc"),
        ("${readsocket{$sender_address}{x}}", "Tainted filename for search: 'sndr@dom'"),
    ],
)
def test_refused(text: str, result: str, outside: Scope) -> None:
    assert shown(text, outside) == f"Failed: {result}"


def test_readfile_refuses(outside: Scope) -> None:
    assert shown("${readfile{/etc/$sender_address}}", outside).startswith(
        "Failed: failed to open /etc/sndr@dom: Permission denied"
    )
    assert outside.services.log.lines == ["Tainted filename '/etc/sndr@dom'"]  # type: ignore[attr-defined]


def test_lookup_detaints(outside: Scope, tmp_path: Path) -> None:
    (tmp_path / "senders").write_text("sndr@dom: known\n")
    result = outside.expand(f"${{lookup{{$sender_address}}lsearch{{{tmp_path}/senders}}}}")
    assert result == "known" and not is_tainted(result)


def test_run_arguments_may_be_tainted(outside: Scope) -> None:
    assert outside.expand("${run{/bin/echo $sender_address}}") == "sndr@dom\n"


def test_tainted_string_is_not_expanded(outside: Scope) -> None:
    assert outside.services.expander.expand(Tainted("plain"), outside) == "plain"
    assert shown(Tainted("$sender_address"), outside) == "Failed: attempt to expand tainted string '$sender_address'"
