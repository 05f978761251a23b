"""DCC: what dccifd is told, what its answers mean, where the header goes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from angaros.model.outcome import Outcome
from angaros.scan.mbox import scan_copy
from tests.policy import PolicyWorld
from tests.scan.servers import read_all, serving

HEADER = "X-DCC-wuwien-Metrics: mx 1290; Body=1 Fuz1=1\n\tFuz2=many\n"
ACLS = "begin acl\ndata:\n  accept dcc = *\nsoft:\n  accept dcc = */defer_ok\nnever:\n  accept dcc = false\n"


def dccifd(answer: str):  # type: ignore[no-untyped-def]
    def talk(channel: socket.socket, heard: list[bytes]) -> None:
        heard.append(read_all(channel))
        channel.sendall(answer.encode())

    return talk


def world(tmp_path: Path, address: str, main: str = "") -> PolicyWorld:
    w = PolicyWorld(tmp_path, f"dccifd_address = {address}\n{main}{ACLS}")
    w.new_message("joe@author.example", ("a@here.example", "b@here.example"))
    w.receive("Subject: hello\nFrom: x@y.example\n", "body\n")
    return w


@pytest.mark.parametrize(
    ("letter", "outcome"),
    [("A", Outcome.ACCEPT), ("S", Outcome.ACCEPT), ("R", Outcome.DENY), ("G", Outcome.DENY), ("T", Outcome.DEFER)],
)
@pytest.mark.parametrize("unix", [True, False])
def test_conversation(tmp_path: Path, letter: str, outcome: Outcome, unix: bool) -> None:
    with serving(dccifd(f"{letter}\nAR\n{HEADER}"), tmp_path / "dccifd" if unix else None) as server:
        w = world(tmp_path, server.address)
        w.session.sender_host_name = "client.example"
        assert w.run("data").outcome is outcome
        w.run("data")
    assert server.heard == [
        b"header\n192.0.2.1\rclient.example\nclient.example\njoe@author.example\na@here.example\nb@here.example\n\n"
        b"Subject: hello\nFrom: x@y.example\n\nbody\n"
    ], "asked once"
    assert w.shown("$dcc_result|$dcc_header") == f"{letter}|{HEADER.rstrip()}"
    assert w.message.effects.added_headers == [HEADER]


def test_other_client_and_options(tmp_path: Path) -> None:
    with serving(dccifd("A\nAA\n"), tmp_path / "dccifd") as server:
        w = world(tmp_path, server.address, "dccifd_options = header grey-query\n")
        w.message.acl_m["m_dcc_override_client_ip"] = "203.0.113.9"
        w.run("data")
    assert server.heard[0].startswith(b"header grey-query\n203.0.113.9\nclient.example\n")
    assert w.shown("$dcc_header") == "" and w.message.effects.added_headers == []


def test_direct_header(tmp_path: Path) -> None:
    with serving(dccifd(f"A\nAA\n{HEADER}"), tmp_path / "dccifd") as server:
        w = world(tmp_path, server.address, "dcc_direct_add_header\n")
        w.message.acl_m["m_dcc_add_header"] = "X-More: 1"
        before = scan_copy(w.scope)
        w.run("data")
    assert [str(header.text) for header in w.message.headers[2:]] == [f"{HEADER}X-More: 1\n"]
    after = scan_copy(w.scope)
    assert after is not before and b"X-DCC-wuwien" in Path(after.path).read_bytes()


@pytest.mark.parametrize("answer", ["", "X\nAA\n", "garbage"])
def test_bad_answers(tmp_path: Path, answer: str) -> None:
    with serving(dccifd(answer), tmp_path / "dccifd") as server:
        w = world(tmp_path, server.address)
        assert w.run("data").outcome is Outcome.DEFER
        assert w.run("soft").outcome is Outcome.DENY
    assert w.log.panics[0].startswith("dcc acl condition: unexpected answer of dccifd")


def test_nobody_there(tmp_path: Path) -> None:
    w = world(tmp_path, f"{tmp_path}/nothing")
    assert w.run("data").outcome is Outcome.DEFER
    assert w.run("soft").outcome is Outcome.DENY
    assert w.run("never").outcome is Outcome.DENY
    assert (
        w.log.panics[0]
        == f"dcc acl condition: warning - unable to connect to dccifd {tmp_path}/nothing: No such file or directory"
    )


def test_bad_address(tmp_path: Path) -> None:
    w = world(tmp_path, "localhost")
    assert w.run("data").outcome is Outcome.DEFER
    assert w.log.panics == ["dcc acl condition: warning - invalid dccifd address: 'localhost'"]
