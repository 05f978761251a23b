"""Canonicalisation: RFC 6376's own examples, and a plain reference over random bodies."""

from __future__ import annotations

import hashlib
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.mailauth.dkim import canon
from angaros.mailauth.dkim.canon import BodyHasher, header_line
from angaros.mailauth.dkim.tags import MAX_TAGS, TagError, parse_tags, split_colons


def digest(body: bytes, method: str, pieces: list[int] | None = None, limit: int | None = None) -> bytes:
    hasher = BodyHasher("sha256", method, limit)
    at = 0
    for size in pieces or []:
        hasher.feed(body[at : at + size])
        at += size
    hasher.feed(body[at:])
    return hasher.finish()


def canonical(body: bytes, method: str) -> bytes:
    """RFC 6376 3.4.3, 3.4.4, line by line."""
    lines = body.split(b"\r\n")
    if lines[-1] == b"":
        lines.pop()
    if method == "relaxed":
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in lines]
    while lines and lines[-1] == b"":
        lines.pop()
    text = b"".join(line + b"\r\n" for line in lines)
    return text if text or method == "relaxed" else b"\r\n"


PARTS = st.sampled_from([b"\r\n", b" ", b"\t", b"a", b"bc", b"  ", b"\r\n\r\n", b" \r\n", b".", b"\xff"])


@given(st.lists(PARTS, max_size=20), st.lists(st.integers(0, 5), max_size=12), st.sampled_from(["simple", "relaxed"]))
def test_body_in_any_pieces(parts: list[bytes], pieces: list[int], method: str) -> None:
    body = b"".join(parts)
    assert digest(body, method, pieces) == hashlib.sha256(canonical(body, method)).digest()


@given(st.lists(PARTS, max_size=20), st.integers(0, 30), st.sampled_from(["simple", "relaxed"]))
def test_length(parts: list[bytes], limit: int, method: str) -> None:
    body = b"".join(parts)
    assert digest(body, method, limit=limit) == hashlib.sha256(canonical(body, method)[:limit]).digest()


def test_examples_of_the_rfc() -> None:
    """RFC 6376 3.4.5, 3.4.3, 3.4.4"""
    body = b" C \r\nD \t E\r\n\r\n\r\n"
    assert digest(body, "relaxed") == hashlib.sha256(b" C\r\nD E\r\n").digest()
    assert digest(body, "simple") == hashlib.sha256(b" C \r\nD \t E\r\n").digest()
    assert header_line("A: X\r\n", "relaxed") == "a:X\r\n"
    assert header_line("B : Y\t\r\n\tZ  \r\n", "relaxed") == "b:Y Z\r\n"
    assert header_line("B : Y\t\r\n\tZ  \r\n", "simple") == "B : Y\t\r\n\tZ  \r\n"
    assert header_line("A: X\n\tY\n", "simple") == "A: X\r\n\tY\r\n"
    # 3.4.3: SHA-1 and SHA-256 of an empty body; 3.4.4 likewise
    assert digest(b"", "simple").hex().startswith("7eb70257593da06f682a3ddda54a9d260d4fc514f645237f5ca74b08f8da61a6")
    assert digest(b"", "relaxed").hex().startswith("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_a_body_shorter_than_its_length() -> None:
    hasher = BodyHasher("sha256", "simple", 100)
    hasher.feed(b"short\r\n")
    hasher.finish()
    assert hasher.short


def test_many_empty_lines_cost_no_memory() -> None:
    hasher = BodyHasher("sha256", "simple")
    for _ in range(50):
        hasher.feed(b"\r\n" * 10_000)
    hasher.feed(b"end\r\n")
    assert hasher.finish() == hashlib.sha256(b"\r\n" * 500_000 + b"end\r\n").digest()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v=1; a=b", {"v": "1", "a": "b"}),
        (" v = 1 ;\r\n\ta=b c;", {"v": "1", "a": "b c"}),
        ("a=;b=x=y", {"a": "", "b": "x=y"}),
        ("", {}),
        ("v=1; v=1", None),
        ("v", None),
        ("v=1;; a=b", None),
        ("1a=b", None),
        ("v=1\\; p=x", {"v": "1\\", "p": "x"}),
        (";".join(f"a{n}=1" for n in range(MAX_TAGS + 1)), None),
    ],
)
def test_tag_lists(text: str, expected: dict[str, str] | None) -> None:
    """RFC 6376 3.2"""
    if expected is None:
        with pytest.raises(TagError):
            parse_tags(text)
    else:
        assert parse_tags(text) == expected


def test_colon_lists() -> None:
    assert split_colons(" from :\r\n to:: subject ") == ("from", "to", "subject")


def test_without_stringzilla(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is optional: the same digests without it."""
    body = b"One.  Two.   Three.\t \tFour. \r\n  five    six\t\r\n\r\n" * 50
    monkeypatch.setitem(sys.modules, "stringzilla", None)
    canon._search.cache_clear()
    try:
        assert digest(body, "relaxed", [5, 7, 90]) == hashlib.sha256(canonical(body, "relaxed")).digest()
    finally:
        canon._search.cache_clear()
