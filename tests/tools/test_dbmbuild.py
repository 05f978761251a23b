"""`exim_dbmbuild` and `exim_dumpdb -L`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.lookups.dbm import read_all
from angaros.tools.dbmbuild import main, split_entry
from angaros.tools.hintsdb import dumpdb
from tests.tools.running import run

SOURCE = '# comment\nAbc:  one\n  two\n# another\n\n  three\n"a b":  quoted\nplain  white\nabc: again\ncolon : x\n'


def build(tmp_path: Path, *options: str, source: str = SOURCE) -> tuple[int, dict[str, str]]:
    (tmp_path / "in").write_text(source)
    result = run(main, *options, str(tmp_path / "in"), str(tmp_path / "out"))
    records = dict(read_all(str(tmp_path / "out"))) if (tmp_path / "out").exists() else {}
    return result.status, {key: value.rstrip("\0") for key, value in records.items()}


def test_entries(tmp_path: Path) -> None:
    status, records = build(tmp_path)
    assert status == 1  # a duplicate
    assert records == {"abc\0": "one two three", "a b\0": "quoted", "plain\0": "white", "colon\0": "x"}


def test_options(tmp_path: Path) -> None:
    assert build(tmp_path, "-nolc", "-nozero") == (
        0,
        {"Abc": "one two three", "abc": "again", "a b": "quoted", "plain": "white", "colon": "x"},
    )
    status, records = build(tmp_path, "-noduperr", "-lastdup", "-nowarn")
    assert (status, records["abc\0"]) == (0, "again")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x" * 20000 + "\n", "Overlong line read: max permitted length is 19999"),
        ("x: y\n" + (" " + "y" * 19000 + "\n") * 6, "Continued set of lines is too long: max permitted length is 99999"),
    ],
)
def test_limits(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "in").write_text(source)
    result = run(main, str(tmp_path / "in"), str(tmp_path / "out"))
    assert (result.status, result.out) == (2, f"{message}\ndbmbuild abandoned\n")
    assert not (tmp_path / "out").exists()


def test_wrong_use(tmp_path: Path) -> None:
    assert run(main).status == 1
    assert run(main, "-x", "a", "b").status == 1
    assert run(main, str(tmp_path / "none"), str(tmp_path / "out")).status == 1
    assert "are the same" in run(main, str(tmp_path), str(tmp_path)).err


def test_dump(tmp_path: Path) -> None:
    build(tmp_path)
    assert sorted(run(dumpdb, "-L", str(tmp_path / "out")).out.splitlines()) == [
        "a b\tquoted",
        "abc\tone two three",
        "colon\tx",
        "plain\twhite",
    ]


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
def test_quoted_keys_come_back(key: str) -> None:
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    assert split_entry(f'"{quoted}": value') == (key, "value")
