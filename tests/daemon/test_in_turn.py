"""Messages that a worker delivers in turn: told through the notifier socket, or accepted; what processes tell of themselves."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from angaros.config.config import Config
from angaros.config.main_options import MainOptions
from angaros.daemon import process_info, worker
from angaros.daemon.notifier import open_notifier, tell
from angaros.daemon.worker import Worker
from angaros.delivery.crowd import Crowd


class Half(Worker):
    """A worker's deliveries without its process: what is begun is noted, not done."""

    def __init__(self, path: str) -> None:
        self.now = 0.0
        self.services: Any = SimpleNamespace(hooks=SimpleNamespace(queue_size=None))
        self.begun: list[Callable[[], None]] = []
        self.delivered: list[tuple[str, str]] = []
        self.place: Any = SimpleNamespace(
            notifier=open_notifier(path, os.geteuid(), os.getegid()), slot=0, counters=SimpleNamespace(add=lambda *_: None)
        )
        self.crowd: Crowd[str] = Crowd(lambda: self.now, self._domains, limit=2)
        self.held, self.timer = {}, None
        self.deliveries = self.connections = self.runs = 0
        self.retiring = False
        self.loop: Any = SimpleNamespace(call_later=lambda *_: object())
        self.waiter: Any = SimpleNamespace(spawn=self.begun.append)

    def _deliver_from(self, queue_name: str, message_id: str) -> None:
        self.delivered.append((queue_name, message_id))

    def _deliver(self, message: Any, lock: Any) -> None:
        self.delivered.append(("locked", message.id))


def test_what_is_told_is_delivered_in_turn(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    half = Half(path)
    for number in range(4):
        tell(path, {"deliver": f"m{number}", "queue": "night" if number else ""})
        half._notified()
    tell(path, {"deliver": 7})
    half._notified()
    tell(path, {"deliver": "m3", "queue": "night"})  # it waits already
    half._notified()
    assert (len(half.begun), half.crowd.waiting) == (2, 2)
    while half.begun:
        half.begun.pop(0)()
    assert half.delivered == [("", "m0"), ("night", "m1"), ("night", "m2"), ("night", "m3")]
    assert (half.deliveries, half.held) == (0, {})
    half.place.notifier.close()


def test_more_than_may_wait_locked_wait_as_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_WAITING", 1)
    monkeypatch.setattr(worker, "MAX_NAMES", 3)
    half = Half(str(tmp_path / "notify"))
    released: list[str] = []
    for number in range(8):
        effects = SimpleNamespace(open_transaction=None)
        message: Any = SimpleNamespace(id=f"m{number}", queue_name="q", recipients=[], effects=effects)
        half.start_delivery(message, SimpleNamespace(release=lambda one=message.id: released.append(one)), False)
    while half.begun:
        half.begun.pop(0)()
    assert half.delivered == [("locked", "m0"), ("locked", "m1"), ("locked", "m2"), ("q", "m3"), ("q", "m4")]
    assert released == ["m3", "m4", "m5", "m6", "m7"], "the last three are left to the next queue run"
    half.place.notifier.close()


def test_a_process_says_what_it_does(tmp_path: Path) -> None:
    config = Config(main=MainOptions(spool_directory=str(tmp_path)))
    before = signal.getsignal(signal.SIGUSR1)
    doing = ["daemon(4.99): -q30m, listening for SMTP on port 25"]
    process_info.answer(config, lambda: doing)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        doing = ["delivering 1vAaaa-000abc-Z1", "running queue"]
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    lines = (tmp_path / "exim-process.info").read_text().splitlines()
    assert [line[6:] for line in lines] == [
        "daemon(4.99): -q30m, listening for SMTP on port 25",
        "delivering 1vAaaa-000abc-Z1",
        "running queue",
    ]


def test_a_link_in_the_spool_is_not_written_through(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    (tmp_path / "soft").symlink_to(other)
    os.link(other, tmp_path / "hard")
    for name in ("soft", "hard"):
        process_info.write_lines(str(tmp_path / name), ["secret"])
    assert other.read_text() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: gives a file away")
def test_the_master_lets_the_workers_write(tmp_path: Path) -> None:
    """The master writes first, as root; the Exim user appends."""
    path = tmp_path / "exim-process.info"
    process_info.write_lines(str(path), ["daemon"], (65534, 65534))
    facts = path.stat()
    assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (65534, 65534, 0o640)
