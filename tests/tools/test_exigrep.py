"""`exigrep` on small logs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from angaros.tools.exigrep import main
from angaros.tools.logline import parse_line, seconds
from tests.tools.running import run

A, B, C = "1vAaaa-00000000001-0001", "1vAbbb-00000000002-0001", "1vAccc-000003-01"
LOG = f"""2026-11-20 09:00:00 exim daemon started: pid=1
2026-11-20 09:00:01 {A} <= alice@one.example H=mx [192.0.2.1] P=esmtp S=10
2026-11-20 09:00:02 {B} <= <> R={A} U=exim P=local S=20
2026-11-20 09:00:03 {A} ** bob@two.example: Unrouteable address
2026-11-20 09:00:11 {A} Completed
2026-11-20 09:00:12.250 +0100 {B} => carol <carol@one.example> R=r T=t
2026-11-20 09:00:13 [77] {C} <= dave@two.example U=dave P=local S=30
"""


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "mainlog"
    path.write_text(LOG)
    return str(path)


def ids(text: str) -> list[str]:
    return [one for one in (A, B, C) if one in text]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["alice"], [A, B]),  # B's lines name A
        (["ALICE"], [A, B]),
        (["-I", "ALICE"], []),
        (["bob@two"], [A, B]),
        (["-t", "5", "bob@two"], [A, B]),
        (["-t5", "bob@two"], [A, B]),
        (["carol"], [A, B]),
        (["-l", "a.*e"], []),
        (["a.*e@one"], [A, B]),
        (["dave"], [C]),
    ],
)
def test_messages(log: str, arguments: list[str], found: list[str]) -> None:
    result = run(main, *arguments, log)
    shown = ids(result.out)
    assert result.status == 0
    assert set(shown) <= set(found)
    assert bool(shown) == bool(found)


def test_related_messages(log: str) -> None:
    assert f"{B} =>" not in run(main, "alice", log).out
    assert f"{B} =>" in run(main, "-M", "alice", log).out


def test_inverted(log: str) -> None:
    out = run(main, "-v", "alice", log).out
    assert "daemon started" in out
    assert f"{A} Completed" not in out
    assert f"+++ {C} has not completed +++" in out


def test_compressed_and_standard_input(log: str) -> None:
    packed = Path(log + ".gz")
    packed.write_bytes(gzip.compress(LOG.encode()))
    assert run(main, "alice", str(packed)).out == run(main, "alice", log).out == run(main, "alice", stdin=LOG).out


def test_wrong_use() -> None:
    assert run(main).status == 2
    assert run(main, "(").status == 2
    assert run(main, "-Q", "x").status == 2
    assert "Unable to open /nowhere" in run(main, "x", "/nowhere").err


@pytest.mark.parametrize(
    ("line", "stamp", "message_id", "rest"),
    [
        (f"2026-11-20 09:00:01 {C} Completed", "2026-11-20 09:00:01", C, "Completed"),
        (f"2026-11-20 09:00:01.123 +0200 [5] {A} x", "2026-11-20 09:00:01.123 +0200", A, "x"),
        (f"Nov 20 09:00:01 host exim[5]: 2026-11-20 09:00:01 {A} x", "2026-11-20 09:00:01", A, "x"),
        (f"2026-11-20T09:00:01.5+00:00 host exim[5]: {A} x", "2026-11-20 09:00:01", A, "x"),
        (f"<22>Nov 20 09:00:01 host exim[5]: [1/2] 2026-11-20 09:00:02 {A} x", "2026-11-20 09:00:02", A, "x"),
    ],
)
def test_lines(line: str, stamp: str, message_id: str, rest: str) -> None:
    parsed = parse_line(line)
    assert parsed is not None
    assert (parsed.stamp, parsed.message_id, parsed.rest) == (stamp, message_id, rest)


def test_other_lines_are_not_exims() -> None:
    assert parse_line("Nov 20 09:00:01 host sshd[5]: bye") is None
    assert parse_line("") is None


def test_differences_of_stamps() -> None:
    assert seconds("2026-11-21 00:00:00.500") - seconds("2026-11-20 23:59:59") == pytest.approx(1.5)
    assert seconds("2026-11-20 09:00:00 +0100") == seconds("2026-11-20 08:00:00 +0000")
