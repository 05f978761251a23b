"""SPF as ACLs, variables, the log and expansions see it. The texts are those of Exim 4.96 with libspf2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from angaros.logs.lines import spf_field
from angaros.model.outcome import Outcome
from angaros.model.text import is_tainted
from tests.policy import PolicyWorld

ZONES: dict[str, list[Any]] = {
    "pass.example": [{"SPF": "v=spf1 ip4:192.0.2.0/24 -all"}],
    "fail.example": [{"SPF": "v=spf1 -all"}],
    "exp.example": [{"SPF": "v=spf1 -all exp=why.exp.example"}],
    "why.exp.example": [{"TXT": "%{i} may not send for %{d}, says %{r}"}],
    "soft.example": [{"SPF": "v=spf1 ~all"}],
    "neutral.example": [{"SPF": "v=spf1 ip4:203.0.113.1"}],
    "broken.example": [{"SPF": "v=spf1 what -all"}],
    "temp.example": ["TIMEOUT"],
    "near.example": [{"A": "192.0.2.200"}],
    "client.example": [{"SPF": "v=spf1 a:client.example ~all"}, {"A": "192.0.2.1"}],
    "six.example": [{"SPF": "v=spf1 ip6:2001:db8::/32 -all"}],
}
ACLS = """
begin acl
list:
  accept spf = LIST
guess:
  accept spf_guess = LIST
"""
DOES_NOT = "does not designate 192.0.2.1 as permitted sender"
WHY = "Please see http://www.open-spf.org/Why : Reason: "

TEXTS = [
    ("pass", "domain of pass.example designates 192.0.2.1 as permitted sender", ""),
    ("fail", f"domain of fail.example {DOES_NOT}", f"{WHY}mechanism"),
    ("soft", f"transitioning domain of soft.example {DOES_NOT}", f"{WHY}mechanism"),
    ("neutral", "192.0.2.1 is neither permitted nor denied by domain of neutral.example", f"{WHY}default"),
    ("none", "domain of none.example does not provide an SPF record", ""),
    ("broken", "error in processing during lookup of domain of broken.example: unknown mechanism 'what'", ""),
    ("temp", "error in processing during lookup of domain of temp.example: DNS error for temp.example", ""),
    ("exp", f"domain of exp.example {DOES_NOT}", "192.0.2.1 may not send for exp.example, says mx.example : Reason: mechanism"),
]
RESULTS = {"soft": "softfail", "broken": "permerror", "temp": "temperror", "exp": "fail"}


def world(tmp_path: Path, words: str = "*", main: str = "") -> PolicyWorld:
    return PolicyWorld(tmp_path, f"LIST = {words}\n{main}{ACLS}", ZONES)


@pytest.mark.parametrize(("name", "comment", "smtp"), TEXTS)
def test_variables(tmp_path: Path, name: str, comment: str, smtp: str) -> None:
    w = world(tmp_path)
    w.new_message(f"joe@{name}.example")
    assert w.run("list", "rcpt").outcome is Outcome.ACCEPT
    result = RESULTS.get(name, name)
    assert w.shown("$spf_result,$spf_result_guessed,$spf_used_domain") == f"{result},no,{name}.example"
    assert w.shown("$spf_header_comment") == f"mx.example: {comment}"
    assert w.shown("$spf_smtp_comment") == smtp
    assert w.shown("$spf_received") == (
        f"Received-SPF: {result} (mx.example: {comment}) client-ip=192.0.2.1; "
        f"envelope-from=joe@{name}.example; helo=client.example;"
    )
    assert w.shown("${authresults{me}}") == f"Authentication-Results: me;\n\tspf={result} smtp.mailfrom={name}.example"
    assert is_tainted(w.scope.expand("$spf_header_comment"))


def test_null_sender_is_judged_by_helo(tmp_path: Path) -> None:
    w = world(tmp_path)
    w.new_message("")
    w.run("list", "rcpt")
    assert w.shown("$spf_result $spf_used_domain") == "pass client.example"
    assert "envelope-from=postmaster@client.example;" in w.shown("$spf_received")
    assert w.shown("${authresults{me}}").endswith("\tspf=pass smtp.helo=client.example")


def test_nothing_before_it_was_asked_and_after_the_message(tmp_path: Path) -> None:
    w = world(tmp_path)
    shown = "<$spf_result> <$spf_result_guessed> ${authresults{me}}"
    assert w.shown(shown) == "<> <no> Authentication-Results: me"
    w.run("list", "rcpt")
    w.new_message()
    assert w.shown(shown) == "<> <no> Authentication-Results: me"


LISTS = [
    ("soft", "softfail", True),
    ("soft", "pass : softfail", True),
    ("soft", "<; pass; softfail", True),
    ("soft", "${if eq{1}{1}{softfail}}", True),
    ("soft", "SoftFail", False),
    ("soft", "!pass : fail", True),
    ("soft", "!softfail : pass", False),
    ("soft", "! softfail", False),
    ("soft", "*", True),
    ("soft", "^soft", True),
    ("none", "!softfail : pass", True),
    ("broken", "err_perm", True),
    ("broken", "permerror", True),
    ("temp", "err_perm", False),
    ("temp", "err_temp", True),
]


@pytest.mark.parametrize(("name", "words", "wanted"), LISTS)
def test_lists(tmp_path: Path, name: str, words: str, wanted: bool) -> None:
    w = world(tmp_path, words)
    w.new_message(f"joe@{name}.example")
    assert (w.run("list", "rcpt").outcome is Outcome.ACCEPT) == wanted


def test_best_guess(tmp_path: Path) -> None:
    w = world(tmp_path)
    w.new_message("joe@near.example")
    w.run("guess", "rcpt")
    assert w.shown("$spf_result $spf_result_guessed") == "pass yes"
    assert w.shown("${authresults{me}}") == (
        "Authentication-Results: me;\n\tspf=pass (best guess record for domain) smtp.mailfrom=near.example"
    )
    w.run("list", "rcpt")
    assert w.shown("$spf_result $spf_result_guessed") == "none no"
    w.new_message("joe@fail.example")
    w.run("guess", "rcpt")
    assert w.shown("$spf_result $spf_result_guessed") == "fail no"


def test_best_guess_of_our_own(tmp_path: Path) -> None:
    w = world(tmp_path, main="spf_guess = v=spf1 ip4:192.0.2.1 -all\n")
    w.new_message("joe@none.example")
    w.run("guess", "rcpt")
    assert w.shown("$spf_result $spf_result_guessed") == "pass yes"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_localhost_passes(tmp_path: Path, address: str) -> None:
    w = world(tmp_path)
    w.session.sender_host_address = address
    w.new_message("joe@fail.example")
    w.run("list", "rcpt")
    assert w.shown("$spf_result $spf_header_comment") == "pass mx.example: localhost is always allowed."


def test_template(tmp_path: Path) -> None:
    w = world(tmp_path, main="spf_smtp_comment_template = See%_http://$primary_hostname/?s=%{S}&i=%{C}\n")
    w.new_message("joe@fail.example")
    w.run("list", "rcpt")
    assert w.shown("$spf_smtp_comment") == "See http://mx.example/?s=joe%40fail.example&i=192.0.2.1 : Reason: mechanism"


def test_bad_template_is_used_as_it_is(tmp_path: Path) -> None:
    w = world(tmp_path, main="spf_smtp_comment_template = 100%{z}\n")
    w.new_message("joe@fail.example")
    w.run("list", "rcpt")
    assert w.shown("$spf_smtp_comment") == "100%{z} : Reason: mechanism"
    assert w.log.panics == ["spf_smtp_comment_template: unknown macro '%{z}'"]


LOOKUPS = [
    ("joe@pass.example", "192.0.2.77", "pass"),
    ("joe@pass.example", "::ffff:192.0.2.77", "pass"),
    ("joe@pass.example", "203.0.113.1", "fail"),
    ("joe@six.example", "2001:db8::1", "pass"),
    ("joe@six.example", "2001:db9::1", "fail"),
    ("joe@none.example", "2001:db9::1", "none"),
    ("joe@fail.example", "127.0.0.1", "pass"),
    ("joe@broken.example", "192.0.2.1", "permerror"),
    ("joe@temp.example", "192.0.2.1", "temperror"),
]


@pytest.mark.parametrize(("sender", "address", "wanted"), LOOKUPS)
def test_lookup(tmp_path: Path, sender: str, address: str, wanted: str) -> None:
    assert world(tmp_path).shown(f"${{lookup{{{sender}}}spf{{{address}}}}}") == wanted


def test_asked_once_for_all_recipients(tmp_path: Path) -> None:
    w = world(tmp_path)
    w.new_message("joe@pass.example")
    for _ in range(3):
        w.run("list", "rcpt")
    assert w.dns.asked == [("pass.example", "TXT")]


@pytest.mark.parametrize(
    ("on", "result", "field"),
    [
        ({"spf"}, "pass", "SPF"),
        ({"spf"}, "fail", ""),
        ({"spf", "spf_verbose"}, "fail", "SPF=fail"),
        ({"spf_verbose"}, "none", "SPF=none"),
        (set(), "pass", ""),
    ],
)
def test_log_field(tmp_path: Path, on: set[str], result: str, field: str) -> None:
    w = world(tmp_path)
    w.log.on = on
    assert spf_field(result, w.log) == field
