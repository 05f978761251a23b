"""ETRN: serialization, commands, refusals. # RFC 1985; Exim spec 49.8"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from angaros.delivery.parallel import enter, leave
from tests.inbound.smtp_world import World

Make = Callable[..., World]


def test_a_command_runs_in_a_process_of_its_own(make_world: Make, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    world = make_world(main=f"acl_smtp_etrn = accept\nsmtp_etrn_command = /usr/bin/touch {mark}-$domain")
    s = world.greeted()
    assert s.code("ETRN #one") == "250"
    end = time.monotonic() + 10
    while not Path(f"{mark}-#one").exists():
        assert time.monotonic() < end
    assert s.code("ETRN one") == "250"  # with a command of the administrator's any argument will do


def test_only_one_at_a_time(make_world: Make) -> None:
    world = make_world(main="acl_smtp_etrn = accept\nsmtp_etrn_command = /bin/true $domain")
    key = "etrn-f15b0b0a8e4a3c7a"
    assert enter(world.services, key, 1)
    assert not enter(world.services, key, 1)
    leave(world.services, key)
    assert enter(world.services, key, 1)


def test_a_program_that_is_not_there(make_world: Make) -> None:
    world = make_world(main="acl_smtp_etrn = accept\nsmtp_etrn_command = /nonexistent/program")
    assert world.greeted().code("ETRN #x") == "250"
    assert 'exec of "/nonexistent/program" (ETRN) failed: No such file or directory' in world.log()


def test_refusals(make_world: Make) -> None:
    world = make_world(main="acl_smtp_etrn = accept\nacl_smtp_rcpt = accept")
    s = world.greeted()
    assert s.code("ETRN domain") == "501"
    s.say("MAIL FROM:<a@far.test>")
    assert s.code("ETRN #x") == "503"
    assert World(world.path, main="acl_smtp_rcpt = accept").greeted().code("ETRN #x") == "458"
