"""The PCRE2 binding."""

from __future__ import annotations

import time

import pytest

from angaros import regex
from angaros.model.text import Tainted, is_tainted


@pytest.mark.parametrize(
    ("pattern", "subject", "result"),
    [
        (r"^([ab]+)(\w+)$", "abcd", ("abcd", "ab", "cd")),
        (r"^([ab]+)(\w+)$", "xyz", None),
        (r"(a)(x)?(b)?", "ab", ("ab", "a", "", "b")),
        (r"a(x)?", "a", ("a", "")),
        (r"(?i)ABC", "xabcx", ("abc",)),
        (r"\x{e4}", "\xe4", ("\xe4",)),
        (r"(*UTF)^.$", "\xc3\xa4", ("\xc3\xa4",)),
        (r"^.$", "\xc3\xa4", None),
        (r"(*UTF)a", "\xffa", None),
        (r"a\0b", "a\0b", ("a\0b",)),
        (r"(\((?:[^()]|(?1))*\))", "x(a(b)c)", ("(a(b)c)", "(a(b)c)")),
        ("", "", ("",)),
    ],
)
def test_match(pattern: str, subject: str, result: tuple[str, ...] | None) -> None:
    assert regex.compile(pattern).match(subject) == result
    assert regex.compile(pattern).matches(subject) is (result is not None)


def test_caseless() -> None:
    assert regex.compile("ABC", caseless=True).match("abc") == ("abc",)
    assert regex.compile("ABC").match("abc") is None


def test_captures_follow_the_taint_of_the_subject() -> None:
    found = regex.compile("(a)b").match(Tainted("ab"))
    assert found is not None and all(map(is_tainted, found))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(", 'regular expression error in "(": missing closing parenthesis at offset 1'),
        ("*", 'regular expression error in "*": quantifier does not follow a repeatable item at offset 0'),
        ("[", 'regular expression error in "[": missing terminating ] for character class at offset 1'),
    ],
)
def test_errors(pattern: str, text: str) -> None:
    with pytest.raises(regex.RegexError) as caught:
        regex.compile(pattern)
    assert str(caught.value) == text


def test_limits() -> None:
    start = time.process_time()
    assert regex.compile(r"(x+x+)+y").match("x" * 5000) is None
    assert regex.compile(r"^(a|a?)+$").match("a" * 40 + "b") is None
    assert time.process_time() - start < 2
    with pytest.raises(regex.RegexError):
        regex.compile("a" * 70_000)


def test_search_and_replace() -> None:
    found = regex.compile("b(c)?")
    assert found.search(b"abab", 2) == ((3, 4), (-1, -1))
    assert regex.compile("a*").replace_all("abbab", "+") == "++b+b++b+"
    assert regex.compile("b").replace_all("abab", "$1\\") == "a$1\\a$1\\"
    assert regex.compile("x").replace_all("abab", "y") == "abab"
    assert regex.compile("b").replace_all("b" * 70_000, "y") is None
