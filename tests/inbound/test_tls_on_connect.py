"""TLS from the first octet: what is said before it stands, and how a client is turned away that could not read a word."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from angaros.model.tls import TlsFacts
from tests.inbound import smtp_world
from tests.inbound.smtp_world import Talk, World

Make = Callable[..., World]
MAIN = "acl_smtp_rcpt = accept\ntls_certificate = /nonexistent\n"


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the handshake was to take along; it goes out early when there is something."""
    words: list[bytes] = []

    def context(scope: Any, on_certificate: Any, early_words: bytes = b"") -> object:
        words.append(early_words)
        return object()

    monkeypatch.setattr("angaros.net.tls_config.server_context", context)
    monkeypatch.setattr(smtp_world.FakeStream, "accept_tls", lambda self, context, timeout=None: TlsFacts(version="TLS1.3"))
    engine = lambda self: SimpleNamespace(spoke_early=bool(words[-1]), problems=())  # noqa: E731
    monkeypatch.setattr(smtp_world.FakeStream, "tls_engine", engine, raising=False)
    return words


def connect(world: World, **options: Any) -> Talk:
    return world.connect(tls_on_connect=True, **options)


@pytest.mark.parametrize(("hosts", "early"), [("", False), ("192.0.2.7", True), ("192.0.2.8", False)])
def test_tls_early_banner_hosts(make_world: Make, offered: list[bytes], hosts: str, early: bool) -> None:
    """The banner goes once: with our part of the handshake, or after it."""
    world = make_world(main=f"{MAIN}smtp_banner = hello\ntls_early_banner_hosts = {hosts}\n")
    talk = connect(world)
    assert offered == [b"220 hello\r\n" if early else b""]
    assert talk.greeting == ([] if early else ["220 hello"])
    assert not any("appears to have seen" in line for line in world.log())
    assert talk.code("EHLO x") == "250"


def test_a_client_that_goes_on_has_seen_it(make_world: Make, offered: list[bytes]) -> None:
    world = make_world(main=f"{MAIN}tls_early_banner_hosts = *\nlog_selector = +connection_id\n")
    talk = connect(world, early=b"EHLO x\r\n")
    (line,) = [line for line in world.log() if "SMTP peer appears to have seen our banner" in line]
    assert line.startswith("Ci=") and talk.send(b"")[-1].startswith("250 ")


@pytest.mark.parametrize(
    ("main", "acl"),
    [
        ("host_reject_connection = *\n", ""),
        ("acl_smtp_connect = no\n", "no:\n  deny\n"),
        ("smtp_banner = ${if eq{a}{b}{x}fail}\n", ""),
    ],
)
def test_who_is_turned_away_sees_a_reset(
    make_world: Make, offered: list[bytes], monkeypatch: pytest.MonkeyPatch, main: str, acl: str
) -> None:
    """No reply could be read before TLS, and a mere end of input would look like a broken handshake."""
    resets: list[object] = []
    monkeypatch.setattr(smtp_world.FakeStream, "reset", lambda self: resets.append(self))
    talk = connect(make_world(main=MAIN + main, acl=acl))
    assert talk.done and talk.greeting == [] and resets == [talk.stream] and not offered


def test_a_refused_ehlo_between_chunks_changes_nothing(world: World) -> None:
    """It left a session in which BDAT was not answered. # RFC 5321 4.1.1.1"""
    s = world.greeted()
    s.mail()
    text = b"Subject: x\r\n\r\nbody\r\n"
    assert s.send(b"BDAT 3\r\n" + text[:3])[-1].startswith("250")
    assert s.code("EHLO") == "501"
    assert s.send(b"BDAT %d LAST\r\n" % (len(text) - 3) + text[3:])[-1].startswith("250")
    ((_, body),) = world.spooled()
    assert body == b"body\n"
    s.mail()
    s.send(b"BDAT 3\r\n" + text[:3])
    assert s.code("EHLO again") == "250" and s.code("BDAT 0 LAST") == "503"
    s.mail()
    s.send(b"BDAT 3\r\n" + text[:3])
    assert s.code("VRFY x") == "503" and s.code("EHLO again") == "250" and s.mail() == "250"
