"""The store: states S0 to S7, locks, journal, ids."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from angaros.model.message import Header, Message, Recipient
from angaros.spool.codec import SpoolFormatError
from angaros.spool.ids import IdMaker, base62, from_base62, id_time, is_message_id
from angaros.spool.store import Store, StoreSettings


class Clock:
    time = 1_700_000_000.25

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Waiter:
    def in_thread(self, call: Callable[[], Any]) -> Any:
        return call()

    def share(self, key: object, call: Callable[[], Any]) -> Any:
        return call()


def store(tmp_path: Path, **settings: Any) -> Store:
    return Store(StoreSettings(directory=str(tmp_path), **settings), Clock(), Waiter())  # type: ignore[arg-type]


def message(identity: str) -> Message:
    one = Message(id=identity, sender_address="s@x", received_time=1_700_000_000.25)
    one.recipients = [Recipient("a@b"), Recipient("c@d")]
    one.headers = [Header("Subject: hello\n")]
    return one


def accept(spool: Store, **how: Any) -> tuple[Message, Any]:
    one = message(spool.new_id())
    body = spool.create(one.id, **how)
    body.write(b"one\ntwo")
    body.write(b"\0three\n\nlast")
    lock = spool.commit(one, body)
    return one, lock


@pytest.mark.parametrize("split", [False, True])
def test_accept_and_read_back(tmp_path: Path, split: bool) -> None:
    spool = store(tmp_path, split=split)
    one, lock = accept(spool)
    assert (one.body_size, one.body_linecount, one.body_zerocount, one.max_received_linelength) == (19, 3, 1, 9)
    lock.release()
    directory = tmp_path / "input" / one.id[5] if split else tmp_path / "input"
    assert sorted(os.listdir(directory)) == [f"{one.id}-D", f"{one.id}-H"]
    assert (directory / f"{one.id}-D").read_bytes() == f"{one.id}-D\none\ntwo\0three\n\nlast".encode()
    again = store(tmp_path, split=not split).load(one.id)
    assert again.recipients == one.recipients
    assert again.headers == one.headers
    assert again.message_size == one.message_size == 19 + 1 + 15
    assert b"".join(spool.body_chunks(again)) == b"one\ntwo\0three\n\nlast"
    assert b"".join(spool.body_chunks(again, limit=5)) == b"one\nt"


def test_named_queue(tmp_path: Path) -> None:
    spool = store(tmp_path)
    one, lock = accept(spool, queue_name="night")
    lock.release()
    assert one.queue_name == "night"
    assert not spool.exists(one.id)
    assert spool.exists(one.id, "night")
    assert spool.queue_names() == ["night"]
    assert [e.message_id for e in spool.scan("night")] == [one.id]
    assert spool.scan() == []


def test_lock_excludes_us_and_other_programs(tmp_path: Path) -> None:
    spool = store(tmp_path)
    one, lock = accept(spool)
    assert spool.lock(one.id) is None
    probe = (
        "import fcntl,sys,struct\n"
        "f=open(sys.argv[1],'r+b')\n"
        "try: fcntl.lockf(f, fcntl.LOCK_EX|fcntl.LOCK_NB, 26)\n"
        "except OSError: sys.exit(9)\n"
    )
    run = [sys.executable, "-c", probe, lock.path]
    assert subprocess.run(run, check=False).returncode == 9
    list(spool.body_chunks(one))  # opening and closing it elsewhere does not drop the lock
    assert subprocess.run(run, check=False).returncode == 9
    lock.release()
    lock.release()
    assert subprocess.run(run, check=False).returncode == 0
    with open(lock.path, "r+b") as other:
        fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 10)
        assert spool.lock(one.id) is None


def test_lock_of_missing_message(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store(tmp_path).lock("1abcde-00000000001-0000")


def test_journal_left_by_a_crash_becomes_part_of_the_header(tmp_path: Path) -> None:
    spool = store(tmp_path)
    one, lock = accept(spool)
    journal = spool.journal(one)
    assert not journal.used
    journal.add(["a@b"])
    journal.sync()
    journal.close()
    path = Path(journal.path)
    with path.open("ab") as file:
        file.write(b"c@")  # cut short
    lock.release()
    assert spool.load(one.id).non_recipients == {"a@b"}
    assert path.exists()
    held = spool.lock(one.id)
    assert held is not None
    assert spool.load(one.id, held).non_recipients == {"a@b"}
    assert not path.exists()
    held.release()
    assert spool.load(one.id).non_recipients == {"a@b"}


def test_remove_and_message_log(tmp_path: Path) -> None:
    spool = store(tmp_path)
    one, lock = accept(spool)
    log = spool.message_log(one.id)
    log.append("Received from s@x")
    assert not os.path.exists(log.path)
    log.append("more", now=True)
    assert spool.read_message_log(one.id).count(b"\n") == 2
    spool.remove(one)
    lock.release()
    assert os.listdir(tmp_path / "input") == []
    assert os.listdir(tmp_path / "msglog") == []
    with pytest.raises(FileNotFoundError):
        spool.load(one.id)


def test_abort(tmp_path: Path) -> None:
    spool = store(tmp_path)
    body = spool.create(spool.new_id())
    body.write(b"x" * 1_000_000)
    body.abort()
    assert os.listdir(tmp_path / "input") == []


def test_bad_header_file(tmp_path: Path) -> None:
    spool = store(tmp_path)
    one, lock = accept(spool)
    lock.release()
    path = tmp_path / "input" / f"{one.id}-H"
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        if cut == data.rindex(b"015  Subject"):
            continue  # a message without headers
        with pytest.raises(SpoolFormatError, match=rf"^Format error in spool file {one.id}-H: size={cut}$"):
            spool.load(one.id)


def test_scan_is_ordered_by_time(tmp_path: Path) -> None:
    spool = store(tmp_path, split=True)
    made = []
    for _ in range(5):
        one, lock = accept(spool)
        lock.release()
        made.append(one.id)
        Clock.time += 1.5
    assert [entry.message_id for entry in spool.scan()] == made
    assert spool.count() == 5
    assert spool.load(made[0]).id == made[0]


def test_ids() -> None:
    maker = IdMaker()
    made = [maker.new(1_700_000_000.999999) for _ in range(3)]
    assert len(set(made)) == 3
    assert all(is_message_id(one) and len(one) == 23 for one in made)
    assert [id_time(one) for one in made] == [1_700_000_000, 1_700_000_001, 1_700_000_001]
    assert from_base62(base62(123456789, 8)) == 123456789
    first, second = (IdMaker(host).new(1_700_000_000.0) for host in (0, 16))
    assert first != second
    assert is_message_id("16ZCW1-0005MB-00")
    assert not is_message_id("16ZCW1-0005MB-0")


def test_move_to_another_queue(tmp_path: Path) -> None:
    spool = store(tmp_path)
    one, lock = accept(spool)
    spool.message_log(one.id).append("line", now=True)
    with pytest.raises(BlockingIOError):
        spool.move(one.id, "night")
    lock.release()
    spool.move(one.id, "night")
    assert not spool.exists(one.id)
    assert spool.load(one.id, queue_name="night").id == one.id
    assert spool.read_message_log(one.id, "night").endswith(b"line\n")
    spool.move(one.id, "", "night")
    assert spool.exists(one.id)
    assert os.listdir(tmp_path / "night" / "input") == []


def test_rubbish_of_a_crash_is_removed_when_old(tmp_path: Path) -> None:
    spool = store(tmp_path, split=True)
    kept, lock = accept(spool)
    lock.release()
    held = spool.create(spool.new_id())
    lost = spool.create(spool.new_id())
    lost.flush()
    held.flush()
    lost.lock.release()
    directory = Path(lost.path).parent
    (directory / "hdr.x").write_text("")
    assert spool.remove_rubbish() == 0
    old = Clock.time - 100_000
    for path in (held.path, lost.path, directory / "hdr.x"):
        os.utime(path, (old, old))
    for path in (kept.body_path, kept.body_path[:-1] + "H"):
        os.utime(path, (old, old))
    assert spool.remove_rubbish() == 2
    assert os.path.exists(held.path)
    assert spool.exists(kept.id)
    held.abort()
