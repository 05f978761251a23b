"""`spam =` with spamd and rspamd that do what the test says. Exim spec 45.2, 45.3"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from angaros.model.outcome import Outcome
from angaros.scan.channel import ScanDefer
from angaros.scan.spam import _in_order, parse_server
from tests.policy import PolicyWorld
from tests.scan.servers import read_all, serving

ACLS = "begin acl\ndata:\n  accept spam = WORDS\n"
SPAMD = "SPAMD/1.1 0 EX_OK\r\nContent-length: 30\r\nSpam: %s ; %s / 5.0\r\n\r\nContent analysis:\n 1.0 RULE\n"
RSPAMD = "RSPAMD/1.3 0 EX_OK\r\nMetric: default; %s; %s / 15.0 / 0.0\r\nAction: %s\r\nSymbol: GTUBE(12.3)\r\n\r\n"


def answering(answer: str) -> Callable[[socket.socket, list[bytes]], None]:
    def talk(channel: socket.socket, heard: list[bytes]) -> None:
        heard.append(read_all(channel))
        channel.sendall(answer.encode())

    return talk


def world(tmp_path: Path, address: str, words: str = "nobody") -> PolicyWorld:
    w = PolicyWorld(tmp_path, f"WORDS = {words}\nspamd_address = {address}\n{ACLS}")
    w.receive("Subject: hello\n", "body\n")
    return w


VARIABLES = "$spam_score|$spam_score_int|$spam_bar|$spam_action"
CASES = [
    (SPAMD % ("True", "7.25"), "", True, "7.2|72|+++++++|reject"),
    (SPAMD % ("False", "4.9"), "", False, "4.9|49|++++|no action"),
    (SPAMD % ("False", "-2.3"), "", False, "-2.3|-23|--|no action"),
    (SPAMD % ("False", "0.0"), "", False, "0.0|0|/|no action"),
    (SPAMD % ("True", "99.0"), "", True, f"99.0|990|{'+' * 50}|reject"),
    (RSPAMD % ("True", "20.5", "reject"), " variant=rspamd", True, f"20.5|205|{'+' * 20}|reject"),
    (RSPAMD % ("False", "6.0", "add header"), " variant=rspamd", False, "6.0|60|++++++|add header"),
]


@pytest.mark.parametrize(("answer", "variant", "spam", "wanted"), CASES)
@pytest.mark.parametrize("unix", [True, False])
def test_answers(tmp_path: Path, answer: str, variant: str, spam: bool, wanted: str, unix: bool) -> None:
    with serving(answering(answer), tmp_path / "spamd" if unix else None) as server:
        w = world(tmp_path, server.address + variant)
        assert (w.run("data").outcome is Outcome.ACCEPT) == spam
        w.run("data")
        assert len(server.heard) == 1, "the same user is asked about once"
    assert w.shown(VARIABLES) == wanted
    assert w.message.spool_variables["spam_score_int"] == wanted.split("|")[1]


def test_requests(tmp_path: Path) -> None:
    with serving(answering(SPAMD % ("True", "7.0"))) as server:
        w = world(tmp_path, server.address, "joe")
        w.run("data")
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[:2] == [b"REPORT SPAMC/1.2", b"User: joe"] and f"Content-length: {len(body)}".encode() in head
    assert w.shown("$spam_report") == "Content analysis:\n  1.0 RULE"
    with serving(answering(RSPAMD % ("True", "20.0", "reject"))) as server:
        world(tmp_path, f"{server.address} variant=rspamd").run("data")
    lines = server.heard[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert lines[0] == "CHECK RSPAMC/1.3"
    assert {"From: <joe@author.example>", "Rcpt: <rcpt@here.example>", "Helo: client.example", "IP: 192.0.2.1"} <= set(lines)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("joe:true", True), ("joe", False), ("0", False), ("false", False), ("", False), ("joe:true/defer_ok", True)],
)
def test_words(tmp_path: Path, words: str, wanted: bool) -> None:
    with serving(answering(SPAMD % ("False", "1.0"))) as server:
        assert (world(tmp_path, server.address, words).run("data").outcome is Outcome.ACCEPT) == wanted


@pytest.mark.parametrize(("words", "outcome"), [("joe", Outcome.DEFER), ("joe/defer_ok", Outcome.DENY)])
@pytest.mark.parametrize("answer", ["", "nonsense\n", "SPAMD/1.1 76 Bad header line\r\n\r\n"])
def test_failures(tmp_path: Path, words: str, outcome: Outcome, answer: str) -> None:
    with serving(answering(answer)) as server:
        assert world(tmp_path, server.address, words).run("data").outcome is outcome


def test_other_servers_are_tried(tmp_path: Path) -> None:
    with serving(answering(SPAMD % ("True", "7.0"))) as server:
        w = world(tmp_path, f"/no/such pri=9 : {server.address}")
        assert w.run("data").outcome is Outcome.ACCEPT
    assert "spamd: failed to connect to any address for /no/such: No such file or directory" in w.log.lines[0]
    assert world(tmp_path, "/no/such").run("data").outcome is Outcome.DEFER


def test_order(tmp_path: Path) -> None:
    w = world(tmp_path, "/x")
    night = "time=0-0.0.1"
    servers = [parse_server(item) for item in ("/low pri=1", "/high pri=5", f"/never pri=9 {night}", "/heavy pri=5 weight=1000")]
    names = [[str(server.place) for server in _in_order(w.scope, servers)] for _ in range(50)]
    assert all(set(order[:2]) == {"/high", "/heavy"} and order[2:] == ["/low"] for order in names)
    assert sum(order[0] == "/heavy" for order in names) > 40


@pytest.mark.parametrize("item", ["localhost", "/x what=1", "/x pri=no", "/x time=a-b", "host port"])
def test_bad_addresses(item: str) -> None:
    with pytest.raises(ScanDefer, match="invalid spamd"):
        parse_server(item)
