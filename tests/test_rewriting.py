"""Rewriting. Expectations come from the manual and from a real Exim (-brw, -odq)."""

from __future__ import annotations

from typing import Any

import pytest

from angaros.config.rules import parse_rewrite_rule
from angaros.model.message import Header, Message
from angaros.model.scope import Scope
from angaros.model.text import Tainted, is_tainted
from angaros.rewriting import rewrite_address, rewrite_domain, rewrite_header, rewrite_smtp, rewrite_test
from tests.lookups.support import make_scope

RULES = r"""
\N^<(.*)!(.*)>$\N  "<$2@$1>" S
*@w.dom  "Whole Name <whole@x.dom>" w
*@q1.dom  unq  Q
*@q2.dom  unq
*@fail.dom  "${fail}" q
*@fail.dom   never@x
*@rep.dom  x$1@rep.dom R
*@star.dom *
*@star.dom never@x
*@bad.dom  ${bad}
*@h.dom  hh@x h
*@e.dom  ee@x E
*@stop.dom a@next.dom q
*@next.dom n@x
error@* <>
*@wide.dom "$1-very-very-very-long-local-part-to-make-things-long@another-long-domain-name-for-rewriting.example.com" htb
*@l.d $1@ee.f t
*@c.domain  $local_part@d.domain
*@w8.dom "Wh\xf6le <whole@x.dom>" w
"""


@pytest.fixture
def scope() -> Scope:
    main = {
        "qualify_domain": "q.dom",
        "qualify_recipient": "qr.dom",
        "headers_charset": "UTF-8",
        "allow_domain_literals": False,
        "strip_excess_angle_brackets": False,
        "strip_trailing_dot": False,
        "allow_utf8_domains": False,
    }
    made = make_scope(main=main)
    config: Any = made.services.config
    config.rewrite_rules = tuple(parse_rewrite_rule(line) for line in RULES.strip().split("\n"))
    made.message = Message(allow_unqualified_recipient=True, allow_unqualified_sender=True)
    return made


def lines(made: Scope) -> list[str]:
    log: Any = made.services.log
    return list(log.lines)


@pytest.mark.parametrize(
    ("address", "header", "sender", "recipient"),
    [
        ("a@w.dom", "Whole Name <whole@x.dom>", "whole@x.dom", "whole@x.dom"),
        ("Ph <a@w.dom>", "Whole Name <whole@x.dom>", "whole@x.dom", "whole@x.dom"),
        ("a@q1.dom", "unq@qr.dom", "unq@qr.dom", "unq@qr.dom"),
        ("a@q2.dom", "a@q2.dom", "a@q2.dom", "a@q2.dom"),
        ("a@fail.dom", "a@fail.dom", "a@fail.dom", "a@fail.dom"),
        ("a@rep.dom", "xxxxxxxxxxxa@rep.dom", "xxxxxxxxxxxa@rep.dom", "xxxxxxxxxxxa@rep.dom"),
        ("a@star.dom", "a@star.dom", "a@star.dom", "a@star.dom"),
        ("a@bad.dom", "a@bad.dom", "a@bad.dom", "a@bad.dom"),
        ("a@h.dom", "hh@x", "a@h.dom", "a@h.dom"),
        ("a@e.dom", "a@e.dom", "ee@x", "ee@x"),
        ("a@stop.dom", "a@next.dom", "a@next.dom", "a@next.dom"),
        ("(com) a@h.dom (x)", "(com) hh@x (x)", "a@h.dom", "a@h.dom"),
        ("unq", "unq@qr.dom", "unq@qr.dom", "unq@qr.dom"),
        ("error@test.ex", "error@test.ex", "<>", "error@test.ex"),
        ("User@c.domain", "User@d.domain", "User@d.domain", "User@d.domain"),
    ],
)
def test_brw(scope: Scope, address: str, header: str, sender: str, recipient: str) -> None:
    names = ("  sender", "    from", "      to", "      cc", "     bcc", "reply-to")
    expected = [f"{name}: {header}" for name in names] + [f"env-from: {sender}", f"  env-to: {recipient}"]
    assert rewrite_test(address, scope) == expected


def test_brw_of_what_is_no_address(scope: Scope) -> None:
    assert rewrite_test("<a!b>", scope) == ["    SMTP: b@a"]
    assert rewrite_test("bad@@x", scope) == ["Syntax error in bad@@x", "Domain missing or malformed"]
    scope.services.config.rewrite_rules = ()  # type: ignore[misc]
    assert rewrite_test("a@b", scope) == ["No rewrite rules are defined"]


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("a@q2.dom", 'Rewrite of a@q2.dom yielded unqualified address "unq"'),
        ("a@bad.dom", "Expansion of ${bad} failed while rewriting: bad expansion"),
        ("error@x", "Rewrite of error@x yielded unparseable address: missing or malformed local part in address <>"),
        ("a@h.dom", None),
        ("a@e.dom", '"a@e.dom" from env-to rewritten as "ee@x" by rule 12'),
        ("a@w.dom", '"a@w.dom" from env-to rewritten as "Whole Name <whole@x.dom>" by rule 2'),
        ("a@q1.dom", '"a@q1.dom" from env-to rewritten as "unq@qr.dom" by rule 3'),
    ],
)
def test_log(scope: Scope, address: str, line: str | None) -> None:
    rewrite_address(address, scope, "T")
    assert lines(scope) == ([line] if line else [])


def test_repeats_are_counted(scope: Scope) -> None:
    rewrite_address("a@rep.dom", scope, "T")
    assert len(lines(scope)) == 12
    assert lines(scope)[-1] == "rewrite rule repeat ignored after 10 times"


def test_old_envelope_address_is_kept_as_a_header(scope: Scope) -> None:
    assert scope.message is not None
    rewrite_address("a@e.dom", scope, "F", add_header=True)
    rewrite_address("a@e.dom", scope, "T", add_header=True)
    rewrite_address("a@other", scope, "T", add_header=True)
    kept = [(header.kind, header.text) for header in scope.message.headers]
    assert kept == [("*", "X-rewrote-sender: a@e.dom\n"), ("*", "X-rewrote-original-recipient: a@e.dom\n")]


def test_smtp_time(scope: Scope) -> None:
    assert rewrite_smtp("<a!b>", scope, recipient=False) == "<b@a>"
    assert rewrite_smtp("<a@b>", scope, recipient=False) == "<a@b>"
    assert lines(scope) == ['"<a!b>" from smtp sender rewritten as "<b@a>" by rule 1']


def rewritten(made: Scope, text: str, kind: str = "T") -> str | None:
    new = rewrite_header(Header(text, kind), made)
    return None if new is None else new.text


LONG = "-very-very-very-long-local-part-to-make-things-long@another-long-domain-name-for-rewriting.example.com"


def test_long_header_as_exim_folds_it(scope: Scope) -> None:
    header = (
        "To: Group: abc@wide.dom, (c) Def <def@wide.dom> (x),\n"
        '  ghi@short.dom; , jkl@wide.dom, m@n, plain, "quo" <q@wide.dom>,,\n'
        "  bad@@x, x y@wide.dom, <@a.b,@c.d:r@wide.dom>, z@wide.dom\n"
    )
    assert rewritten(scope, header) == (
        f"To: Group: abc{LONG}, \n\t(c) Def <def{LONG}> (x),\n  ghi@short.dom; , jkl{LONG}, \n"
        f'\tm@n, plain@qr.dom, "quo" <q{LONG}>,\n\t,\n'
        f"  bad@@x, x y@wide.dom, <r{LONG}>, \n\tz{LONG}\n"
    )
    assert lines(scope)[-4] == "qualify/rewrite: domain missing or malformed"


def name(length: int) -> str:
    return "a" * (length - 4)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"To: {name(33)}@l.d, x@y\n", f"To: {name(33)}@ee.f, x@y\n"),
        (f"To: {name(34)}@l.d, x@y\n", f"To: {name(34)}@ee.f, \n\tx@y\n"),
        (f"To:{name(35)}@l.d, x@y\n", f"To:{name(35)}@ee.f, \n\tx@y\n"),
        (f"To: <{name(32)}@l.d>, x@y\n", f"To: <{name(32)}@ee.f>, \n\tx@y\n"),
        (f"To: {name(30)}@l.d (x), x@y\n", f"To: {name(30)}@ee.f (x), \n\tx@y\n"),
        (f"To: {name(80)}@l.d,\n x@y\n", f"To: {name(80)}@ee.f,\n x@y\n"),
        (f"To: {name(50)}@l.d ,  z@b\n", f"To: {name(50)}@ee.f ,  \n\tz@b\n"),
        (f"To: {name(50)}@l.d\n ,  z@b\n", f"To: {name(50)}@ee.f\n ,  \n\tz@b\n"),
        (f"To: {name(50)}@l.d (c\n  d),  z@b\n", f"To: {name(50)}@ee.f (c\n  d),  \n\tz@b\n"),
        (f"To: {name(50)}@l.d,  \n z@b\n", f"To: {name(50)}@ee.f,  \n z@b\n"),
        (f"To: {name(50)}@l.d,  \n", f"To: {name(50)}@ee.f,  \n"),
        (
            f"To: foo: {name(50)}@l.d, x@y;, z@b, gg: {name(60)}@l.d;\n",
            f"To: foo: {name(50)}@ee.f, \n\tx@y;, z@b, gg: {name(60)}@ee.f;\n",
        ),
    ],
)
def test_folding(scope: Scope, before: str, after: str) -> None:
    assert rewritten(scope, before) == after


def test_whole_items(scope: Scope) -> None:
    assert rewritten(scope, "Cc: a@w.dom, Ph <c@w.dom> , d@x\n", "C") == (
        "Cc: Whole Name <whole@x.dom>, Whole Name <whole@x.dom> , d@x\n"
    )
    assert rewritten(scope, "Cc: c@w8.dom\n", "C") == "Cc: =?UTF-8?Q?Wh=F6le?= <whole@x.dom>\n"


def test_headers_that_stay(scope: Scope) -> None:
    assert rewritten(scope, "Subject: a@h.dom\n", " ") is None
    assert rewritten(scope, "Bcc: \n", "B") is None
    assert rewritten(scope, "Reply-To: <>\n", "R") is None
    assert lines(scope) == ["qualify/rewrite: missing or malformed local part"]
    assert scope.message is not None
    scope.message.allow_unqualified_recipient = False
    assert rewritten(scope, "To: plain\n") is None
    assert rewritten(scope, "From: plain\n", "F") == "From: plain@q.dom\n"


def test_taint_stays(scope: Scope) -> None:
    new = rewrite_header(Header(Tainted("To: a@h.dom\n"), "T"), scope)
    assert new is not None
    assert is_tainted(new.text)
    assert is_tainted(rewrite_address(Tainted("a@c.domain"), scope, "T"))


def test_widened_domain(scope: Scope) -> None:
    new = rewrite_domain(Header("To: x@Ten-1, y@other, z@ten-1\n", "T"), "ten-1", "ten-1.test.ex", scope)
    assert new is not None
    assert new.text == "To: x@ten-1.test.ex, y@other, z@ten-1.test.ex\n"


def test_transport_rules(scope: Scope) -> None:
    rules = (parse_rewrite_rule("*@domain1 $1-rewrite@domain2 f", in_transport=True),)
    new = rewrite_header(Header("From: a@domain1\n", "F"), scope, rules=rules)
    assert new is not None
    assert new.text == "From: a-rewrite@domain2\n"
    assert rewrite_header(Header("To: a@domain1\n", "T"), scope, rules=rules) is None
