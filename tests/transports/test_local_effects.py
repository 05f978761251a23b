"""Options of local transports whose effect the mailbox does not show: what the performing side is told, and what it does with it.

What locks, quotas and maildirs do with these values: tests/transports/test_performing.py. Exim spec 24 to 29.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import socket
from pathlib import Path
from typing import Any

import pytest

from angaros.model.delivery import Owner
from angaros.transports.performing import files
from tests.delivery.world import ME, World

ROUTER = "r:\n  driver = accept\n  transport = t\n"
MBOX = "driver = appendfile\n  file = {dir}/box"
MAILDIR = "driver = appendfile\n  directory = {dir}/md\n  maildir_format\n  quota = 9M"
PIPE = "driver = pipe\n  command = /bin/sh -c 'cat > {dir}/box'"
REPLY = "driver = autoreply\n  to = $sender_address\n  subject = back\n  text = hi"


def told(directory: Path, lines: str, *, who: str = ME) -> tuple[dict[str, Any], Owner]:
    """The plan and the user of a delivery."""
    transports = f"t:\n  {lines}\n  {who}\n".replace("{dir}", str(directory))
    world = World(directory, ROUTER, transports)
    asked: list[tuple[dict[str, Any], Owner]] = []
    ask = world.courier.ask

    def noted(request: dict[str, Any], owner: Owner, fds: list[int]) -> Any:
        asked.append((request.get("plan", {}), owner))
        return ask(request, owner, fds)

    world.courier.ask = noted  # type: ignore[method-assign]
    world.deliver()
    return asked[0]


PLANS: dict[str, tuple[str, str, str, object]] = {
    "allow_fifo": (MBOX, "allow_fifo", "allow_fifo", True),
    "check_owner": (MBOX, "no_check_owner", "check_owner", False),
    "lock_fcntl_timeout": (MBOX, "lock_fcntl_timeout = 3s", "locks.fcntl_timeout", 3),
    "lock_flock_timeout": (f"{MBOX}\n  use_flock_lock", "lock_flock_timeout = 3s", "locks.flock_timeout", 3),
    "lock_interval": (MBOX, "lock_interval = 9s", "locks.interval", 9),
    "lock_retries": (MBOX, "lock_retries = 2", "locks.retries", 2),
    "lockfile_mode": (MBOX, "lockfile_mode = 0640", "locks.lockfile_mode", 0o640),
    "maildir_quota_directory_regex": (MAILDIR, "maildir_quota_directory_regex = ^only", "quota_directory_regex", "^only"),
    "maildir_retries": (MAILDIR, "maildir_retries = 3", "retries", 3),
    "max_output": (PIPE, "max_output = 1k", "max_output", 1024),
    "notify_comsat": (MBOX, "notify_comsat", "notify_comsat", "x"),
    "path": (PIPE, "path = /opt/bin", "environment.PATH", "/opt/bin"),
    "quota_directory": (MAILDIR, "quota_directory = {dir}", "quota.directory", "{dir}"),
    "quota_filecount": (MAILDIR, "quota_filecount = 7", "quota.filecount", 7),
    "quota_size_regex": (MAILDIR, "quota_size_regex = S=(\\d+)", "quota.size_regex", "S=(\\d+)"),
    "use_fcntl_lock": (f"{MBOX}\n  use_lockfile", "no_use_fcntl_lock", "locks.use_fcntl", False),
    "use_flock_lock": (MBOX, "use_flock_lock", "locks.use_flock", True),
    "check_group": (MBOX, "check_group", "check_group", True),
    "use_mbx_lock": (f"{MBOX}\n  mbx_format", "no_use_mbx_lock\n  use_fcntl_lock", "locks.use_mbx", False),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_the_performing_side_is_told(name: str, tmp_path: Path) -> None:
    lines, option, where, wanted = PLANS[name]
    seen = []
    for text in (f"{lines}\n  {option}", lines):
        plan: Any = told(tmp_path, text)[0]
        for word in where.split("."):
            plan = plan[word]
        seen.append(plan)
    assert seen[0] == (wanted.replace("{dir}", str(tmp_path)) if isinstance(wanted, str) else wanted)
    assert seen[1] != seen[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the user database has no other user whose groups we could take")
def test_initgroups(tmp_path: Path) -> None:
    login = pwd.getpwuid(0)
    who = f"user = {login.pw_name}\n  group = {login.pw_gid}"
    wanted = tuple(sorted(os.getgrouplist(login.pw_name, login.pw_gid)))
    assert tuple(sorted(told(tmp_path, f"{MBOX}\n  initgroups", who=who)[1].groups)) == wanted
    assert told(tmp_path, MBOX, who=who)[1].groups in ((), (login.pw_gid,))


def test_pipe_as_creator(tmp_path: Path) -> None:
    owner = told(tmp_path, f"{PIPE}\n  pipe_as_creator", who="")[1]
    assert (owner.uid, owner.gid) == (os.getuid(), os.getgid())


def test_comsat_is_told_where_the_new_mail_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[bytes, Any]] = []

    class Channel:
        def __init__(self, *_: object) -> None: ...

        def __enter__(self) -> Channel:
            return self

        def __exit__(self, *_: object) -> None: ...

        def sendto(self, data: bytes, where: Any) -> None:
            sent.append((data, where))

    monkeypatch.setattr(socket, "socket", Channel)
    files.notify_comsat("joe", 4711)
    assert sent == [(b"joe@4711", ("127.0.0.1", 512))]


@pytest.mark.parametrize(("option", "held"), [("use_fcntl_lock", True), ("no_use_fcntl_lock", False)])
def test_a_lock_of_somebody_else(option: str, held: bool, tmp_path: Path) -> None:
    """`flock` here: locks of fcntl are not seen within one process; what they do is in test_performing.py."""
    (tmp_path / "box").touch(0o600)
    with (tmp_path / "box").open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        flock = "use_flock_lock" if held else "no_use_flock_lock"
        lines = f"{MBOX}\n  {option}\n  use_lockfile\n  {flock}\n  lock_retries = 1\n  lock_interval = 1s"
        world = World(tmp_path, ROUTER, f"t:\n  {lines}\n  {ME}\n".replace("{dir}", str(tmp_path)))
        log = world.deliver()
    assert any(line.startswith("== x@dom" if held else "=> x") for line in log), log


@pytest.mark.parametrize(("lines", "shown"), [("debug_print = to $local_part", ["to x"]), ("", [])])
def test_debug_print_is_shown(lines: str, shown: list[str], tmp_path: Path) -> None:
    world = World(tmp_path, ROUTER, f"t:\n  driver = appendfile\n  file = {tmp_path}/box\n  {lines}\n  {ME}\n")
    seen: list[str] = []
    world.log.debugging = lambda selector, **_: selector == "v"  # type: ignore[method-assign]
    world.log.debug = lambda selector, text, **_: seen.append(text)  # type: ignore[method-assign]
    world.deliver()
    assert [text for text in seen if text.startswith("to ")] == shown


@pytest.mark.parametrize(("lines", "wanted"), [("rcpt_include_affixes", "pre-x@dom"), ("no_rcpt_include_affixes", "x@dom")])
def test_affixes_of_recipients(lines: str, wanted: str, tmp_path: Path) -> None:
    router = f"{ROUTER}  local_part_prefix = pre-\n"
    world = World(tmp_path, router, f"t:\n  driver = appendfile\n  file = {tmp_path}/box\n  use_bsmtp\n  {lines}\n  {ME}\n")
    world.deliver("pre-x@dom")
    assert f"RCPT TO:<{wanted}>\n" in (tmp_path / "box").read_text()


@pytest.mark.parametrize(("lines", "key"), [("", "T:x@dom"), ("no_retry_use_local_part", "T:dom")])
def test_retry_keys(lines: str, key: str, tmp_path: Path) -> None:
    world = World(
        tmp_path, ROUTER, f"t:\n  driver = appendfile\n  file = {tmp_path}/no/box\n  no_create_directory\n  {lines}\n  {ME}\n"
    )
    world.deliver("x@dom")
    assert world.services.hints.get("retry", key) is not None


@pytest.mark.parametrize(("lines", "sent"), [("", 1), ("never_mail = joe@author.example", 0), ("never_mail = jim@x", 1)])
def test_never_mail(lines: str, sent: int, tmp_path: Path) -> None:
    world = World(tmp_path, ROUTER, f"t:\n  {REPLY}\n  {lines}\n  {ME}\n")
    world.deliver()
    assert len(world.sent) == sent


def test_a_once_file_of_limited_size(tmp_path: Path) -> None:
    """The oldest sender is forgotten: he gets a second answer."""
    for limit, answers in (("", 0), ("once_file_size = 60", 1)):
        once = tmp_path / f"once{answers}"
        world = World(tmp_path, ROUTER, f"t:\n  {REPLY}\n  once = {once}\n  {limit}\n  {ME}\n")
        for number in range(5):
            world.deliver(sender=f"sender{number}@author.example")
        world.sent.clear()
        world.deliver(sender="sender0@author.example")
        assert len(world.sent) == answers


@pytest.mark.parametrize(("lines", "answers"), [("", 1), ("once_repeat = 1d", 2), ("once_repeat = 3d", 1)])
def test_a_second_answer_after_some_days(lines: str, answers: int, tmp_path: Path) -> None:
    world = World(tmp_path, ROUTER, f"t:\n  {REPLY}\n  once = {tmp_path}/once\n  {lines}\n  {ME}\n")
    world.deliver()
    world.clock.time += 2 * 86400
    world.deliver()
    assert len(world.sent) == answers
