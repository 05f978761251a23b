from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.config.config import RetryError, RetryStep
from angaros.config.rules import parse_headers_rewrite, parse_retry_error, parse_retry_rule, parse_rewrite_rule


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("*", RetryError("*")),
        ("refused_MX", RetryError("refused", via="MX")),
        ("REFUSED_a", RetryError("refused", via="A")),
        ("timeout", RetryError("timeout")),
        ("timeout_connect", RetryError("timeout", connect=True)),
        ("timeout_connect_MX", RetryError("timeout", connect=True, via="MX")),
        ("timeout_A", RetryError("timeout", via="A")),
        ("timeout_DNS", RetryError("timeout")),
        ("quota", RetryError("quota")),
        ("quota_7d", RetryError("quota", unread=604800)),
        ("rcpt_4xx", RetryError("rcpt_4xx", code="4xx")),
        ("mail_45x", RetryError("mail_4xx", code="45x")),
        ("data_452", RetryError("data_4xx", code="452")),
        ("tls_required", RetryError("tls_required")),
    ],
)
def test_retry_errors(text: str, error: RetryError) -> None:
    assert parse_retry_error(text) == error


def test_retry_rule() -> None:
    rule = parse_retry_rule('"a b@x"  rcpt_4xx  senders="p q@r"  F,2h,15m; g,16h, 1h,1.5;H,4d,6h,2')
    assert rule.pattern == "a b@x"
    assert rule.senders == "p q@r"
    assert rule.error_text == "rcpt_4xx"
    assert rule.steps == (
        RetryStep("F", 7200, 900),
        RetryStep("G", 57600, 3600, 1500),
        RetryStep("H", 345600, 21600, 2000),
    )


def test_a_retry_rule_may_have_no_steps() -> None:
    assert parse_retry_rule("* lost_connection").steps == ()


def test_only_exims_white_space_parts_items() -> None:
    with pytest.raises(ValueError, match="unknown or malformed retry error"):
        parse_retry_rule("* \x1c")


@pytest.mark.parametrize(
    ("line", "flags", "written"),
    [
        ("* $1@x", "FTbcfrst", ""),
        ("* $1@x Eh", "FTbcfrst", "Eh"),
        ("* $1@x fs w", "fsw", "fsw"),
        ("* $1@x Qq", "FQTbcfqrst", "Qq"),
        ("^a $1@x S", "S", "S"),
    ],
)
def test_rewrite_flags(line: str, flags: str, written: str) -> None:
    rule = parse_rewrite_rule(line)
    assert (rule.flags, rule.written) == (flags, written)


def test_rewrite_rule_with_quotes() -> None:
    rule = parse_rewrite_rule('"a b" "$1\\\\@x y" E')
    assert (rule.pattern, rule.replacement) == ("a b", "$1\\@x y")


def test_headers_rewrite_is_a_list() -> None:
    first, second = parse_headers_rewrite('a@b c@d f : x@y "p q" h')
    assert (first.pattern, first.flags) == ("a@b", "f")
    assert (second.replacement, second.flags) == ("p q", "bcfrst")
    assert parse_headers_rewrite("a@b c@d")[0].flags == "bcfrst"


@given(st.text(st.characters(max_codepoint=255), max_size=40), st.sampled_from(["", "* ", "* * ", "* * F,1h,", "* rcpt_4"]))
def test_no_text_breaks_the_parsers(text: str, start: str) -> None:
    for parse in (parse_retry_rule, parse_rewrite_rule, parse_headers_rewrite):
        try:
            parse(start + text)
        except ValueError as error:
            assert str(error)
