"""`verify = recipient/callout=use_sender,hold`: one connection for the question and for the message. Exim spec 44.47"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from angaros.delivery.deliver import deliver_held
from angaros.model.message import Message
from tests.delivery.world import Sink
from tests.inbound.smtp_world import Talk, World

ROUTE = """
nobody:
  driver = redirect
  local_parts = quiet
  data = :blackhole:
easy:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = remote
"""


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as server:
        yield server


def world_with(
    tmp_path: Path, sink: Sink, *, callout: str = "use_sender,hold,no_cache", also: str = "", main: str = "", remote: str = ""
) -> World:
    """A server that calls out to `sink`, except for `unasked@`, and delivers at once."""
    acl = f"rcpt:\n  accept local_parts = unasked\n{also}\n  accept verify = recipient/callout={callout}\n"
    world = World(
        tmp_path,
        main=f"acl_smtp_rcpt = rcpt\nexim_user = {os.geteuid()}\nexim_group = {os.getegid()}\n"
        f"log_selector = +received_recipients -smtp_confirmation\n{main}",
        acl=acl,
        routers=ROUTE,
        transports=f"  port = {sink.port}\n{remote}",
    )

    def deliver(message: Message, lock: Any, foreground: bool) -> None:
        deliver_held(world.services, message, lock)

    world.services.hooks.start_delivery = deliver
    return world


def words(sink: Sink) -> list[str]:
    """First words of the commands, all connections one after the other."""
    return [command.split()[0] for command in sink.commands]


def send(world: World, *recipients: str, **options: Any) -> Talk:
    talk = world.greeted(**options)
    talk.say("MAIL FROM:<s@far.test>")
    for recipient in recipients:
        assert talk.code(f"RCPT TO:<{recipient}>") == "250"
    talk.message()
    return talk


def test_the_message_goes_over_the_connection_of_the_callout(tmp_path: Path, sink: Sink) -> None:
    world = world_with(tmp_path, sink)
    send(world, "a@out.test", "b@out.test")
    assert words(sink)[:5] == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA"]
    assert sink.connections == 1 and sink.messages[0].endswith("Subject: x\n\nbody\n")
    log = "\n".join(world.log())
    assert "=> a@out.test R=easy T=remote" in log and "-> b@out.test" in log and "Completed" in log
    assert world.files() == []


@pytest.mark.parametrize(
    ("callout", "also", "recipients"),
    [
        ("use_sender,hold,no_cache", "", ["a@out.test", "unasked@out.test"]),
        ("hold,no_cache", "", ["a@out.test"]),
        ("use_postmaster,hold,no_cache", "", ["a@out.test"]),
        ("use_sender,no_cache", "", ["a@out.test"]),
        ("use_sender,hold,no_cache", "  deny !verify = sender/callout=no_cache", ["a@out.test", "b@out.test"]),
    ],
    ids=["one was not asked for", "no use_sender", "use_postmaster", "no hold", "another callout between"],
)
def test_what_does_not_fit_gets_a_connection_of_its_own(
    tmp_path: Path, sink: Sink, callout: str, also: str, recipients: list[str]
) -> None:
    world = world_with(tmp_path, sink, callout=callout, also=also)
    send(world, *recipients)
    assert sink.connections > 1 and len(sink.messages) == 1
    assert f"=> {recipients[0]}" in "\n".join(world.log())


def test_recipients_that_are_delivered_here_do_not_matter(tmp_path: Path, sink: Sink) -> None:
    world = world_with(tmp_path, sink)
    send(world, "a@out.test", "quiet@here.test")
    assert sink.connections == 1 and "=> a@out.test" in "\n".join(world.log())


def test_a_recipient_that_policy_refused_after_all_does_not_get_the_message(tmp_path: Path, sink: Sink) -> None:
    world = world_with(tmp_path, sink, also="  deny local_parts = b\n       verify = recipient/callout=use_sender,hold,no_cache")
    talk = world.greeted()
    assert talk.mail("s@far.test", "a@out.test") == "250"
    assert talk.code("RCPT TO:<b@out.test>") == "550"
    talk.message()
    asked = [command for command in sink.commands if command.startswith("RCPT")]
    assert asked == ["RCPT TO:<a@out.test>", "RCPT TO:<b@out.test>", "RCPT TO:<a@out.test>"] and len(sink.messages) == 1


def test_parameters_that_the_callout_did_not_give(tmp_path: Path) -> None:
    with Sink(ehlo=["DSN"]) as sink:
        world = world_with(tmp_path, sink, main="dsn_advertise_hosts = *")
        talk = world.greeted()
        talk.say("MAIL FROM:<s@far.test> ENVID=x1")
        assert talk.code("RCPT TO:<a@out.test> NOTIFY=SUCCESS") == "250"
        talk.message()
        assert sink.connections == 2 and "MAIL FROM:<s@far.test> ENVID=x1" in sink.commands
        assert "RCPT TO:<a@out.test> NOTIFY=SUCCESS" in sink.commands


def test_another_way_to_the_host(tmp_path: Path, sink: Sink) -> None:
    """The callout may not stand in for a session that would have been another."""
    helo = "  helo_data = ${if def:h_subject:{with}{without}}.test"
    world = world_with(tmp_path, sink, remote=helo)
    talk = send(world, "a@out.test")
    assert sink.connections == 2 and {"EHLO without.test", "EHLO with.test"} < set(sink.commands)
    assert talk.code("NOOP") == "250"


def test_a_server_that_did_not_wait(tmp_path: Path) -> None:
    """421 to DATA: nothing has happened to the message, a new session may have it."""
    with Sink({"DATA": "421 too late"}) as sink:
        world = world_with(tmp_path, sink)
        send(world, "a@out.test")
        assert sink.connections == 2 and words(sink).count("DATA") == 2
        assert "== a@out.test R=easy T=remote defer" in "\n".join(world.log())


def test_refused_after_the_data(tmp_path: Path) -> None:
    with Sink({".": "451 not now"}) as sink:
        world = world_with(tmp_path, sink)
        send(world, "a@out.test")
        assert sink.connections == 1
        assert "SMTP error from remote mail server after end of data: 451 not now" in "\n".join(world.log())
        assert len(world.files()) == 2


ENDS = {
    "RSET": lambda talk: talk.say("RSET"),
    "QUIT": lambda talk: talk.say("QUIT"),
    "lost": lambda talk: talk.hang_up(),
    "queued": lambda talk: talk.message(),
}


@pytest.mark.parametrize("end", sorted(ENDS))
def test_the_connection_ends_with_the_transaction(tmp_path: Path, sink: Sink, end: str) -> None:
    world = world_with(tmp_path, sink, main="queue_only")
    talk = world.greeted()
    assert talk.mail("s@far.test", "a@out.test") == "250"
    held = talk.conversation.message.effects.cutthrough_connection.session.session.stream
    assert not held.closed
    ENDS[end](talk)
    assert held.closed and not sink.messages


def test_host_checking_delivers_nothing(tmp_path: Path, sink: Sink) -> None:
    """-bhc"""
    world = world_with(tmp_path, sink)
    world.services.run.host_checking_callout = True
    talk = world.connect(host_checking=True)
    talk.conversation.session.host_checking = True
    talk.say("EHLO client.test")
    assert talk.mail("s@far.test", "a@out.test") == "250"
    held = talk.conversation.message.effects.cutthrough_connection.session.session.stream
    talk.message()
    assert held.closed and sink.connections == 1 and not sink.messages


def test_cutthrough_delivery_takes_the_same_connection(tmp_path: Path, sink: Sink) -> None:
    world = world_with(tmp_path, sink, also="  warn control = cutthrough_delivery")
    send(world, "a@out.test")
    assert sink.connections == 1 and len(sink.messages) == 1
    assert any(">> a@out.test" in line for line in world.log())


def test_cutthrough_that_cannot_be_leaves_it_to_the_delivery(tmp_path: Path, sink: Sink) -> None:
    """A transport filter wants the whole message: it is there when the message is delivered."""
    world = world_with(tmp_path, sink, also="  warn control = cutthrough_delivery", remote="  transport_filter = /bin/cat")
    send(world, "a@out.test")
    assert sink.connections == 1 and len(sink.messages) == 1
    assert any("=> a@out.test" in line for line in world.log())


@pytest.mark.parametrize(
    ("added", "lost"), [("X-New: 1", 1), ("X-New: 1\\nX-Two: $h_Subject:", 2), ("${if eq{a}{b}{X-New: 1}}", 0)]
)
def test_cutthrough_sends_empty_lines_for_what_the_transport_adds(tmp_path: Path, sink: Sink, added: str, lost: int) -> None:
    """As Exim 4.96 and 4.99 do."""
    remote = f'  headers_add = "{added}"\n  headers_remove = X-Gone'
    world = world_with(tmp_path, sink, callout="use_sender", also="  warn control = cutthrough_delivery", remote=remote)
    talk = world.greeted()
    assert talk.mail("s@far.test", "a@out.test") == "250"
    talk.message("Subject: x\r\nX-Gone: 1\r\n\r\nbody\r\n")
    assert sink.messages[0].endswith("Subject: x\n" + "\n" * lost + "\nbody\n")
