"""Header types, splitting, encoded words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.mime.addresses import AddressRules
from angaros.mime.encoded import CharsetError, convert_charset, decode_2047, encode_2047
from angaros.mime.headers import header_syntax_error, header_type, split_headers


def test_types() -> None:
    assert [header_type(n) for n in ("From", "resent-from", "TO", "Received", "Resent-Received", "X")] == list("FFTP  ")


def test_split() -> None:
    headers = split_headers("From: a\n b\nTo:x\nbroken line\nX-y : z\n")
    assert [(h.kind, h.name) for h in headers] == [("F", "From"), ("T", "To"), (" ", "broken line\n"), (" ", "X-y")]
    assert headers[0].text == "From: a\n b\n"


@given(st.text(alphabet="aA: \t\n", max_size=60))
def test_split_keeps_all(text: str) -> None:
    joined = "".join(h.text for h in split_headers(text))
    assert joined == text + ("" if text.endswith("\n") or not text else "\n")


DECODE = [
    ("=?utf-8?q?a=C3=A9b?=", "aÃ©b"),
    ("=?iso-8859-1?q?a=e9_b?= =?iso-8859-1?b?YWJj?= x =?utf-8?q?y?=z", "aÃ© babc x yz"),
    ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
    ("=?utf-8?b?YW?=", "=?utf-8?b?YW?="),
    ("=?utf-8?q?a=zz?=", "=?utf-8?q?a=zz?="),
    ("=?utf-8?q?a b?=", "=?utf-8?q?a b?="),
    ("=?utf-8?q?=00a?=b", "?ab"),
    ("=?utf-8?q?" + "a" * 80 + "?=", "=?utf-8?q?" + "a" * 80 + "?="),
    ("=?iso-2022-jp?b?GyRCJEobKEI=?=", "ã\x81ª"),
]


@pytest.mark.parametrize(("text", "decoded"), DECODE)
def test_decode(text: str, decoded: str) -> None:
    assert decode_2047(text, "UTF-8") == decoded


def test_unknown_charset() -> None:
    with pytest.raises(CharsetError, match="iconv_open"):
        decode_2047("=?foo?q?abc?=", "UTF-8")
    assert convert_charset(b"a\xe9", "us-ascii", "utf-8") == b"a\xe9"


def test_encode() -> None:
    assert encode_2047("ab c's", "UTF-8") == "ab c's"
    assert encode_2047("ab\xe9 c_d=?", "UTF-8") == "=?UTF-8?Q?ab=E9_c=5Fd=3D=3F?="
    assert encode_2047("a" * 80 + "\xe9", "UTF-8").count("=?UTF-8?Q?") == 2


@given(st.text(alphabet=[chr(c) for c in range(1, 256)], max_size=200))
def test_round_trip(text: str) -> None:
    encoded = encode_2047(text, "UTF-8")
    if encoded != text:
        assert decode_2047(encoded, check_length=False) == text


@given(st.text(alphabet="=?utf-8qbQB_ aE9+/\n", max_size=60))
def test_decode_never_fails(text: str) -> None:
    try:
        decode_2047(text, "UTF-8")
    except CharsetError:
        pass


def test_syntax_check() -> None:
    rules = AddressRules()

    def check(text: str) -> str:
        return header_syntax_error(split_headers(text), rules)

    assert check("From: a@b\nTo: g: x@y, z@w;\n") == ""
    assert check("From: @\n") == 'domain missing or malformed: failing address in "From:" header is: @'
    assert check("From: x\n") == 'unqualified address not permitted: failing address in "From:" header is: x'
    assert check("X-From: @\n") == ""
