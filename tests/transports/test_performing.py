"""The performing half of local transports, as whoever runs the tests."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from angaros.model.delivery import DeliveryResult
from angaros.transports.plan import (
    AppendTextPlan,
    Copy,
    Creation,
    FilePlan,
    Locks,
    MaildirPlan,
    MailstorePlan,
    NewFilePlan,
    OncePlan,
    PipePlan,
    Plan,
    QueuefilePlan,
    Quota,
    QuotaPlan,
    RenamePlan,
    perform,
    plan_from_json,
)

BODY = "1abcde-00000000001-0000-D\nFrom body\n.dot\n"
OFFSET = 26
HEADER = "Subject: hi\n"
TEXT = HEADER + "\n" + BODY[OFFSET:]
QUICK = Locks(retries=1, interval=0)


@pytest.fixture(autouse=True)
def same_directory() -> Iterator[None]:
    """Performing changes the directory."""
    before = os.getcwd()
    yield
    os.chdir(before)


@pytest.fixture
def body(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "body-D"
    path.write_text(BODY)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def copy(**more: Any) -> Copy:
    return Copy(header=HEADER, body_offset=OFFSET, body_size=len(BODY) - OFFSET, **more)


def mbox(**more: Any) -> Copy:
    return copy(prefix="From x\n", suffix="\n", check="From ", escape=">From ", **more)


def run(plan: Plan, fd: int = -1) -> DeliveryResult:
    again = plan_from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    (result,) = perform(again, [fd] if fd >= 0 else [])
    return result


def problem(plan: Plan, fd: int = -1) -> tuple[str, int, str]:
    result = run(plan, fd)
    return result.status, result.basic_errno, result.message


def test_mailbox_file(tmp_path: Path, body: int) -> None:
    path = tmp_path / "new" / "box"
    plan = FilePlan(str(path), mbox(), locks=QUICK, hostname="h")
    for count in (1, 2):
        result = run(plan, body)
        assert (result.status, result.size) == ("ok", len(TEXT) + 9)
        assert path.read_text() == ("From x\n" + TEXT.replace("From b", ">From b") + "\n") * count
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["box"]


def test_mailbox_in_crlf_and_filtered(tmp_path: Path, body: int) -> None:
    path = tmp_path / "box"
    run(FilePlan(str(path), copy(use_crlf=True, filter=["/bin/sed", "s/dot/DOT/"]), locks=QUICK), body)
    assert path.read_bytes() == TEXT.replace("dot", "DOT").replace("\n", "\r\n").encode()


def test_failing_filter_leaves_the_mailbox_as_it_was(tmp_path: Path, body: int) -> None:
    path = tmp_path / "box"
    path.write_text("old\n")
    path.chmod(0o600)
    plan = FilePlan(str(path), copy(filter=["/bin/sh", "-c", "cat; exit 3"]), locks=QUICK)
    assert problem(plan, body) == ("defer", -24, f"transport filter process failed (3) while writing to {path}")
    plan.copy.filter = ["/no/such"]
    text = f"transport filter process failed (127) while writing to {path}: unable to execute command"
    assert problem(plan, body) == ("defer", -24, text)
    assert path.read_text() == "old\n"


@pytest.mark.parametrize(
    ("kind", "errno", "message"),
    [
        ("narrow", -7, "mailbox {} has the wrong mode 400 (600 expected)"),
        ("links", -4, "mailbox {} has too many links (2)"),
        ("fifo", -4, "mailbox {} is not a regular file"),
        ("symlink", -4, "mailbox {} is not a regular file"),
        ("must", 2, "mailbox {} does not exist, but file_must_exist is set"),
        ("home", -34, "mailbox {} does not exist, but creation outside the home directory is not permitted"),
        ("locked", -9, "failed to lock mailbox {} (lock file)"),
        ("full", -22, "mailbox is full (MTA-imposed quota exceeded while writing to {})"),
    ],
)
def test_mailboxes_that_are_not_used(tmp_path: Path, body: int, kind: str, errno: int, message: str) -> None:
    path = tmp_path / "box"
    plan = FilePlan(str(path), mbox(), locks=QUICK)
    if kind in ("narrow", "links"):
        path.write_text("")
        path.chmod(0o400 if kind == "narrow" else 0o600)
    if kind == "links":
        os.link(path, tmp_path / "other")
    if kind == "fifo":
        os.mkfifo(path, 0o600)
    if kind == "symlink":
        path.symlink_to(tmp_path / "target")
    plan.must_exist = kind == "must"
    if kind == "home":
        plan.creation = Creation(create_file="inhome", home=str(tmp_path / "home"))
    if kind == "locked":
        Path(f"{path}.lock").write_text("")
    if kind == "full":
        plan.quota = Quota(size=10, message_size=40)
    assert problem(plan, body) == ("defer", errno, message.format(path))


def test_wide_mode_is_narrowed_and_stale_lock_removed(tmp_path: Path, body: int) -> None:
    path = tmp_path / "box"
    path.write_text("")
    path.chmod(0o666)
    lock = Path(f"{path}.lock")
    lock.write_text("")
    plan = FilePlan(str(path), mbox(), locks=Locks(retries=2, interval=0, lockfile_timeout=1))
    time.sleep(0)  # the lock's change time cannot be set; a timeout of the past does as well
    plan.locks.lockfile_timeout = -1
    assert run(plan, body).status == "defer"
    lock.unlink()
    assert run(plan, body).status == "ok"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_warning_threshold(tmp_path: Path, body: int) -> None:
    plan = FilePlan(str(tmp_path / "box"), mbox(), locks=QUICK, quota=Quota(warn_threshold=30))
    assert run(plan, body).detail == {"warn": len(TEXT) + 9}
    assert run(plan, body).detail == {}


def test_mbx(tmp_path: Path, body: int) -> None:
    path = tmp_path / "box"
    locks = Locks(use_lockfile=False, use_mbx=True, retries=1, interval=0)
    assert run(FilePlan(str(path), copy(use_crlf=True), locks=locks, mbx_format=True), body).status == "ok"
    data = path.read_bytes()
    assert data.startswith(b"*mbx*\r\n")
    line, _, text = data[2048:].partition(b"\r\n")
    assert text == TEXT.replace("\n", "\r\n").encode()
    assert line.endswith(b",%d;000000000000-00000000" % len(text))


def test_maildir(tmp_path: Path, body: int) -> None:
    path = tmp_path / "a" / "box"
    plan = MaildirPlan(str(path), copy(), hostname="h", tag=":2,S=1", folder_regex="/box$")
    result = run(plan, body)
    assert (result.status, result.size, result.file_format) == ("ok", len(TEXT), "maildir")
    (name,) = os.listdir(path / "new")
    assert name.endswith(".h:2,S=1")
    assert (path / "new" / name).read_text() == TEXT
    assert sorted(os.listdir(path)) == ["cur", "maildirfolder", "new", "tmp"]
    assert os.listdir(path / "tmp") == []


def test_maildir_quota_and_size_file(tmp_path: Path, body: int) -> None:
    path = tmp_path / "box"
    quota = Quota(size=2 * len(TEXT), filecount=9, message_size=len(TEXT))
    plan = MaildirPlan(str(path), copy(), quota=quota, hostname="h", use_size_file=True)
    assert run(plan, body).status == "ok"
    assert run(plan, body).status == "ok"
    n = len(TEXT)
    assert (path / "maildirsize").read_text() == f"{2 * n}S,9C\n0 0\n{n} 1\n{n} 1\n"
    status, errno, message = problem(plan, body)
    assert (status, errno) == ("defer", -22)
    assert message.startswith("mailbox is full (MTA-imposed quota exceeded while writing to tmp/")
    plan.quota.size *= 10
    plan.quota.filecount = 2
    assert "filecount quota" in problem(plan, body)[2]
    plan.quota.filecount = 20
    assert run(plan, body).status == "ok"
    assert (path / "maildirsize").read_text() == f"{20 * n}S,20C\n{2 * n} 2\n{n} 1\n"


def test_maildir_problems(tmp_path: Path, body: int) -> None:
    plan = MaildirPlan(str(tmp_path / "box"), copy(), Creation(create_directory=False))
    text = f"stat() error for {plan.path}: No such file or directory"
    assert problem(plan, body) == ("defer", 2, text)
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "new").write_text("")
    plan.creation = Creation()
    assert problem(plan, body) == ("defer", -5, f"{plan.path}/new is not a directory")


def test_tag_that_waits_for_the_size(tmp_path: Path, body: int) -> None:
    path = tmp_path / "box"
    result = run(MaildirPlan(str(path), copy(filter=["/bin/cat"]), wait_for_tag=True, use_size_file=True, hostname="h"), body)
    temporary = result.detail["temporary"]
    assert run(RenamePlan(temporary, f"{path}/new/x,S=9", 9, result.detail["size_file"])).status == "ok"
    assert os.listdir(path / "new") == ["x,S=9"]
    assert (path / "maildirsize").read_text().endswith("9 1\n")


def test_new_file_and_rename(tmp_path: Path, body: int) -> None:
    path = tmp_path / "dir"
    result = run(NewFilePlan(str(path), copy(), hostname="h"), body)
    assert result.detail["inode"] == os.stat(result.detail["temporary"]).st_ino
    assert run(RenamePlan(result.detail["temporary"], f"{path}/q1")).status == "ok"
    result = run(NewFilePlan(str(path), copy(), hostname="h"), body)
    plan = RenamePlan(result.detail["temporary"], f"{path}/q1")
    assert problem(plan) == ("defer", 17, f"while renaming {plan.source} as {plan.target}")
    assert os.listdir(path) == ["q1"]


def test_mailstore(tmp_path: Path, body: int) -> None:
    path = tmp_path / "dir"
    assert run(MailstorePlan(str(path), copy(), "s@x\nr@y\n", "base"), body).status == "ok"
    assert sorted(os.listdir(path)) == ["base.env", "base.msg"]
    assert (path / "base.env").read_text() == "s@x\nr@y\n"
    assert (path / "base.msg").read_text() == TEXT


def pipe(script: str, **more: Any) -> PipePlan:
    return PipePlan(["/bin/sh", "-c", script], copy(), {"PATH": "/bin:/usr/bin", "X": "y\xe9"}, capture=True, **more)


def test_pipe(tmp_path: Path, body: int) -> None:
    result = run(pipe(f"cat > {tmp_path}/out; echo $X; pwd; exit 7", directory=str(tmp_path)), body)
    assert (tmp_path / "out").read_text() == TEXT
    assert result.detail["status"] == 7
    assert result.detail["output"].endswith(f"\n{tmp_path}\n")
    assert result.size == len(TEXT)


@pytest.mark.parametrize(
    ("script", "facts"),
    [
        ("exit 0", {"status": 0, "signal": 0}),
        ("kill -9 $$", {"status": 0, "signal": 9}),
        ("exec sleep 30", {"timed_out": True}),
        ("exec 0<&-; sleep 0", {"status": 0}),
    ],
)
def test_pipe_ends(body: int, script: str, facts: dict[str, Any]) -> None:
    result = run(pipe(script, timeout=1), body)
    assert {name: result.detail.get(name) for name in facts} == facts


def test_pipe_that_talks_too_much_or_does_not_exist(body: int) -> None:
    result = run(pipe("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyy; done", max_output=1000), body)
    assert result.detail["signal"] == 9
    assert result.detail["output"].endswith("*** Too much output - remainder discarded ***\n")
    result = run(PipePlan(["/no/such"], copy()), body)
    assert (result.detail["status"], result.detail["exec_failed"]) == (127, True)


def test_small_things(tmp_path: Path, body: int) -> None:
    log = tmp_path / "log"
    for _ in range(2):
        assert run(AppendTextPlan(str(log), "x\n")).status == "ok"
    assert log.read_text() == "x\nx\n"
    once = tmp_path / "once"
    assert run(OncePlan(str(once), "a@b", 5.0)).detail == {"last": 0.0}
    run(OncePlan(str(once), "a@b", 5.0, note=True))
    assert run(OncePlan(str(once), "a@b", 9.0)).detail == {"last": 5.0}
    run(OncePlan(str(once), "c@d", 6.0, note=True, max_size=14))
    assert run(OncePlan(str(once), "a@b", 9.0)).detail == {"last": 0.0}
    assert problem(OncePlan(str(tmp_path), "a@b", 9.0)) == ("defer", 21, "Is a directory")


def test_queuefile(tmp_path: Path, body: int) -> None:
    plan = QueuefilePlan(str(tmp_path / "dir"), "1abcde-00000000001-0000", "header")
    text = f"transport accessing directory: {tmp_path}/dir failed with error: No such file or directory"
    assert problem(plan, body) == ("defer", 2, text)
    (tmp_path / "dir").mkdir()
    assert run(plan, body).status == "ok"
    assert (tmp_path / "dir" / "1abcde-00000000001-0000-D").read_text() == BODY
    assert (tmp_path / "dir" / "1abcde-00000000001-0000-H").read_text() == "header"
    assert problem(plan, body)[1] == 17


def test_missing_directory(body: int) -> None:
    assert problem(pipe("exit 0", directory="/nonexistent"), body) == ("defer", 2, "failed to chdir to /nonexistent")


def test_quota_only(tmp_path: Path, body: int) -> None:
    path = tmp_path / "box"
    quota = Quota(size=2 * len(TEXT), message_size=len(TEXT))
    for kind, plan in (("file", None), ("maildir", MaildirPlan(str(path), copy(), hostname="h", use_size_file=True))):
        ask = QuotaPlan(str(path), quota, kind, kind == "maildir")
        assert run(ask).status == "ok"
        if plan is None:
            path.write_text(TEXT + "x")
        else:
            run(plan, body)
            run(plan, body)
        before = sorted(tmp_path.rglob("*"))
        assert problem(ask) == ("fail", 0, "Over quota")
        assert sorted(tmp_path.rglob("*")) == before
        if plan is None:
            path.unlink()


def test_maildir_that_another_delivery_makes_at_the_same_time(tmp_path: Path, body: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look finds no `tmp`, the second one does: no reason to defer."""
    plan = MaildirPlan(str(tmp_path / "box"), copy(), Creation())
    look, looked = os.path.isdir, []

    def isdir(name: bytes) -> bool:
        if not looked:
            looked.append(name)
            os.makedirs(name)
            return False
        return look(name)

    monkeypatch.setattr("os.path.isdir", isdir)
    assert run(plan, body).status == "ok"
