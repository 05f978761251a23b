"""What log, events and notices tell of a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from angaros.model.message import DSN_NOTIFY_FAILURE, DSN_NOTIFY_NEVER
from tests.inbound.smtp_world import World

Make = Callable[..., World]


@pytest.mark.parametrize(
    ("lines", "event"),
    [
        (["RCPT TO:<r@here.test>"], "smtp:fail:protocol sender not yet given"),
        (["MAIL FROM:<>", "RCPT TO:<r@here.test> NOTIFY=foo"], "smtp:fail:syntax Invalid value for NOTIFY parameter"),
    ],
)
def test_events_of_a_clients_errors(make_world: Make, lines: list[str], event: str) -> None:
    action = "event_action = ${acl{told}}"
    world = make_world(
        main=f"acl_smtp_rcpt = accept\ndsn_advertise_hosts = *\n{action}",
        acl="told:\n  accept logwrite = event $event_name $event_data\n",
    )
    world.greeted().say(*lines)
    assert f"event {event}" in world.log()


@pytest.mark.parametrize("control", ["fakereject", "fakedefer"])
@pytest.mark.parametrize(("asked", "kept"), [("SUCCESS", DSN_NOTIFY_NEVER), ("SUCCESS,FAILURE", DSN_NOTIFY_FAILURE)])
def test_no_success_notice_for_what_was_seemingly_refused(make_world: Make, control: str, asked: str, kept: int) -> None:
    world = make_world(
        main="acl_smtp_rcpt = rcpt\ndsn_advertise_hosts = *\nqueue_only\n", acl=f"rcpt:\n  accept control = {control}\n"
    )
    talk = world.greeted()
    talk.say("MAIL FROM:<s@far.test>")
    assert talk.code(f"RCPT TO:<r@here.test> NOTIFY={asked}") == "250"
    assert talk.message()[-1][0] in "45"
    ((message, _),) = world.spooled()
    assert [recipient.dsn_flags for recipient in message.recipients] == [kept]


def test_a_name_that_was_looked_up_for_helo_is_not_shown(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = rcpt", acl="rcpt:\n  accept verify = helo\n")
    world.dns.records |= {
        ("7.2.0.192.in-addr.arpa", "PTR"): ["peer.test"],
        ("peer.test", "A"): ["192.0.2.7"],
    }
    talk = world.greeted()
    assert talk.mail() == "550"
    assert any(line.startswith("H=(client.test) [192.0.2.7] F=<s@far.test> rejected RCPT") for line in world.log())
    talk.say("EHLO peer.test")
    assert talk.mail() == "250"


CHUNKS = "acl_smtp_rcpt = accept\nchunking_advertise_hosts = *\npipelining_advertise_hosts =\n"


def test_input_that_does_not_wait_between_chunks(make_world: Make) -> None:
    """The message is lost, each further line is an error, only RSET helps. Observed with Exim 4.99."""
    world = make_world(main=CHUNKS)
    talk = world.greeted()
    assert talk.mail() == "250"
    replies = talk.send(b"BDAT 1\r\nTBDAT 30 LAST\r\no: a@b\r\nFrom: c@d\r\nSubject: x\r\n\r\n")
    assert replies[0] == "554 SMTP synchronization error"
    assert replies[1:4] == ["503 only RSET accepted now"] * 3
    assert talk.done and not world.files()
    assert (
        'dropped: too many syntax or protocol errors (last command was "Subject: x",  C=EHLO,MAIL,RCPT,BDAT)' in world.log()[-1]
    )
    assert [line for line in world.log("reject") if line.startswith("Envelope-")] == [
        "Envelope-from: <s@far.test>",
        "Envelope-to: <r@here.test>",
    ] * 2


def test_reset_after_input_that_did_not_wait(make_world: Make) -> None:
    world = make_world(main=CHUNKS)
    talk = world.greeted()
    assert talk.mail() == "250"
    assert talk.send(b"BDAT 1\r\nTNOOP\r\n") == ["554 SMTP synchronization error", "503 only RSET accepted now"]
    assert talk.code("RSET") == "250"
    assert talk.mail() == "250" and talk.send(b"BDAT 16 LAST\r\nSubject: x\r\n\r\ny\r")[-1][:3] == "250"
