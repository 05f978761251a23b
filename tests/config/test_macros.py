from __future__ import annotations

import pytest

from angaros.config.macros import MacroError, Macros, parse_command_line, parse_command_line_macros


def macros(*lines: str, **given: str) -> Macros:
    result = Macros(lambda: {"_HAVE_TLS": "y", "_HAVE_TLS_RESUME": "y"})
    for name, value in given.items():
        result.define_command_line(name, value)
    for line in lines:
        result.define_line(line)
    return result


def test_macros_apply_in_the_order_of_definition() -> None:
    assert macros("ABCD_XYZ = 1", "ABCD = 2").replace("ABCD_XYZ ABCD ABCDE") == ("1 2 2E", True)
    assert macros("A = B", "B = C").replace("x = A B") == ("x = C C", True)
    assert macros("B = C", "A = B").replace("x = A B") == ("x = B C", True)


def test_a_replacement_is_not_scanned_for_itself() -> None:
    assert macros("A = AA").replace("a A") == ("a AA", True)


def test_the_name_in_a_definition_is_kept() -> None:
    assert macros("MAC = 1").replace("MAC == MAC and MAC") == ("MAC == 1 and 1", True)
    assert macros("MAC = 1").replace("MAC") == ("1", True)


def test_redefinition_keeps_the_order() -> None:
    m = macros("A = 1", "B = A", "A == B")
    assert m.replace("x A")[0] == "x A"
    assert list(m.own()) == ["A", "B"]


def test_the_command_line_wins() -> None:
    m = macros("A = file", "A == again", A="given")
    assert m.replace("x = A") == ("x = given", True)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["A = 1", "A = 2"], 'macro "A" is already defined (use "==" if you want to redefine it)'),
        (["A == 1"], 'can\'t redefine an undefined macro "A"'),
        (["A = 1", "BAB = 2"], '"BAB" cannot be defined as a macro because previously defined macro "A" is a substring'),
        (["A-b = 1"], "malformed macro definition"),
        (["M" * 64 + " = 1"], "macro name too long (maximum is 63 characters)"),
    ],
)
def test_errors(lines: list[str], text: str) -> None:
    with pytest.raises(MacroError) as caught:
        macros(*lines)
    assert str(caught.value) == text


def test_built_in_macros_are_made_when_a_line_may_name_one() -> None:
    made = []

    def make() -> dict[str, str]:
        made.append(1)
        return {"_HAVE_TLS": "y"}

    m = Macros(make)
    assert m.replace("x_y = Z") == ("x_y = Z", False)
    assert not made
    assert m.replace(".ifdef _HAVE_TLS") == (".ifdef y", True)
    assert made == [1]


@pytest.mark.parametrize(
    ("text", "result"),
    [("ABC", ("ABC", "")), ("ABC=", ("ABC", "")), (" A = b c ", ("A", "b c ")), ("A==1", ("A", "=1"))],
)
def test_command_line(text: str, result: tuple[str, str]) -> None:
    assert parse_command_line(text) == result


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (["abc=1"], "macro name set by -D must start with an upper case letter"),
        (["_A=1"], "macro name set by -D must start with an upper case letter"),
        (["A*=1"], ""),
        (["A B"], ""),
        (["A=1", "A=2"], "duplicated -D in command line"),
        ([f"M{n}=1" for n in range(11)], "too many -D options on command line"),
    ],
)
def test_command_line_errors(texts: list[str], error: str) -> None:
    with pytest.raises(MacroError) as caught:
        parse_command_line_macros(texts)
    assert str(caught.value) == error
