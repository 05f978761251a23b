"""The table of enhanced status codes. RFC 2034, RFC 3463."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import angaros.inbound
from angaros.smtp.enhanced import CODES, WITHOUT, code_for, with_codes

INBOUND = Path(angaros.inbound.__file__).parent


def test_every_code_that_we_say_has_a_row() -> None:
    """The replies of `inbound`, except those whose class alone says enough."""
    said = set()
    for path in INBOUND.glob("*.py"):
        said |= {int(code) for code in re.findall(r'(?:say|respond)\(f?"([245]\d\d)[ -]?', path.read_text("utf-8"))}
    assert said - {code for _, code in CODES} - {214, 220, 221, 250, 252} == set()


def test_class_and_syntax_agree() -> None:
    for (verb, code), enhanced in CODES.items():
        assert re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", enhanced)
        assert enhanced[0] == str(code)[0], (verb, code)


@pytest.mark.parametrize(
    ("verb", "text", "wanted"),
    [
        ("RCPT", "250 Accepted\r\n", "250 2.1.5 Accepted\r\n"),
        ("RCPT", "550 5.1.1 nobody\r\n", "550 5.1.1 nobody\r\n"),
        ("RCPT", "550 4.1.1 nobody\r\n", "550 5.7.1 4.1.1 nobody\r\n"),
        ("RCPT", "550-one\r\n550 two\r\n", "550-5.7.1 one\r\n550 5.7.1 two\r\n"),
        ("DATA", "354 go on\r\n", "354 go on\r\n"),
        ("HELP", "214-a\r\n214 b\r\n", "214-2.0.0 a\r\n214 2.0.0 b\r\n"),
        ("EHLO", "250-here\r\n250 HELP\r\n", "250-here\r\n250 HELP\r\n"),
        ("", "500 what\r\n", "500 5.5.2 what\r\n"),
        ("NOOP", "250\r\n", "250 2.0.0 \r\n"),
    ],
)
def test_lines(verb: str, text: str, wanted: str) -> None:
    assert with_codes(text, verb) == wanted


@given(st.integers(200, 599), st.sampled_from(["MAIL", "RCPT", "DATA", "AUTH", "VRFY", ""]), st.text("ab .-5", max_size=20))
def test_a_second_time_changes_nothing(code: int, verb: str, text: str) -> None:
    once = with_codes(f"{code} {text}\r\n", verb)
    assert with_codes(once, verb) == once
    assert verb not in WITHOUT
    assert code // 100 == 3 or once.startswith(f"{code} {code_for(verb, code)[0]}.")
