"""Lists of all kinds. Expectations come from the manual and from a real Exim (-be)."""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.lists.parse import split_list
from angaros.model.delivery import Delivery
from angaros.model.errors import ListDefer, PanicError
from angaros.model.session import Session
from angaros.model.text import Tainted, is_tainted
from tests.lookups.support import make_scope


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        (":", [""]),
        ("::", [":"]),
        ("a:b", ["a", "b"]),
        (" a : b ", ["a", "b"]),
        ("a::b:c", ["a:b", "c"]),
        ("a:::b", ["a:", "b"]),
        ("a: :b", ["a", "", "b"]),
        ("user@domain :", ["user@domain"]),
        ("user1@domain : : user2@domain", ["user1@domain", "", "user2@domain"]),
        ("127.0.0.1 : ::::1", ["127.0.0.1", "::1"]),
        ("127.0.0.1:::::1", ["127.0.0.1::", "1"]),
        ("<; 127.0.0.1 ; ::1", ["127.0.0.1", "::1"]),
        (" <+ a + b", ["a", "b"]),
        ("<; a;b; ; ", ["a", "b", ""]),
        ("<\n a\n\nb\nc", ["a", "", "b", "c"]),
        ("<\x7f 1\x7f2", ["1", "2"]),
        ("<a:b", ["<a", "b"]),
        ("<", []),
    ],
)
def test_split(text: str, items: list[str]) -> None:
    assert split_list(text) == items


def test_tainted_list_does_not_choose_its_separator() -> None:
    items = split_list(Tainted("<; a:b"))
    assert items == ["<; a", "b"]
    assert all(map(is_tainted, items))


DOMAINS = {"domain": {"d1": "a.b : !c.d", "d2": "+d1 : *.ex", "loop": "+loop"}}


@pytest.mark.parametrize(
    ("domain", "items", "data"),
    [
        ("a.b", "a.b", "a.b"),
        ("A.B", "a.B", "a.B"),
        ("donkey.ex", "*key.ex", "*key.ex"),
        ("cipher.key.ex", "*key.ex", "*key.ex"),
        ("ey.ex", "*key.ex", False),
        ("my.host.ex", "@", "my.host.ex"),
        ("x", "@", False),
        ("x.c.ex", "!a.b.c : *.b.c", False),
        ("a.b.c", "!a.b.c : *.b.c", False),
        ("z.b.c", "!a.b.c : *.b.c", "*.b.c"),
        ("z", "!a.b.c", None),
        ("z", "a : b", False),
        ("z", "", False),
        ("a.b", "+d1", "a.b"),
        ("c.d", "+d1", False),
        ("q.r", "+d1", None),
        ("c.d", "+d2", False),
        ("a.b", "! +d1 : *", False),
        ("c.d", "! +d1 : *", "*"),
        ("abc.example", r"^\w+\.example$", r"^\w+\.example$"),
        ("ABC.example", r"^abc", r"^abc"),
        ("abc.example", r"^(?-i)ABC", False),
        ("a.b", "$none", False),
        ("a.b", "${fail}", False),
    ],
)
def test_domains(domain: str, items: str, data: str | bool | None) -> None:
    scope = make_scope(lists=DOMAINS)
    result = scope.services.lists.match_domain(domain, items, scope)
    assert (result.data if result else False) == data


def test_numeric_variables() -> None:
    scope = make_scope()
    scope.services.lists.match_domain("donkey.ex", "*key.ex", scope)
    assert scope.numeric == ("donkey.ex", "don")
    scope.services.lists.match_domain("a1.ex", r"^(\w)(\d)", scope)
    assert scope.numeric == ("a1", "a", "1")
    scope.services.lists.match_domain("x.y", "x.y", scope)
    assert scope.numeric == ("x.y",)
    scope.services.lists.match_domain("x.y", "z", scope)
    assert scope.numeric == ()


def test_unset_option_matches_nothing() -> None:
    scope = make_scope(shown=True)
    assert not scope.services.lists.match_host(None, scope, option="host_lookup")
    assert scope.services.log.debug_lines == ["host in host_lookup? no (option unset)"]  # type: ignore[attr-defined]


def test_unknown_named_list_defers() -> None:
    scope = make_scope()
    with pytest.raises(ListDefer) as caught:
        scope.services.lists.match_domain("a.b", "+nope", scope)
    assert str(caught.value) == ""
    assert scope.services.log.panics == ['unknown named domain list "+nope"']  # type: ignore[attr-defined]
    with pytest.raises(ListDefer):
        scope.services.lists.match_domain("a.b", "+loop", make_scope(lists=DOMAINS))


def test_expansion_error_defers() -> None:
    scope = make_scope()
    with pytest.raises(ListDefer):
        scope.services.lists.match_domain("a.b", "${bad}", scope)
    expected = 'failed to expand "${bad}" while checking a list: bad expansion'
    assert scope.services.log.panics == [expected]  # type: ignore[attr-defined]


def test_lookup_defer_is_list_defer() -> None:
    scope = make_scope()
    with pytest.raises(ListDefer, match="testdb lookup forced DEFER"):
        scope.services.lists.match_domain("a.b", "testdb;defer", scope)
    assert not scope.services.lists.match_domain("a.b", "testdb;fail", scope)
    assert scope.services.lists.match_domain("a.b", "!testdb;fail", scope)


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ("lsearch;/nonexist", "failed to open /nonexist for linear search: No such file or directory"),
        ("/nonexist", 'failed to open /nonexist when checking "/nonexist": No such file or directory'),
        ("foo;/x", 'unknown lookup type "foo"'),
        ("lsearch ;/x", 'unknown lookup type "lsearch "'),
        ("mysql*;x", 'defaults using "*" or "*@" are not permitted for lookup type "mysql*"'),
        ("partial-mysql;x", '"partial" is not permitted for lookup type "mysql"'),
        ("partialx-lsearch;x", 'format error in lookup type "partialx-lsearch"'),
    ],
)
def test_fatal_items(items: str, text: str) -> None:
    scope = make_scope()
    with pytest.raises(PanicError) as caught:
        scope.services.lists.match_domain("a.b", items, scope)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("address", "items", "matched"),
    [
        ("", "*", False),
        ("", ":", True),
        ("", "^$", True),
        ("a@b.c", "@b.c", False),
        ("a@b.c", "b.c", True),
        ("a@b.c", "*.c", True),
        ("a@b.c", "*", True),
        ("A@B.C", "a@b.c", True),
        ("A@B.C", "+caseful:A@b.c", True),
        ("A@B.C", "+caseful:a@b.c", False),
        ("A@B.C", "+caseful:A@B.C", False),
        ("A@B.C", "+caseful:^A@b.c", True),
        ("A@B.C", "+caseful:^A@B.C", False),
        ("A@B.C", "^(?-i)A@b.c", False),
        ("a@b@c.d", "*@c.d", True),
        ("a@c.d", "*@+d1", False),
        ("a@a.b", "*@+d1", True),
        ("x@a.b", "a@+d1", False),
        ("x@y.z", "+as", True),
        ("x@y.z", "!+as", False),
        ("ax", "ax", False),
    ],
)
def test_addresses(address: str, items: str, matched: bool) -> None:
    scope = make_scope(lists={**DOMAINS, "address": {"as": "x@y.z"}})
    scope.numeric = ("old",)
    assert bool(scope.services.lists.match_address(address, items, scope)) is matched
    assert scope.numeric == ()


@pytest.mark.parametrize(
    ("pattern", "numeric"),
    [
        ("*queen@*.fict.example", ("hearts-queen@wonderland.fict.example", "hearts-", "wonderland")),
        ("hearts-queen@*.fict.example", ("hearts-queen@wonderland.fict.example", "wonderland")),
        ("^(.)[^@]*@(.)", ("hearts-queen@w", "h", "w")),
        ("wonderland.fict.example", ("hearts-queen@wonderland.fict.example",)),
    ],
)
def test_rewriting_variables(pattern: str, numeric: tuple[str, ...]) -> None:
    scope = make_scope()
    assert scope.services.lists.match_address("hearts-queen@wonderland.fict.example", pattern, scope, numeric=True)
    assert scope.numeric == numeric


def test_local_part_lookup(tmp_path: Path) -> None:
    file = tmp_path / "reject"
    file.write_text("a.b: !x\nc.d: x : >*\n*: !y : z\nloop: a : >loop\n")
    scope = make_scope()
    match = scope.services.lists.match_address
    item = f"@@lsearch;{file}"
    for address, matched in [("y@a.b", False), ("x@a.b", False), ("z@c.d", True), ("y@c.d", False), ("x@c.d", True)]:
        assert bool(match(address, item, scope)) is matched, address
    with pytest.raises(PanicError, match="Loop detected in lookup of local part of y@loop in @@lsearch;"):
        match("y@loop", item, scope)


def test_whole_address_lookup(tmp_path: Path) -> None:
    file = tmp_path / "senders"
    file.write_text("user1@domain1.example\n*@domain2.example\n")
    scope = make_scope()
    match = scope.services.lists.match_address
    assert match("user1@domain1.example", f"lsearch*@;{file}", scope)
    assert match("any@domain2.example", f"lsearch*@;{file}", scope)
    assert not match("any@domain1.example", f"lsearch*@;{file}", scope)
    assert not match("", f"lsearch*@;{file}", scope)
    assert match("user1@domain1.example", f"partial-lsearch;{file}", scope)
    assert 'ignored "partial-"' in scope.services.log.panics[0]  # type: ignore[attr-defined]


def test_local_parts() -> None:
    scope = make_scope(delivery=Delivery("Foo@a", local_part="foo", cased_local_part="Foo", domain="a"))
    match = scope.services.lists.match_local_part
    assert match("foo", "FOO", scope)
    assert match("foo", "+caseful : Foo", scope)
    assert not match("foo", "+caseful : foo", scope)
    assert not match("foo", "f*", scope)
    assert match("foo", "*o", scope).data == "*o"
    assert not match("my.host.ex", "@", scope)


PEER = "192.168.34.6"


@pytest.mark.parametrize(
    ("address", "items", "matched"),
    [
        (PEER, "*", True),
        (PEER, "192.168.34.6", True),
        (PEER, "192.168.34.0/24", True),
        (PEER, "192.168.35.0/24", False),
        (PEER, "192.168.34.6/33", True),
        (PEER, "!192.168.34.0/24", False),
        (PEER, "!10.0.0.0/8", True),
        (PEER, ":", False),
        ("", ":", True),
        ("", "*", True),
        ("", "1.2.3.4", False),
        ("::ffff:1.2.3.4", "1.2.3.4", True),
        ("3ffe:ffff:836f::1", "<; 3ffe:ffff:836f::/48", True),
        ("3ffe:ffff:836e::1", "<; 3ffe:ffff:836f::/48", False),
        ("3ffe:ffff:836f::1", "3ffe::ffff::836f::::/48", True),
        (PEER, "1.2.3/24", False),
        (PEER, "1.2.3/24 : *", False),
        (PEER, "+ignore_unknown : 1.2.3/24 : *", True),
        (PEER, "+include_unknown : 1.2.3/24", True),
        (PEER, "+include_unknown : !1.2.3/24", True),
    ],
)
def test_hosts_by_address(address: str, items: str, matched: bool) -> None:
    scope = make_scope(session=Session(sender_host_address=address))
    assert bool(scope.services.lists.match_host(items, scope)) is matched


def test_the_quick_answers_for_hosts_are_those_of_the_walk() -> None:
    scope = make_scope(session=Session(sender_host_address="::ffff:10.1.2.3"))
    lists = scope.services.lists
    for quick, walked in (("", " "), ("*", " *")):
        for more in ({}, {"address": "10.9.8.7"}, {"address": "10.9.8.7", "name": "", "expand": False}):
            assert lists.match_host(quick, scope, **more) == lists.match_host(walked, scope, **more)
    assert not lists.match_host(None, scope)


@pytest.mark.parametrize(
    ("items", "matched"),
    [("*.host.ex", True), ("^peer\\.", True), ("*.other", False), ("+ignore_unknown : *.other : *", True)],
)
def test_hosts_by_name(items: str, matched: bool) -> None:
    session = Session(sender_host_address=PEER, sender_host_name="Peer.Host.ex", host_name_looked_up=True)
    scope = make_scope(session=session)
    assert bool(scope.services.lists.match_host(items, scope)) is matched


def test_match_ip_does_not_look_up_names() -> None:
    scope = make_scope()
    for items in ("a.b.c", "*.foo", "^1", "!*.foo", "!foo.bar", "lsearch;/etc/passwd"):
        assert not scope.services.lists.match_host(items, scope, name="", address="1.2.3.4", expand=False)


def test_host_lookups(tmp_path: Path) -> None:
    file = tmp_path / "nets"
    file.write_text("192.168.34.0/24: a net\n192.168.34.6: exact\n3ffe.ffff.0000.0000.0000.0000.0000.0001: six\nhost.ex: name\n")
    scope = make_scope(session=Session(sender_host_address=PEER))
    match = scope.services.lists.match_host
    assert match(f"net24-lsearch;{file}", scope).data == "a net"
    assert match(f"net-lsearch;{file}", scope).data == "exact"
    assert not match(f"net16-lsearch;{file}", scope)
    assert match(f"net-iplsearch;{file}", scope).data == "a net"
    assert match(f"net-lsearch;{file}", scope, address="3ffe:ffff::1").data == "six"
    assert match(f"lsearch;{file}", scope, address="1.1.1.1", name="HOST.ex").data == "name"
    assert match("net-testdb;x", scope).data == "x"
    assert match(f"iplsearch;{file}", scope, name="", address=PEER, expand=False).data == "a net"
    assert match(f"lsearch;{file}", scope, name="", address=PEER, expand=False).data == "exact"


def test_unknown_lookup_type_in_host_list_defers() -> None:
    scope = make_scope(session=Session(sender_host_address=PEER), shown=True)
    with pytest.raises(ListDefer, match='unknown lookup type "<"'):
        scope.services.lists.match_host("1.2.3.4 : <; 1.2.3.4::5.6.7.8", scope)
    log = scope.services.log
    assert log.panics == ['unknown lookup type "<" in host list item "<; 1.2.3.4:5.6.7.8"']  # type: ignore[attr-defined]
    assert log.debug_lines == [  # type: ignore[attr-defined]
        'host in "1.2.3.4 : <; 1.2.3.4::5.6.7.8"?',
        " list element: 1.2.3.4",
        " list element: <;\xe2\x96\x911.2.3.4:5.6.7.8",
        'host in "1.2.3.4 : <; 1.2.3.4::5.6.7.8"? list match deferred for <; 1.2.3.4:5.6.7.8',
    ]


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("# comment\n\n!a.b.c  # not this\n*.b.c\n")
    scope = make_scope()
    match = scope.services.lists.match_domain
    assert not match("a.b.c", str(file), scope)
    assert match("x.b.c", str(file), scope).data == "*.b.c"
    assert match("a.b.c", f"!{file}", scope)
    assert not match("x.b.c", f"!{file}", scope)
    addresses = tmp_path / "addresses"
    addresses.write_text("not#comment@x.y.z   # but this is a comment\n")
    assert scope.services.lists.match_address("not#comment@x.y.z", str(addresses), scope)
    with pytest.raises(PanicError):
        match("x", "$path", make_scope(path=Tainted(str(file))))


def test_debugging_lines_of_named_lists() -> None:
    delivery = Delivery("a@relay.test.ex", domain="relay.test.ex")
    scope = make_scope(lists={"domain": {"local_domains": "test.ex : *.test.ex"}}, delivery=delivery, shown=True)
    assert scope.services.lists.match_domain("relay.test.ex", "+local_domains", scope).data == "*.test.ex"
    lines = scope.services.log.debug_lines  # type: ignore[attr-defined]
    assert lines == [
        'relay.test.ex in "+local_domains"?',
        " list element: +local_domains",
        "  start sublist local_domains",
        '   relay.test.ex in "test.ex : *.test.ex"?',
        "   |list element: test.ex",
        "   |list element: *.test.ex",
        '   |relay.test.ex in "test.ex : *.test.ex"? yes (matched "*.test.ex")',
        "  end sublist local_domains",
        " data from lookup saved for cache for +local_domains: key 'relay.test.ex' value '*.test.ex'",
        ' relay.test.ex in "+local_domains"? yes (matched "+local_domains")',
    ]
    lines.clear()
    assert scope.services.lists.match_domain("relay.test.ex", "+local_domains", scope).data == "*.test.ex"
    assert lines[2:] == [
        "  start sublist local_domains",
        " cached yes match for +local_domains",
        " cached lookup data = *.test.ex",
        ' relay.test.ex in "+local_domains"? yes (matched "+local_domains" - cached)',
    ]
    assert scope.depth == 0


def test_lists_with_variables_are_not_cached() -> None:
    delivery = Delivery("a@b", domain="b")
    scope = make_scope(lists={"domain": {"v": "$what", "w": "+v"}}, delivery=delivery, what="b")
    assert scope.services.lists.match_domain("b", "+w", scope)
    scope.local["what"] = "c"
    assert not scope.services.lists.match_domain("b", "+w", scope)


def test_domain_half_is_shown_as_a_list() -> None:
    scope = make_scope(shown=True)
    scope.services.lists.match_address("x@y", "user1@domain1 : domain2", scope)
    assert scope.services.log.debug_lines == [  # type: ignore[attr-defined]
        'x@y in "user1@domain1 : domain2"?',
        " list element: user1@domain1",
        " list element: domain2",
        ' y in "domain2"?',
        "  list element: domain2",
        ' y in "domain2"? no (end of list)',
        'x@y in "user1@domain1 : domain2"? no (end of list)',
    ]


def test_shifted_lines_after_an_unknown_name() -> None:
    scope = make_scope(session=Session(sender_host_address="10.0.0.1"), shown=True)
    scope.services.lists.match_host("1.2.3/24", scope)
    log = scope.services.log
    assert log.debug_lines[-1] == ' host in "1.2.3/24"? no (malformed IPv4 address or address mask: 1.2.3)'  # type: ignore[attr-defined]
    assert log.lines == ["list matching forced to fail: malformed IPv4 address or address mask: 1.2.3"]  # type: ignore[attr-defined]
    assert scope.depth == 0
    scope.trace("lists", "later")
    assert log.debug_lines[-1] == " later"  # type: ignore[attr-defined]


def test_separator_that_the_expansion_makes(tmp_path: Path) -> None:
    from angaros.lists.match import Matcher
    from angaros.model.scope import Scope
    from tests.expand.conftest import build_services

    scope = Scope(build_services(tmp_path))
    found = [Matcher().match_domain(domain, r"<\n a.x \n b:c \n d", scope).data for domain in ("b:c", "d", "b")]
    assert found == ["b:c", "d", None]
