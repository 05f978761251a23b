"""`-bp` and `-M...`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from angaros.model.message import Message
from angaros.spool.listing import Listing, age_text, list_queue, size_text
from angaros.spool.queue import Actor, QueueAdmin
from angaros.spool.store import Store
from tests.spool.test_store import Clock, accept, store

ROOT = Actor("root", 0, True)
NOW = 1_700_000_100.0


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str, **_: object) -> None:
        self.lines.append(text)


def extract(text: str) -> tuple[str, str]:
    return ("", "domain missing or malformed") if text.count("@") > 1 else (text, "")


class Fixture:
    def __init__(self, spool: Store, actor: Actor = ROOT) -> None:
        self.log = Log()
        self.out: list[str] = []
        self.admin = QueueAdmin(spool, self.log, Clock(), actor, self.out.append, extract)  # type: ignore[arg-type]

    def act(self, action: str, message_id: str, *arguments: str) -> tuple[bool, str]:
        self.out.clear()
        good = self.admin.act(action, message_id, arguments)
        return good, "".join(self.out).replace(message_id, "ID")


@pytest.fixture
def queued(tmp_path: Path) -> tuple[Store, Message]:
    spool = store(tmp_path)
    one, lock = accept(spool)
    lock.release()
    return spool, one


def test_texts() -> None:
    assert [age_text(n * 60) for n in (0, 90, 91, 60 * 72, 60 * 73)] == [" 0m ", "90m ", " 2h ", "72h ", " 3d "]
    assert [size_text(n) for n in (0, 252, 2970, 31_000, 4_300_000, 50_000_000)] == [
        "     ",
        "  252",
        " 2.9K",
        "  30K",
        " 4.1M",
        "  48M",
    ]


def test_changes(queued: tuple[Store, Message]) -> None:
    spool, one = queued
    run = Fixture(spool)
    assert run.act("thaw", one.id) == (False, "Message ID is not frozen\n")
    assert run.act("freeze", one.id) == (True, "Message ID is now frozen\n")
    assert run.act("freeze", one.id) == (False, "Message ID is already frozen\n")
    assert "".join(list_queue(spool, Listing(), NOW)).endswith("<s@x> *** frozen ***\n          a@b\n          c@d\n\n")
    assert run.act("thaw", one.id) == (True, "Message ID is no longer frozen\n")
    assert run.act("edit_sender", one.id, "<>") == (True, "Message ID has been modified\n")
    assert run.act("edit_sender", one.id, "bad") == (
        False,
        "Message ID - error while editing sender:\n  bad address bad: domain missing\n",
    )
    assert run.act("add_recipients", one.id, "q@w.e")[0]
    assert run.act("add_recipients", one.id) == (False, "Message ID - error while adding recipient: no address given\n")
    assert run.act("mark_delivered", one.id, "no@w.e") == (
        False,
        "Message ID - error while marking as delivered:\n  no@w.e is not a recipient: message not updated\n",
    )
    assert run.act("mark_delivered", one.id, "a@b")[0]
    again = spool.load(one.id)
    assert again.manually_thawed
    assert again.sender_address == ""
    assert [r.address for r in again.recipients] == ["a@b", "c@d", "q@w.e"]
    assert again.non_recipients == {"a@b"}
    assert run.log.lines == [
        "frozen by root",
        "unfrozen by root",
        "sender address changed to <> by root",
        "recipient <q@w.e> added by root",
        "address <a@b> marked delivered by root",
    ]
    text = "".join(list_queue(spool, Listing(), NOW))
    assert text == f" 1m    35 {one.id} <>\n        D a@b\n          c@d\n          q@w.e\n\n"
    assert "a@b" not in "".join(list_queue(spool, Listing(only_undelivered=True), NOW))
    assert "".join(list_queue(spool, Listing(only_ids=True), NOW)) == f"{one.id}\n"


def test_views(queued: tuple[Store, Message]) -> None:
    spool, one = queued
    run = Fixture(spool)
    assert run.act("view_copy", one.id) == (True, "Subject: hello\n\none\ntwo\0three\n\nlast")
    assert run.act("view_body", one.id)[1].startswith("ID-D\none\n")
    assert run.act("view_log", one.id) == (False, "Failed to open msglog file for ID: No such file or directory\n")
    assert run.act("view_header", one.id)[1].startswith("ID-H\n")


def test_removal(queued: tuple[Store, Message]) -> None:
    spool, one = queued
    run = Fixture(spool)
    lock = spool.lock(one.id)
    assert lock is not None
    assert run.act("remove", one.id) == (False, "Message ID is locked\n")
    lock.release()
    assert run.act("remove", one.id) == (True, "Message ID has been removed\n")
    assert run.log.lines[-2:] == ["removed by root", "Completed"]
    assert run.act("remove", one.id) == (
        False,
        "Spool data file for ID does not exist\nContinuing, to ensure all files removed\n"
        "Spool read error for ID-H: No such file or directory\nContinuing to ensure all files removed\n"
        "Message ID has been removed or did not exist\n",
    )


def test_only_the_submitter_may_remove(queued: tuple[Store, Message]) -> None:
    spool, one = queued
    assert Fixture(spool, Actor("x", 99, False)).act("remove", one.id) == (False, "Permission denied\n")
    assert Fixture(spool, Actor("x", 0, False)).act("freeze", one.id) == (False, "Permission denied\n")
    assert Fixture(spool, Actor("x", 0, False)).act("remove", one.id)[0]


def test_broken_header(queued: tuple[Store, Message], tmp_path: Path) -> None:
    spool, one = queued
    path = tmp_path / "input" / f"{one.id}-H"
    os.truncate(path, 30)
    assert "".join(list_queue(spool, Listing(), NOW)) == f"      {one.id}\n    *** spool format error: size=30 ***\n\n"
    assert Fixture(spool).act("freeze", one.id) == (False, "Spool format error for ID-H\n")
