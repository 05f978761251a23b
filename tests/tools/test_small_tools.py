"""`exicyclog`, `exim_lock`, `exim_checkaccess`, `exinext`, `exiwhat`."""

from __future__ import annotations

import fcntl
import gzip
import os
import signal
from pathlib import Path

import pytest

from angaros.daemon.process_info import write_lines
from angaros.tools import exicyclog, exinext, exiwhat, lock
from angaros.tools.checkaccess import replies, verdict
from angaros.tools.program import ToolError, long_options
from tests.tools.running import run


def test_logs_are_shuffled_down(tmp_path: Path) -> None:
    path = tmp_path / "mainlog"
    for number in range(5):
        path.write_text(f"day {number}\n")
        assert run(exicyclog.main, "-k", "3", "-l", f"{tmp_path}/%slog").status == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mainlog", "mainlog.01", "mainlog.02.gz", "mainlog.03.gz"]
    assert path.read_text() == ""
    assert gzip.decompress((tmp_path / "mainlog.03.gz").read_bytes()) == b"day 2\n"


def test_three_digits_when_many_are_kept() -> None:
    assert exicyclog.numbered("x", 1, 100) == "x.001"
    assert exicyclog.numbered("x", 1, 99) == "x.01"


def test_lock_and_unlock(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.touch()
    held = lock.Lock(lock.parse(["-q", str(box)]))
    held.take()
    assert (tmp_path / "box.lock").exists()
    with pytest.raises(lock.TryAgain):
        lock.Lock(lock.parse(["-q", str(box)])).take()
    held.release()
    assert list(tmp_path.iterdir()) == [box]


def test_locks_of_others_are_waited_for(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.touch()
    waits: list[float] = []
    with open(box, "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ToolError, match="locking failed too many times"):
            lock.acquire(lock.Lock(lock.parse(["-q", "-flock", "-retries", "2", "-interval", "7", str(box)])), waits.append)
    assert waits == [7, 7]


def test_an_old_lock_file_is_left_over(tmp_path: Path) -> None:
    box, old = tmp_path / "box", tmp_path / "box.lock"
    box.touch()
    old.touch()
    os.utime(old, (1, 1))
    held = lock.Lock(lock.parse(["-q", "-lockfile", str(box)]))
    held.take()
    held.release()


@pytest.mark.parametrize("arguments", [[], ["-x", "f"], ["-retries", "f"], ["a", "b", "c"]])
def test_wrong_lock_options(arguments: list[str]) -> None:
    with pytest.raises(ToolError, match="usage: exim_lock"):
        lock.parse(arguments)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("220 hi\n250 helo\n250 mail\n250 rcpt\n221 bye\n", ("Accepted\n", 0)),
        ("220 hi\n250 helo\n250 mail\n550-no\n550 Relay not permitted\n", ("Rejected:\n550-no\n550 Relay not permitted\n", 1)),
        ("554 go away\n", ("Rejected:\n554 go away\n", 1)),
        ("", ("Unexpected end of the SMTP session\n", 2)),
    ],
)
def test_verdicts(text: str, answer: tuple[str, int]) -> None:
    assert verdict(replies(text.splitlines())) == answer


ID = "1vAaaa-00000000001-0001"


@pytest.mark.parametrize(
    ("key", "wanted", "fits", "shown"),
    [
        ("T:mx.example:192.0.2.1", exinext.Wanted(hosts=frozenset(("mx.example",))), True, "Transport: mx.example [192.0.2.1]"),
        (f"T:[::1]:[::1]:25:{ID}", exinext.Wanted(addresses=frozenset(("::1",))), True, f"Transport: [::1] [::1]:25 {ID}"),
        (f"T:mx:192.0.2.1:{ID}", exinext.Wanted(message_id=ID), True, f"Transport: mx [192.0.2.1] {ID}"),
        ("R:one.example", exinext.Wanted(targets=frozenset(("one.example",))), True, "Route: one.example"),
        ("R:two.example", exinext.Wanted(targets=frozenset(("one.example",))), False, "Route: two.example"),
        ("T:a@one.example", exinext.Wanted(targets=frozenset(("a@one.example",))), True, "Transport: a@one.example"),
    ],
)
def test_retry_keys(key: str, wanted: exinext.Wanted, fits: bool, shown: str) -> None:
    assert wanted.fits(key) is fits
    assert exinext.show_key(key) == shown


def test_hosts_of_a_routed_address() -> None:
    text = "User@one.example\n  router = r, transport = t\n  host mx.one.example [192.0.2.1] MX=10\n  host ::1 [::1]\n"
    assert exinext.read_hosts(text) == (frozenset(("mx.one.example", "::1")), frozenset(("192.0.2.1", "::1")))


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"/usr/bin/python3\0/opt/angaros/bin/exim\0-bd\0", True),
        (b"/usr/bin/python3\0-I\0/opt/bin/sendmail\0", True),
        (b"/usr/sbin/exim4\0-bd\0", True),
        (b"vi\0/etc/exim.conf\0", False),
        (b"/usr/bin/python3\0/opt/bin/exiwhat\0", False),
        (b"", False),
    ],
)
def test_processes_of_exim(command: bytes, answer: bool) -> None:
    assert exiwhat.is_exim(command) is answer


def test_only_processes_that_catch_the_signal() -> None:
    assert exiwhat.catches(f"Name:\tx\nSigCgt:\t{1 << (signal.SIGUSR1 - 1):016x}\n")
    assert not exiwhat.catches("SigCgt:\t0000000000000000\n")


def test_what_a_process_does(tmp_path: Path) -> None:
    path = tmp_path / "info"
    write_lines(str(path), ["running queue", "delivering x"])
    assert path.read_text() == f"{os.getpid():5d} running queue\n{os.getpid():5d} delivering x\n"
    trap = tmp_path / "trap"
    trap.symlink_to(tmp_path / "target")
    write_lines(str(trap), ["x"])
    os.link(path, tmp_path / "second")
    write_lines(str(path), ["not through a link"])
    assert not (tmp_path / "target").exists()
    assert "not through" not in path.read_text()


def test_options() -> None:
    table = {"l": ("local", False), "local": ("local", False), "base": ("base", True)}
    assert long_options(["-l", "--ba=36", "x", "-base", "62", "--", "-l"], table) == (
        [("local", ""), ("base", "36"), ("base", "62")],
        ["x", "-l"],
    )
    for bad in (["-x"], ["--base"]):
        with pytest.raises(ToolError):
            long_options(bad, table)
