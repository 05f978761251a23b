"""Address syntax: what Exim 4.9x accepts, and its words for what it does not (observed)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.mime.addresses import (
    AddressRules,
    extract_address,
    find_address_end,
    quote_local_part,
    skip_comment,
    split_address_list,
    split_addresses,
    unquote_local_part,
)
from angaros.model.text import is_tainted, taint

LAX = AddressRules(allow_domain_literals=True, strip_excess_angle_brackets=True, strip_trailing_dot=True)
STRICT = AddressRules()

GOOD = [
    ("<a@b.c>", "a@b.c"),
    ("a@b.c", "a@b.c"),
    ("<@x.y,@z.w:a@b.c>", "a@b.c"),
    ("@x.y:a@b.c", "a@b.c"),
    ("<<a@b.c>>", "a@b.c"),
    ("<a@b.c.>", "a@b.c"),
    ('<"a b"@c.d>', '"a b"@c.d'),
    ("<a(comment)@b.c>", "a@b.c"),
    ("<a..b@b.c>", "a..b@b.c"),
    ("<.a@b.c>", ".a@b.c"),
    ("<a@[IPv6:::1]>", "a@[IPv6:::1]"),
    ("<>", ""),
    ('foo.bar (x) "y" <a@b>', "a@b"),
    (r"<a\@b@c.d>", r"a\@b@c.d"),
    ('<"a".b @ c (x) . d (y)>', '"a".b@c.d'),
    ("<postmaster>", "postmaster"),
]

BAD = [
    ("<@x.y>", "no local part"),
    ("<a b@c.d>", '"@" or "." expected after "a"'),
    ("<a@b c>", "malformed address: c> may not follow <a@b "),
    ("<a@b.c", "'>' missing at end of address"),
    ("<a@b.c..>", "domain missing or malformed"),
    ('<"a b@c.d>', "unmatched doublequote in local part"),
    ("<a@[foo]>", "malformed domain literal"),
    ("foo bar a@b.c", 'missing or malformed local part (expected word or "<")'),
    ("", "empty address"),
    ("(c)", "empty address"),
    (";x", "empty address"),
    ("<@a,b@c>", "colon expected after route list"),
    ("<@a:b>", "domain missing in source-routed address"),
    ("< <a@b> >", "missing or malformed local part"),
    ("<" + "a" * 260 + "@b>", "address is ridiculously long: " + "a" * 64 + "..."),
]


@pytest.mark.parametrize(("text", "address"), GOOD)
def test_good(text: str, address: str) -> None:
    found = extract_address(text, LAX)
    assert (found.address, found.error) == (address, "")


@pytest.mark.parametrize(("text", "error"), BAD)
def test_bad(text: str, error: str) -> None:
    assert extract_address(text, LAX).error == error


def test_strict_rules() -> None:
    assert extract_address("<a@[1.2.3.4]>", STRICT).error == "domain literals not allowed"
    assert extract_address("<a@b.>", STRICT).error == "domain missing or malformed"
    assert extract_address("<<a@b>>", STRICT).error == "missing or malformed local part"
    assert extract_address("<>", STRICT, allow_null=False).error == "missing or malformed local part"


def test_utf8_domain() -> None:
    rules = AddressRules(allow_utf8_domains=True)
    domain = "é.c".encode().decode("latin-1")
    assert extract_address(f"<a@{domain}>", rules).address == f"a@{domain}"
    assert extract_address("<a@\xe9.c>", rules).error == "invalid UTF-8 byte sequence"
    assert extract_address(f"<a@{domain}>", STRICT).error == "domain missing or malformed"


def test_offsets_and_taint() -> None:
    text = taint("Joe <@x:joe@example.com>")
    found = extract_address(text)
    assert text[found.start : found.end] == "joe@example.com"
    assert found.address[found.domain :] == "example.com"
    assert is_tainted(found.address)
    assert not is_tainted(extract_address("a@b").address)


LISTS = [
    ("a@b, c@d", ["a@b", "c@d"]),
    ("g: a@b, c@d;", ["a@b", "c@d"]),
    ("g: a@b, c@d; e@f", ["a@b", "c@d", "e@f"]),
    ("undisclosed:;", []),
    ("a@b,, c@d", ["a@b", "c@d"]),
    ('"a,b"@c, d@e', ['"a,b"@c', "d@e"]),
    ("a@b (x, y), c@d", ["a@b (x, y)", "c@d"]),
    ("<@x,@y:a@b>, d@e", ["<@x,@y:a@b>", "d@e"]),
    ("@x,@y:a@b, c@d", ["@x,@y:a@b", "c@d"]),
    ("a@[IPv6:::1], b@c", ["a@[IPv6:::1]", "b@c"]),
    ('"x: y" <a@b>, z@w', ['"x: y" <a@b>', "z@w"]),
    ("a@b, <c@d, e@f", ["a@b", "<c@d, e@f"]),
    ("a@b; c@d", ["a@b; c@d"]),
]


@pytest.mark.parametrize(("text", "pieces"), LISTS)
def test_lists(text: str, pieces: list[str]) -> None:
    assert split_addresses(text) == pieces


def test_quoting() -> None:
    assert quote_local_part("a.b") == "a.b"
    assert quote_local_part("a b") == '"a b"'
    assert quote_local_part('a"b') == '"a\\"b"'
    assert unquote_local_part('"a b".c') == "a b.c"
    assert unquote_local_part(r"a\ b") == "a b"


ALPHABET = st.text(alphabet='aab@@..<<>>()",:;\\[] 1-\t\n\x00\xc3\xa9', max_size=40)


@given(ALPHABET)
def test_never_fails(text: str) -> None:
    for rules in (LAX, STRICT, AddressRules(allow_utf8_domains=True)):
        found = extract_address(text, rules)
        if found.error or not found.address:
            continue
        again = extract_address(f"<{found.address}>", LAX)
        if not found.address.endswith("\\"):
            assert again.address == found.address


@given(ALPHABET)
def test_lists_cover_the_text(text: str) -> None:
    last = 0
    for piece in split_address_list(text):
        assert last <= piece.start <= piece.end <= len(text)
        last = piece.end
    end, _ = find_address_end(text)
    assert 0 <= end <= len(text)
    assert skip_comment(text, 0) <= len(text)


def test_long_text_is_linear() -> None:
    import time

    begin = time.process_time()
    for text in ("(" * 100_000, '"' * 100_001, "a:" * 50_000, "<" * 50_000, "@a," * 30_000, "a " * 50_000, "\\" * 100_001):
        extract_address(text, LAX)
        split_addresses(text)
    assert time.process_time() - begin < 5
