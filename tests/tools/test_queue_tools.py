"""`exipick`, `exiqgrep`, `exim_id_update` on spool directories made here."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from angaros.spool.ids import is_message_id
from angaros.tools.exipick import criterion, main
from angaros.tools.exiqsumm import octets, volume
from angaros.tools.id_update import downgraded, upgraded
from angaros.tools.id_update import main as id_update
from angaros.tools.program import ToolError
from tests.tools.running import run

OLD, NEW = "1vAaaa-000abc-Z1", "1vAaab-00000000abd-0Zz9"


def put(directory: Path, message_id: str, sender: str, recipients: list[str], frozen: bool) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    now = int(time.time()) - 3600
    lines = [f"{message_id}-H", "nobody 65534 65534", f"<{sender}>", f"{now} 0", "-received_protocol local", "-body_linecount 1"]
    lines += [f"-frozen {now}"] if frozen else []
    lines += ["-local", "XX", str(len(recipients)), *recipients, "", "014  Subject: test\n"]
    (directory / f"{message_id}-H").write_text("\n".join(lines))
    (directory / f"{message_id}-D").write_text(f"{message_id}-D\nHello there\n")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    put(tmp_path / "input", OLD, "alice@one.example", ["x@two.example", "y@three.example"], True)
    put(tmp_path / "input" / "b", NEW, "", ["z@two.example"], False)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], [OLD, NEW]),
        (["-z"], [OLD]),
        (["-x"], [NEW]),
        (["-f", "ALICE"], [OLD]),
        (["-r", "z@"], [NEW]),
        (["--or", "-r", "z@", "-z"], [OLD, NEW]),
        (["$message_age > 30m"], [OLD, NEW]),
        (["$message_age < 30m"], []),
        (["!$deliver_freeze"], [NEW]),
        (["--not", "$sender_address eq alice@one.example"], [NEW]),
        (["$recipients_count == 2"], [OLD]),
        (["$each_recipients =~ /two/"], [NEW]),
        (["--or", "$each_recipients =~ /two/"], [OLD, NEW]),
        (["$h_subject: = TEST"], [OLD, NEW]),
        (["--caseful", "$h_subject: = TEST"], []),
        (["$no_such"], []),
    ],
)
def test_exipick(spool: Path, arguments: list[str], found: list[str]) -> None:
    result = run(main, "--spool", str(spool), "-i", *arguments)
    assert (result.out.split(), result.err) == (found, "")


def test_forms(spool: Path) -> None:
    place = ["--spool", str(spool)]
    assert run(main, *place, "-b").out == (
        f"{OLD} From: <alice@one.example> To: x@two.example;y@three.example\n{NEW} From: <> To: z@two.example\n"
    )
    assert run(main, *place, "-c", "-z").out == "1 matches out of 2 messages\n"
    assert run(main, *place, "-bpc").out == "2\n"
    assert run(main, *place, "-i", "-z", "--show-vars", "sender_address").out == f"{OLD} sender_address='alice@one.example'\n"
    assert run(main, *place, "-z").out.endswith(
        f"{OLD} <alice@one.example> *** frozen ***\n          x@two.example\n          y@three.example\n\n"
    )


@pytest.mark.parametrize("text", ["", "$message_size >", "$message_size > many", "&", "$x =~ /(/"])
def test_wrong_criteria(text: str) -> None:
    with pytest.raises(ToolError):
        criterion(text)


def test_ids_change_and_come_back(spool: Path) -> None:
    assert run(id_update, "-u", str(spool / "input")).status == 0
    new = upgraded(OLD)
    assert is_message_id(new)
    assert sorted(path.name for path in (spool / "input").glob("*-*")) == [f"{new}-D", f"{new}-H"]
    assert (spool / "input" / f"{new}-H").read_text().startswith(f"{new}-H\nnobody ")
    assert (spool / "input" / f"{new}-D").read_text() == f"{new}-D\nHello there\n"
    assert run(id_update, "-d", str(spool / "input")).status == 0
    assert run(main, "--spool", str(spool), "-i").out.split() == [OLD, downgraded(NEW)]


def test_an_interrupted_change_is_finished(spool: Path) -> None:
    new = upgraded(OLD)
    (spool / "input" / f"{new}-D").write_text(f"{new}-D\nHello there\n")
    (spool / "input" / f"{OLD}-H").rename(spool / "input" / f"{new}-H")
    assert run(id_update, "-u", str(spool / "input")).status == 0
    assert (spool / "input" / f"{new}-H").read_text().startswith(f"{new}-H\n")
    assert not (spool / "input" / f"{OLD}-D").exists()


def test_volumes() -> None:
    assert [octets(text) for text in ("", "252", "2.9K", "31K", "4.0M")] == [0, 252, 2969, 31744, 4194304]
    assert [volume(size) for size in (0, 9999, 10240, 20_000_000)] == ["0", "9999", "10KB", "19MB"]
