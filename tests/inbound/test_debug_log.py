"""`control = debug`: a log of its own for one connection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.inbound.smtp_world import World


def test_the_debug_log_ends_with_its_connection(make_world: Callable[..., World], tmp_path: Path) -> None:
    world = make_world(
        main="acl_smtp_connect = conn\nacl_smtp_helo = helo\nacl_smtp_rcpt = accept",
        acl="conn:\n  warn  hosts = 192.0.2.7\n        control = debug/tag=.$sender_host_address/opts=+acl\n  accept\n"
        "helo:\n  accept condition = yes\n",
    )
    watched = world.greeted("192.0.2.7")
    watched.say("QUIT")
    watched.hang_up()
    file = tmp_path / "log" / "debuglog.192.0.2.7"
    text = file.read_text()
    assert "check condition = yes" in text
    world.greeted("192.0.2.8").hang_up()
    assert file.read_text() == text
