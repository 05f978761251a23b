"""What is newer than the Exim that the tables were compared with, or ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.expand.items.srs import decode
from angaros.model.errors import ForcedFailure
from angaros.model.scope import Scope
from tests.expand.conftest import NOW, shown


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${headerwrap:}", ""),
        ("${headerwrap:" + "a" * 80 + "}", "a" * 80),
        ("${headerwrap:" + "a" * 81 + "}", "a" * 80 + "\n\ta"),
        ("${headerwrap_79:" + "a" * 80 + "}", "a" * 79 + "\n\ta"),
        ("${headerwrap_20:one two three four five six}", "one two three four\n\tfive six"),
        ("${headerwrap_20_25:one two three four five six}", "one two three four\n\tfive "),
        ("${xtextd:a+20b+3D}", "a b="),
        ("${xtextd:a+2}", 'Failed: string "a+2" is not well-formed for "xtextd" operator'),
        ("${address_x:a@b}", 'Failed: unknown expansion operator "address_x" ("address" does not take an _arg)'),
        ("${md5_4:x}", 'Failed: unknown expansion operator "md5_4" ("md5" does not take an _arg)'),
        ("${base62d:.}", 'Failed: argument for base62d operator is ".", which is not a base 36/62 number'),
        (
            "${reduce{a}{0}{${eval:$value+$item}}}",
            'Failed: "error in expression evaluation: expecting number or opening parenthesis (after processing \\"0+\\")" '
            'inside "reduce" item',
        ),
        ("$sender_helo_verified|$dmarc_status|$spf_result|$arc_state|$connection_id", "||||"),
        ("$exim_version $version_number", "4.99-Angaros 4.99-Angaros"),
    ],
)
def test_newer(text: str, result: str, scope: Scope) -> None:
    assert shown(text, scope) == result


def test_srs_round_trip(scope: Scope) -> None:
    address = scope.expand("${srs_encode{secret}{jane@example.com}{relay.example}}")
    local_part, _, domain = address.rpartition("@")
    assert domain == "relay.example" and local_part.startswith("SRS0=") and local_part.endswith("=jk=example.com=jane")
    day = int(NOW // 86400) % 1024
    assert decode(local_part, "secret", day) == "jane@example.com"
    assert decode(local_part, "secret", day + 10) == "jane@example.com"
    assert decode(local_part, "secret", day + 11) is None
    assert decode(local_part, "other", day) is None
    assert decode("x" + local_part, "", day) is None
    assert scope.expand(f"${{if inbound_srs{{{local_part}}}{{secret}}{{$srs_recipient}}{{no}}}}") == "jane@example.com"
    quoted = scope.expand('${srs_encode{secret}{"a b"@example.com}{relay.example}}').rpartition("@")[0]
    assert decode(quoted, "secret", day) == '"a b"@example.com'


def test_strict_acl_variables(scope: Scope) -> None:
    scope.services.config.main.strict_acl_vars = True  # type: ignore[misc]
    assert shown("$acl_m_x", scope).startswith('Failed: unknown variable name "acl_m_x"')
    assert shown("${if def:acl_m_x{y}{n}}", scope) == "n"
    assert scope.message is not None
    scope.message.acl_m["m_x"] = "v"
    assert shown("$acl_m_x", scope) == "v"


def test_forbidden_in_filters(scope: Scope) -> None:
    scope.local["expand_forbid"] = "existstest lookup perl readfile readsocket run dlfunc"
    for text, words in (
        ("${if exists{/etc/passwd}}", "File existence tests are not permitted"),
        ("${stat:/etc/passwd}", "Use of the stat() expansion is not permitted"),
        ("${lookup{x}lsearch{/etc/passwd}}", "lookup expansions are not permitted"),
        ("${readfile{/etc/passwd}}", "file insertions are not permitted"),
        ("${run{/bin/true}}", "running a command is not permitted"),
    ):
        assert shown(text, scope) == f"Failed: {words}"


def test_forced_failure_is_its_own_error(scope: Scope) -> None:
    with pytest.raises(ForcedFailure):
        scope.expand("${if eq{a}{b}{c}fail}")
    with pytest.raises(ForcedFailure):
        scope.expand("${acl{a_defer}}")


def test_numeric_variables_are_restored(scope: Scope) -> None:
    scope.numeric = ("outer", "one")
    assert scope.expand("${if match{x}{(x)}{$1}}$1") == "xone"
    assert shown("${if match{x}{(x)}{$unknown}}", scope).startswith("Failed")
    assert scope.numeric == ("outer", "one")


def test_run_sets_value_and_runrc(scope: Scope) -> None:
    assert scope.expand("${run{/bin/sh -c 'echo out; exit 3'}{y}{n}}|$value|$runrc") == "n|out\n|3"


def test_readfile_eol(scope: Scope, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\nb\n")
    assert scope.expand(f"${{readfile{{{tmp_path}/f}}}}|${{readfile{{{tmp_path}/f}}{{;}}}}") == "a\nb\n|a;b;"


def test_positions_of_errors(scope: Scope) -> None:
    from angaros.model.errors import ExpansionError

    for text, position in (("ab ${lc:x", 9), ("ab $unknown", 3), ("ab ${mask:x}", 3)):
        with pytest.raises(ExpansionError) as caught:
            scope.expand(text)
        assert caught.value.position == position
