"""Early pipelining: what goes out before the greeting, and what its late replies mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from angaros.config.config import DriverInstance
from angaros.config.transport_options import TRANSPORTS
from angaros.hints.early import describe
from angaros.model.delivery import Host
from angaros.model.scope import Scope
from angaros.net import fast_open
from angaros.smtp.client import ClientReply, EarlyFailure, SmtpClient, Timeouts
from angaros.transports.smtp_early import CLEAR, CRYPTED, EarlyPipe
from tests.auths.test_mechanisms import scope as bare_scope
from tests.delivery.world import Sink, World

EHLO = "250-mx hello\n250-PIPELINING\n250-PIPECONNECT\n250 SIZE 1000"


class Wire:
    """A stream with a script of replies; remembers what was written."""

    def __init__(self, replies: str) -> None:
        self.lines = [line.encode() + b"\r\n" for line in replies.split("\n") if line]
        self.written = b""

    def write(self, data: bytes, timeout: float | None = None) -> None:
        self.written += data

    def readline(self, limit: int = 0, timeout: float | None = None) -> bytes:
        return self.lines.pop(0) if self.lines else b""


class Hints:
    def __init__(self) -> None:
        self.records: dict[str, Any] = {}

    def get(self, database: str, key: str) -> Any:
        return self.records.get(key)

    def put(self, database: str, key: str, record: Any) -> None:
        self.records[key] = record

    def delete(self, database: str, key: str) -> None:
        self.records.pop(key, None)


def early_client(replies: str) -> tuple[SmtpClient, Wire]:
    wire = Wire(replies)
    client = SmtpClient(wire, Timeouts())  # type: ignore[arg-type]
    client.expect_greeting()
    client.hello_early("me.test", {"PIPELINING": "", "PIPECONNECT": ""})
    return client, wire


def test_commands_go_out_before_the_greeting() -> None:
    client, wire = early_client(f"220 hi\n{EHLO}\n250 ok\n")
    reply = client.command("MAIL FROM:<a@b>")
    assert wire.written == b"EHLO me.test\r\nMAIL FROM:<a@b>\r\n"
    assert (client.greeting.text, reply.text, client.features["SIZE"]) == ("220 hi", "250 ok", "1000")


@pytest.mark.parametrize(
    ("replies", "again"),
    [
        ("450 later\n", False),
        ("554 too early\n", True),
        ("", True),
        ("220 hi\n502 no EHLO\n", True),
        ("220 hi\n421 bye\n", False),
    ],
)
def test_a_bad_greeting(replies: str, again: bool) -> None:
    client, _ = early_client(replies)
    with pytest.raises(EarlyFailure) as caught:
        client.command("MAIL FROM:<a@b>")
    assert caught.value.again == again


def pipe(hints: Hints, **options: Any) -> EarlyPipe:
    scope: Scope = bare_scope()
    scope.services.hints = hints  # type: ignore[assignment]
    made = TRANSPORTS["smtp"](driver="smtp", **({"hosts_pipe_connect": "*"} | options))
    return EarlyPipe(DriverInstance("remote", "smtp", made), Host("mx", address="192.0.2.1"), 25, scope, avoid=False)


def test_what_is_learnt_serves_the_next_session() -> None:
    hints = Hints()
    first = pipe(hints)
    assert not first.features(CLEAR)
    first.learn(CLEAR, ClientReply(250, EHLO))
    second = pipe(hints)
    assert second.features(CLEAR)["SIZE"] == "1000" and not second.features(CRYPTED)
    assert describe("192.0.2.1:25.EHLO", hints.records["192.0.2.1:25.EHLO"]) == (
        "helo/ehlo 192.0.2.1:25 clr 0160/0000 cry 0000/0000 lim 00000/00000/00000"
    )
    second.forget()
    assert not pipe(hints).features(CLEAR)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, True),
        ({"hosts_pipe_connect": None}, False),
        ({"helo_data": "${sending_ip_address}"}, False),
        ({"helo_data": "$sending_ip_address", "interface": "192.0.2.9"}, True),
    ],
)
def test_when_it_is_used(options: dict[str, Any], wanted: bool) -> None:
    hints = Hints()
    pipe(hints).learn(CLEAR, ClientReply(250, EHLO))
    assert bool(pipe(hints, **options).features(CLEAR)) == wanted


def test_old_records_do_not_count() -> None:
    hints = Hints()
    pipe(hints).learn(CLEAR, ClientReply(250, EHLO))
    hints.records["192.0.2.1:25.EHLO"]["time_stamp"] = 0
    assert not pipe(hints).features(CLEAR)


def test_a_host_that_no_longer_offers_it_is_forgotten() -> None:
    hints = Hints()
    pipe(hints).learn(CLEAR, ClientReply(250, EHLO))
    pipe(hints).learn(CLEAR, ClientReply(250, "250-mx\n250 PIPELINING"))
    assert not pipe(hints).features(CLEAR)


def test_what_went_with_the_syn_is_not_sent_again() -> None:
    client, wire = early_client(f"220 hi\n{EHLO}\n250 ok\n")
    client.sent_ahead = b"EHLO me.test\r\n"
    client.queue("MAIL FROM:<>")
    client.flush()
    assert wire.written == b"MAIL FROM:<>\r\n"
    client.queue("EHLO me.test")
    client.flush()
    assert wire.written.endswith(b"EHLO me.test\r\n")


@pytest.mark.parametrize(
    ("lines", "fast", "early"),
    [
        ("hosts_try_fastopen = :", False, False),
        ("", True, False),
        ("hosts_try_fastopen = 127.0.0.1\n  hosts_pipe_connect = *", True, True),
        ("hosts_try_fastopen = :\n  hosts_pipe_connect = *", False, False),
    ],
)
def test_hosts_try_fastopen(lines: str, fast: bool, early: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EHLO goes with the SYN of the second connection, when the first has told that it may."""
    asked: list[dict[str, Any]] = []
    begin = fast_open.begin_connect

    def remember(sock: Any, target: Any, options: dict[str, Any]) -> tuple[int, int]:
        asked.append(options)
        return begin(sock, target, options)

    monkeypatch.setattr(fast_open, "begin_connect", remember)
    monkeypatch.setattr(fast_open, "used_by_client", lambda sock: "tfo_data" if len(asked) > 1 else "tfo")
    router = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n  transport = t\n"
    with Sink(ehlo=("PIPELINING", "PIPECONNECT")) as sink:
        world = World(tmp_path, router, f"t:\n  driver = smtp\n  port = {sink.port}\n  {lines}\n")
        log = [*world.deliver(), *world.deliver()]
    assert [bool(options.get("fastopen")) for options in asked] == [fast, fast]
    assert [options.get("early_data", b"") for options in asked] == [b"", b"EHLO mx.example\r\n" if early else b""]
    assert [one for one in sink.commands if one.startswith("EHLO")] == ["EHLO mx.example"] * 2
    shown = [line for line in log if "=> " in line]
    assert [" TFO " in line for line in shown] == [fast, False] and [" TFO* " in line for line in shown] == [False, fast]
