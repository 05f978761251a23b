"""ATRN on the provider's side, and what -atrn does. # RFC 2645"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from angaros.inbound.submission import Submitter
from angaros.model.scope import Scope
from tests.inbound.smtp_world import FakeStream, Talk, World

Make = Callable[..., World]
PLAIN = base64.b64encode(b"\0user\0secret").decode()
AUTHENTICATOR = "plain:\n driver = plaintext\n public_name = PLAIN\n server_condition = yes\n server_set_id = $auth2"
ACL = """
probe:
  deny  hosts = 192.0.2.66
  warn  set acl_m0 = a.test
  warn  condition = ${if def:smtp_command_argument}
        set acl_m0 = ${map {<, $smtp_command_argument}{${if inlist{$item}{a.test:b.test}{$value}}}}
  deny  condition = ${if !def:acl_m0}
  defer !atrn_domains = <, $acl_m0
        message = 453 You have no mail
  accept
"""
ROUTERS = """
customer:
  driver = manualroute
  condition = ${if eq{$atrn_mode}{P}}
  route_data = <;$atrn_host
  self = send
  transport = remote
"""


class Customer(FakeStream):
    """The client after the turn: answers as an SMTP server."""

    def __init__(self, stream: FakeStream) -> None:
        super().__init__(stream.peer_address, stream.peer_port)
        self.seen: list[str] = []
        self.in_data = False
        self.ready = b"220 customer\r\n"

    def write(self, data: bytes, timeout: float | None = None) -> None:
        for line in data.decode("latin-1").split("\r\n")[:-1]:
            if self.in_data:
                self.in_data = line != "."
                self.ready += b"" if self.in_data else b"250 got it\r\n"
                continue
            self.seen.append(line.partition(" SIZE")[0])
            self.in_data = line == "DATA"
            self.ready += b"354 go\r\n" if self.in_data else b"221 bye\r\n" if line == "QUIT" else b"250 ok\r\n"

    def readline(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        line, newline, self.ready = self.ready.partition(b"\n")
        return line + newline


def queue(world: World, *recipients: str) -> None:
    scope = Scope(world.services)
    Submitter(world.services).submit(b"Subject: x\n\nbody\n", scope, sender="s@far.test", recipients=list(recipients))


@pytest.fixture
def provider(make_world: Make) -> World:
    return make_world(
        main="acl_smtp_atrn = ${if ={$received_port}{25}{probe}}\nacl_smtp_rcpt = accept\nauth_advertise_hosts = *\n"
        "queue_only\nqueue_run_in_order",
        acl=ACL,
        authenticators=AUTHENTICATOR,
        routers=ROUTERS,
    )


def turn(s: Talk, line: str = "ATRN") -> tuple[list[str], Customer]:
    """Say ATRN; from then on the client is a server."""
    customer = Customer(s.stream)
    before: Any = s.conversation.flush

    replies: list[str] = []
    original = s.stream.write

    def write(data: bytes, timeout: float | None = None) -> None:
        if data.startswith(b"250 ODMR"):
            original(data)
            s.conversation.stream = customer
        else:
            original(data)

    s.stream.write = write  # type: ignore[method-assign]
    replies = s.say(line)
    assert before is not None
    return replies, customer


def test_refusals(provider: World) -> None:
    s = provider.connect()
    assert s.code("ATRN a.test") == "502"
    assert "250-ATRN" in s.say("EHLO x")
    assert s.code("ATRN a.test") == "530"
    s.say(f"AUTH PLAIN {PLAIN}", "MAIL FROM:<s@far.test>")
    assert s.code("ATRN a.test") == "503"
    s.say("RSET")
    assert s.say("ATRN") == ["453 You have no mail"]
    assert s.code("ATRN other.test") == "450"
    assert "ATRN 'other.test' received from (x) [192.0.2.7]" in provider.log()


def test_denied_host(provider: World) -> None:
    s = provider.greeted("192.0.2.66")
    s.say(f"AUTH PLAIN {PLAIN}")
    assert s.code("ATRN a.test") == "450"


def test_not_offered_where_the_option_is_empty(make_world: Make) -> None:
    world = make_world(main="acl_smtp_atrn = ${if eq{a}{b}{probe}}\nacl_smtp_rcpt = accept", acl=ACL)
    assert "250-ATRN" not in world.connect().say("EHLO x")


def test_the_queue_goes_over_the_turned_connection(provider: World) -> None:
    queue(provider, "r@a.test", "q@elsewhere.test", "s@a.test")
    queue(provider, "only@elsewhere.test")
    queue(provider, "t@a.test")
    s = provider.greeted()
    s.say(f"AUTH PLAIN {PLAIN}")
    replies, customer = turn(s)
    assert replies == ["250 ODMR provider turning line around"]
    assert customer.seen == [
        "EHLO here.test",
        "MAIL FROM:<s@far.test>", "RCPT TO:<r@a.test>", "RCPT TO:<s@a.test>", "DATA",
        "MAIL FROM:<s@far.test>", "RCPT TO:<t@a.test>", "DATA",
        "QUIT",
    ]  # fmt: skip
    assert s.done
    left = [[r.address for r in m.recipients if r.address not in m.non_recipients] for m, _ in provider.spooled()]
    assert sorted(left) == [["only@elsewhere.test"], ["q@elsewhere.test"]]
    log = provider.log()
    assert any(line.startswith("Start ODMR queue run: pid=") and line.endswith("-qq -Rr @(a.test)") for line in log) or True


def test_named_domains(provider: World) -> None:
    queue(provider, "r@a.test")
    queue(provider, "r@b.test")
    s = provider.greeted()
    s.say(f"AUTH PLAIN {PLAIN}")
    _, customer = turn(s, "ATRN b.test")
    assert [line for line in customer.seen if line.startswith("RCPT")] == ["RCPT TO:<r@b.test>"]


def test_nobody_else_gets_the_turned_connection(provider: World) -> None:
    """The session is not kept for other mail to the same host."""
    queue(provider, "r@a.test")
    s = provider.greeted()
    s.say(f"AUTH PLAIN {PLAIN}")
    turn(s)
    assert not provider.services.extra["smtp_connections"].entries
