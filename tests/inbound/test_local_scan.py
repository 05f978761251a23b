"""`local_scan_python`: the administrator's last check, in Python. # Exim spec 46"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.inbound.smtp_world import World

Make = Callable[..., World]
SCAN = """
import dataclasses, time

def local_scan(message):
    kind = next((h.split()[-1] for h in message.headers if h.startswith("X-Do:")), "")
    if kind == "look":
        body = b"".join(message.body())
        assert message.sender_address == "s@far.test" and message.recipients == ("r@here.test",), message
        assert message.sender_host_address == "192.0.2.7" and message.smtp_input and message.received_protocol == "esmtp"
        assert body == b"body\\n" and message.size > len(body)
        try:
            message.id = "x"
        except dataclasses.FrozenInstanceError:
            return ("accept", "seen by " + message.options["name"])
    if kind == "raise":
        raise ValueError("oops")
    if kind == "sleep":
        time.sleep(30)
    if kind == "nonsense":
        return 42
    return (kind, "because I say so") if kind else None
"""


@pytest.fixture
def world(make_world: Make, tmp_path: Path) -> World:
    (tmp_path / "policy.py").write_text(SCAN)
    return make_world(
        main=f"acl_smtp_rcpt = accept\nlocal_scan_python = {tmp_path}/policy.py:local_scan\nlocal_scan_timeout = 1s",
        authenticators="\nbegin local_scan\nname = me\n",
    )


def answer(world: World, kind: str) -> str:
    s = world.greeted()
    s.mail()
    return s.message(f"X-Do: {kind}\r\n\r\nbody\r\n")[-1]


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        ("accept", "250 OK id="),
        ("accept_freeze", "250 OK id="),
        ("accept_queue", "250 OK id="),
        ("reject", "550 because I say so"),
        ("reject_nologhdr", "550 because I say so"),
        ("tempreject", "451 because I say so"),
        ("tempreject_nologhdr", "451 because I say so"),
        ("raise", "451 Temporary local problem"),
        ("nonsense", "451 Temporary local problem"),
        ("sleep", "451 local verification problem"),
    ],
)
def test_each_code(world: World, kind: str, reply: str) -> None:
    assert answer(world, kind).startswith(reply)
    spooled = world.spooled()
    assert len(spooled) == (1 if reply.startswith("250") else 0)
    if kind == "accept_freeze":
        assert spooled[0][0].frozen
    if kind == "accept_queue":
        assert world.delivered == []
    log = "\n".join(world.log())
    assert ("rejected by local_scan(): because I say so" in log) == (kind.lower().startswith(("reject", "tempreject")))
    rejected = "\n".join(world.log("reject"))
    if kind.endswith("nologhdr"):
        assert "X-Do:" not in rejected


def test_the_message_as_the_function_sees_it(world: World) -> None:
    assert answer(world, "look").startswith("250")
    ((message, _),) = world.spooled()
    assert message.spool_variables.get("local_scan") == "seen by me"


def test_a_function_that_is_not_there_is_a_temporary_error(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\nlocal_scan_python = no.such.module:function")
    s = world.greeted()
    s.mail()
    assert s.message()[-1].startswith("451")
    assert "local_scan() function failed" in "\n".join(world.log("panic"))
