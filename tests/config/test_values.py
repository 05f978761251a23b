from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.config import options as kinds
from angaros.config import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("90m", 5400), ("1w2d", 777600), ("0s", 0), ("2m3h", 10920), ("", -1), ("30", -1), ("1x", -1), ("h", -1)],
)
def test_times(text: str, seconds: int) -> None:
    assert values.parse_time(text) == seconds


@given(st.integers(min_value=0, max_value=10**9))
def test_times_are_shown_as_they_are_read(seconds: int) -> None:
    assert values.parse_time(values.show_time(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("12", kinds.INT, 12),
        ("077", kinds.INT, 63),
        ("0x1f", kinds.INT, 31),
        ("1k", kinds.INT, 1024),
        ("999999K", kinds.INT, 1023998976),
        ("-5", kinds.INT, -5),
        ("10M", kinds.KINT, 10 << 20),
        ("500", kinds.KINT, 500 << 10),
        ("4000G", kinds.KINT, 4000 << 30),
    ],
)
def test_integers(text: str, kind: str, value: int) -> None:
    assert values.read_integer(text, "x", kind) == value


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (1000, "1000"), (1024, "1K"), (10 << 20, "10M"), (1536 << 10, "1536K"), (4000 << 30, "4000G")]
)
def test_numbers_are_shown_with_letters(value: int, shown: str) -> None:
    assert values.show_number(value) == shown


@pytest.mark.parametrize(
    ("text", "value", "shown"), [("3.1239", 3123, "3.123"), ("0", 0, "0.0"), ("0.05", 50, "0.05"), ("3.", 3000, "3.0")]
)
def test_fixed_point(text: str, value: int, shown: str) -> None:
    assert values.read_fixed(text, "x") == value
    assert values.show_fixed(value) == shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain text", "plain text"),
        ('"in \\"quotes\\""', 'in "quotes"'),
        (r'"a\n\x41\101\q\\"', "a\nAAq\\"),
        ('""', ""),
        (r'"\1012"', "A2"),
    ],
)
def test_strings(text: str, value: str) -> None:
    assert values.read_string(text, "x") == value


@pytest.mark.parametrize(("text", "shown"), [("a\tb\n", "a\\tb\\n"), ("\xe9", "\\351"), ("a\\b", "a\\b"), ("\x7f", "\\177")])
def test_printing(text: str, shown: str) -> None:
    assert values.printing(text) == shown


def test_top_bit_characters_print_when_wanted() -> None:
    assert values.printing("\xe9", top_bit=True) == "\xe9"


@given(st.text(st.characters(max_codepoint=255)))
def test_no_text_breaks_a_reader(text: str) -> None:
    for read in (
        values.read_integer,
        values.read_octal,
        values.read_fixed,
        values.read_time,
        values.read_string,
        values.read_boolean,
    ):
        try:
            read(text, "x")
        except ValueError as error:
            assert str(error)
