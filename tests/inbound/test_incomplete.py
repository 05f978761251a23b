"""`smtp_incomplete_transaction`: as Debian's Exim 4.96 logs it (`-bs -oMa`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inbound.smtp_world import World

ON = "acl_smtp_rcpt = rcpt\nlog_selector = +smtp_incomplete_transaction"
ACL = "rcpt:\n  deny local_parts = no\n  accept\n"
MAIL, ONE, TWO, NO = "MAIL FROM:<a@b.c>", "RCPT TO:<x@here.test>", "RCPT TO:<y@here.test>", "RCPT TO:<no@here.test>"


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ((MAIL, ONE, TWO, "RSET"), ["(RSET) from <a@b.c> for x@here.test y@here.test"]),
        ((MAIL, ONE, "QUIT"), ["(QUIT) from <a@b.c> for x@here.test"]),
        ((MAIL, "QUIT"), ["(QUIT) from <a@b.c>"]),
        ((MAIL, NO, "QUIT"), ["(QUIT) from <a@b.c>"]),
        ((MAIL, ONE, "EHLO y", "QUIT"), []),
        ((MAIL, ONE), ["(connection lost) from <a@b.c> for x@here.test"]),
        ((MAIL, ONE, "A", "B", "C", "D"), ["(unrecognized command) from <a@b.c> for x@here.test"]),
        (("MAIL FROM:<>", ONE, "RSET", MAIL, "RSET"), ["(RSET) from <> for x@here.test", "(RSET) from <a@b.c>"]),
        (("RSET", "QUIT"), []),
    ],
)
def test_lines(tmp_path: Path, commands: tuple[str, ...], expected: list[str]) -> None:
    world = World(tmp_path, main=ON, acl=ACL)
    s = world.greeted()
    for command in commands:
        s.say(command)
    s.hang_up()
    mark = "incomplete transaction "
    assert [line.split(mark)[1] for line in world.log() if mark in line] == expected
    assert all(line.startswith("H=(client.test) [192.0.2.7] incomplete") for line in world.log() if mark in line)


def test_a_message_is_no_incomplete_transaction(tmp_path: Path) -> None:
    world = World(tmp_path, main=ON, acl=ACL)
    s = world.greeted()
    s.mail()
    s.message()
    s.say("QUIT")
    assert not any("incomplete" in line for line in world.log())


def test_off_unless_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, main="acl_smtp_rcpt = accept")
    s = world.greeted()
    s.mail()
    s.say("QUIT")
    assert not any("incomplete" in line for line in world.log())
