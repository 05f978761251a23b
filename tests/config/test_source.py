from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.config.macros import Macros
from angaros.config.source import Source
from angaros.model.errors import ConfigError


def read(text: str, files: dict[str, str] | None = None, *, keep: bool = False) -> Source:
    def opener(name: str) -> str:
        if files is None or name not in files:
            raise FileNotFoundError(name)
        return files[name]

    source = Source(Macros(lambda: {"_HAVE_X": "y"}), open=opener, keep=keep)
    source.start("/etc/main", text)
    return source


def lines(source: Source) -> list[tuple[str, str, int]]:
    found = []
    while (line := source.next()) is not None:
        if line[0].isupper() and "=" in line:
            source.define_macro(line)
            continue
        found.append((line, source.position.file, source.position.line))
    return found


def texts(text: str, files: dict[str, str] | None = None) -> list[str]:
    return [line for line, _, _ in lines(read(text, files))]


def test_white_space_comments_and_blank_lines() -> None:
    assert lines(read("\n  a = b \t\n# x\n   # y\n\nc\r\n d")) == [
        ("a = b", "/etc/main", 2),
        ("c", "/etc/main", 6),
        ("d", "/etc/main", 7),
    ]


@pytest.mark.parametrize(
    ("text", "logical"),
    [
        ("a \\\n   b\\\nc", ["a bc"]),
        ("a = 1:\\\n  # comment\n  2", ["a = 1:2"]),
        ("a \\  \n  b", ["a b"]),
        ("a \\\n\nb", ["a", "b"]),
        ("a \\", ["a"]),
        ("\\\n\\\n", []),
        ('"a\\\n   b"', ['"ab"']),
        ("a # b", ["a # b"]),
    ],
)
def test_continuation(text: str, logical: list[str]) -> None:
    assert texts(text) == logical


def test_the_position_is_that_of_the_last_physical_line() -> None:
    assert lines(read("a \\\n b \\\n c\nd")) == [("a b c", "/etc/main", 3), ("d", "/etc/main", 4)]


def test_macros_can_make_comments_and_vanish() -> None:
    assert texts("A = # no\nE =\nx\nA y\nE\nz E") == ["x", "z"]


@pytest.mark.parametrize(
    ("text", "logical"),
    [
        (".ifdef A\na\n.else\nb\n.endif", ["b"]),
        ("A=1\n.ifdef A\na\n.else\nb\n.endif", ["a"]),
        ("A=1\n.ifdef ZAP\na\n.endif", ["a"]),
        ("A=1\n.ifndef A\na\n.elifdef A\nb\n.else\nc\n.endif comment", ["b"]),
        ("A=1\n.ifdef B\na\n.elifndef A\nb\n.elifndef B\nc\n.else\nd\n.endif", ["c"]),
        ("A=1\n.ifdef B\n.ifdef A\na\n.else\nb\n.endif\n.else\nc\n.endif", ["c"]),
        ("A=1\n.ifdef B A\na\n.endif\nb", ["a", "b"]),
        (".ifdef _HAVE_X\na\n.endif", ["a"]),
        (".ifdef _HAVE_Y\na\n.endif", []),
        ("a \\\n.ifdef B\n b \\\n.endif\n c", ["a c"]),
        (".ifdef B\n.include /nowhere\n.endif\na", ["a"]),
    ],
)
def test_conditionals(text: str, logical: list[str]) -> None:
    assert texts(text) == logical


def test_inclusion() -> None:
    files = {"/etc/sub/one": "b\n.include two", "/etc/sub/two": "c", "/q": "d"}
    assert lines(read('a\n.include sub/one\ne\n.include_if_exists "/q"\n.include_if_exists /none', files)) == [
        ("a", "/etc/main", 1),
        ("b", "/etc/sub/one", 1),
        ("c", "/etc/sub/two", 1),
        ("e", "/etc/main", 3),
        ("d", "/q", 1),
    ]


def test_a_line_goes_on_across_the_end_of_an_included_file() -> None:
    assert texts("a = b \\\n.include /x\n d", {"/x": "c \\\n"}) == ["a = b c d"]


def test_what_is_kept_for_showing() -> None:
    source = read("a\n.include /x\n# c\nb", {"/x": "c"}, keep=True)
    lines(source)
    assert source.kept == ['# 1 "/etc/main"', "a", '# 2 "/etc/main"', '# 1 "/x"', "c", '# 2 "/etc/main"', "b"]
    assert source.files == ["/etc/main", "/x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".include /none", "in line 1 of /etc/main:\n  failed to open included configuration file /none"),
        (".include_if_exists rel", 'in line 1 of /etc/main:\n  .include specifies a non-absolute path "rel"'),
        ("\xef\xbb\xbfa", "in line 1 of /etc/main:\n  found unexpected BOM (Byte Order Mark)"),
        (".include /loop", "in line 1 of /loop:\n  failed to open included configuration file /loop"),
        ("a\n.ifdef A\nb", "in line 3 of /etc/main:\n  Unexpected end of configuration file: .endif missing"),
        ("a\n.endif", "in line 2 of /etc/main:\n  .endif without matching .ifdef"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lines(read(text, {"/loop": ".include /loop"}))
    assert str(caught.value) == f"Exim configuration error {message}"
    assert caught.value.file in message


PIECES = st.sampled_from(
    [
        ".ifdef A",
        ".ifndef A",
        ".else",
        ".endif",
        ".elifdef B",
        ".include /x",
        "A = 1",
        "A == 2",
        "a = A \\",
        "#",
        "",
        " \\",
        "\xef\xbb\xbf",
    ]
)


@given(st.lists(PIECES | st.text(st.characters(max_codepoint=255), max_size=12)))
def test_any_text_gives_lines_or_an_error_with_a_place(pieces: list[str]) -> None:
    source = read("\n".join(pieces), {"/x": ".ifdef A\nb \\"})
    try:
        for line, file, number in lines(source):
            assert line == line.strip(" \t\r\v\f")
            assert line
            assert file and number
    except ConfigError as error:
        assert str(error).startswith("Exim configuration error")
