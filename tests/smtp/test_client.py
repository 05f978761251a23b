"""Conversations of the client."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from angaros.smtp.client import ClientFailure, SmtpClient, Timeouts
from angaros.smtp.trace import SUMMARY_LIMIT, ClientTrace
from angaros.smtp.transaction import Envelope, Features, Transaction, dotted
from tests.smtp.script import ScriptStream


class Source:
    def __init__(self, header: bytes, body: bytes) -> None:
        self._header, self._body = header, body

    def header(self) -> bytes:
        return self._header

    def body(self) -> Iterable[bytes]:
        yield self._body

    def body_size(self) -> int | None:
        return len(self._body)


def start(script: str, **hello: bool) -> SmtpClient:
    client = SmtpClient(ScriptStream(script), Timeouts())
    client.greet()
    client.hello("me.ex", **hello)
    return client


def send(
    client: SmtpClient, *rcpts: str, header: bytes = b"Subject: t\r\n\r\n", body: bytes = b"hi\r\n", **features: bool
) -> Transaction:
    envelope = Envelope("MAIL FROM:<s@x>", [(f"RCPT TO:<{r}>", f"RCPT TO:<{r}>") for r in rcpts])
    return Transaction(client, envelope, Source(header, body), Features(**features))


PLAIN = """
S: 220 hi
C: EHLO me.ex
S: 250-you
S: 250-SIZE 1000
S: 250-AUTH PLAIN
S: 250-AUTH=LOGIN
S: 250 PIPELINING
"""


def test_features() -> None:
    client = start(PLAIN)
    assert client.features == {"SIZE": "1000", "AUTH": "PLAIN LOGIN", "PIPELINING": ""}


def test_one_by_one() -> None:
    client = start(
        PLAIN
        + """
        C: MAIL FROM:<s@x>
        S: 250 ok
        C: RCPT TO:<a@x>
        S: 250 ok
        C: RCPT TO:<b@x>
        S: 550 no
        C: DATA
        S: 354 go
        C: Subject: t
        C:
        C: hi
        C: .
        S: 250 done
        """
    )
    transaction = send(client, "a@x", "b@x")
    reply = transaction.run()
    assert reply is not None and reply.text == "250 done"
    assert [o.status for o in transaction.outcomes] == ["done", "failed"]
    assert transaction.clean


def test_pipelined_in_one_write() -> None:
    client = start(
        PLAIN
        + """
        C: MAIL FROM:<s@x>
        C: RCPT TO:<a@x>
        C: DATA
        S: 250 ok
        S: 250 ok
        S: 354 go
        C: Subject: t
        C:
        C: hi
        C: .
        S: 250-done
        S: 250 really
        """
    )
    reply = send(client, "a@x", pipelining=True).run()
    assert reply is not None and reply.text == "250-done\n250 really"
    assert len(client.stream.log) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("replies", "text"),
    [
        ("S: 550 NO\nS: 503\nS: 503", "SMTP error from remote mail server after pipelined MAIL FROM:<s@x>: 550 NO"),
        ("S: 250 ok\nCLOSE:", "Remote host closed connection in response to pipelined RCPT TO:<a@x>"),
        ("S: 250 ok\nS: 250 ok\nS: 403 no", "SMTP error from remote mail server after pipelined DATA: 403 no"),
        ("TIMEOUT:", "SMTP timeout after pipelined MAIL FROM:<s@x>"),
        ("S: rubbish", "Malformed SMTP reply in response to pipelined MAIL FROM:<s@x>: rubbish"),
        ("S: 250-x\nS: 251 y", "Malformed SMTP reply in response to pipelined MAIL FROM:<s@x>: 250-x\n251 y"),
    ],
)
def test_failures(replies: str, text: str) -> None:
    client = start(PLAIN + "C: MAIL FROM:<s@x>\nC: RCPT TO:<a@x>\nC: DATA\n" + replies)
    with pytest.raises(ClientFailure) as caught:
        send(client, "a@x", pipelining=True).run()
    assert str(caught.value) == text


@pytest.mark.parametrize(("answer", "more"), [("503 no", ""), ("354 go", "\nC: .\nS: 554 none")])
def test_nobody_accepted(answer: str, more: str) -> None:
    client = start(PLAIN + f"C: MAIL FROM:<s@x>\nC: RCPT TO:<a@x>\nC: DATA\nS: 250 ok\nS: 450 later\nS: {answer}" + more)
    transaction = send(client, "a@x", pipelining=True)
    assert transaction.run() is None
    assert transaction.outcomes[0].status == "deferred" and transaction.clean


def test_bdat_small_is_one_block() -> None:
    client = start(
        PLAIN
        + """
        C: MAIL FROM:<s@x>
        C: RCPT TO:<a@x>
        C: BDAT 18 LAST
        C: Subject: t
        C:
        C: hi
        S: 250 ok
        S: 250 ok
        S: 250 done
        """
    )
    assert send(client, "a@x", pipelining=True, chunking=True).run() is not None
    assert len(client.stream.log) == 2  # type: ignore[attr-defined]


def test_bdat_long_message_sends_header_first() -> None:
    body = b"x" * 8998 + b"\r\n"
    client = start(
        PLAIN
        + f"""
        C: MAIL FROM:<s@x>
        C: RCPT TO:<a@x>
        C: BDAT 14
        C: Subject: t
        C:
        S: 250 ok
        S: 250 ok
        S: 250 more
        C: BDAT 9000 LAST
        C: {body[:-2].decode()}
        S: 500 oops
        """
    )
    with pytest.raises(ClientFailure) as caught:
        send(client, "a@x", body=body, pipelining=True, chunking=True).run()
    assert str(caught.value) == "SMTP error from remote mail server after end of data: 500 oops"


def test_prdr() -> None:
    client = start(
        PLAIN
        + """
        C: MAIL FROM:<s@x>
        S: 250 ok
        C: RCPT TO:<a@x>
        S: 250 ok
        C: RCPT TO:<b@x>
        S: 250 ok
        C: DATA
        S: 354 go
        C: Subject: t
        C:
        C: hi
        C: .
        S: 353 each
        S: 250 a
        S: 550 b
        S: 250 all
        """
    )
    transaction = send(client, "a@x", "b@x", prdr=True)
    transaction.run()
    assert [(o.status, o.reply and o.reply.text, o.stage) for o in transaction.outcomes] == [
        ("done", "250 a\\n250 all", ""),
        ("failed", "550 b", "data"),
    ]


def test_lmtp_replies_for_each() -> None:
    client = start(
        """
        S: 220 hi
        C: LHLO me.ex
        S: 250 you
        C: MAIL FROM:<s@x>
        S: 250 ok
        C: RCPT TO:<a@x>
        S: 250 ok
        C: RCPT TO:<b@x>
        S: 250 ok
        C: DATA
        S: 354 go
        C: Subject: t
        C:
        C: hi
        C: .
        S: 250 a
        S: 450 b
        """,
        lmtp=True,
    )
    transaction = send(client, "a@x", "b@x", lmtp=True)
    assert transaction.run() is None
    assert [o.status for o in transaction.outcomes] == ["done", "deferred"]


def test_helo_after_refused_ehlo() -> None:
    client = start("S: 220 x\nC: EHLO me.ex\nS: 500 what\nC: HELO me.ex\nS: 250 ok")
    assert not client.esmtp and client.features == {}


def test_closed_after_helo_names_the_ehlo_reply() -> None:
    with pytest.raises(ClientFailure) as caught:
        start("S: 220 x\nC: EHLO me.ex\nS: 550 You are banned\nC: HELO me.ex\nCLOSE:")
    assert str(caught.value) == "Remote host closed connection in response to HELO me.ex (EHLO response was: 550 You are banned)"


@pytest.mark.parametrize(
    ("chunks", "wire"),
    [
        ([b".a\r\n.b\r\n"], b"..a\r\n..b\r\n.\r\n"),
        ([b"a\r\n", b".b"], b"a\r\n..b\r\n.\r\n"),
        ([], b".\r\n"),
        ([b"a.\r\n..\r\n"], b"a.\r\n...\r\n.\r\n"),
    ],
)
def test_dots(chunks: list[bytes], wire: bytes) -> None:
    assert b"".join(dotted(chunks)) == wire


def watched(script: str) -> tuple[SmtpClient, list[str]]:
    lines: list[str] = []
    client = SmtpClient(ScriptStream(script), Timeouts(), trace=ClientTrace(lines.append, None, lines.append))
    return client, lines


def test_a_secret_is_not_in_the_trace() -> None:
    client, lines = watched("C: AUTH LOGIN\nS: 334 x\nC: c2VjcmV0\nS: 235 ok")
    client.command("AUTH LOGIN", "AUTH LOGIN")
    assert client.command("c2VjcmV0", "AUTH LOGIN", shown="********").ok
    client.trace.ended()
    assert lines == [
        "  SMTP>> AUTH LOGIN",
        "  SMTP<< 334 x",
        "  SMTP>> ********",
        "  SMTP<< 235 ok",
        "cmdlog: 'AUTH:334:********:235'",
    ]


PIPELINED = """
    C: MAIL FROM:<s@x>
    C: RCPT TO:<a@x>
    C: DATA
    S: 250 ok
    S: 250-fine
    S: 250 indeed
    S: 354 go
    C: Subject: t
    C:
    C: hi
    C: .
"""


def test_marks_of_commands_that_are_written_together() -> None:
    client, lines = watched(PIPELINED + "C: QUIT\nS: 250 done\nS: 221 bye")
    transaction = send(client, "a@x", pipelining=True)
    transaction.used_again = lambda: False
    transaction.run()
    client.read_parting(1)
    client.trace.ended()
    assert lines == [
        "  SMTP|> MAIL FROM:<s@x>",
        "  SMTP|> RCPT TO:<a@x>",
        "  SMTP>> DATA",
        "  SMTP<< 250 ok",
        "  SMTP<< 250-fine",
        "         250 indeed",
        "  SMTP<< 354 go",
        "  SMTP>> (writing message)",
        "  SMTP+> .",
        "  SMTP+> QUIT",
        "  SMTP<< 250 done",
        "  SMTP<< 221 bye",
        "cmdlog: 'MAIL|:RCPT|:DATA:250:250-:354:.+:QUIT+:250:221'",
    ]
    assert client.stream.log[-1] == b"Subject: t\r\n\r\nhi\r\n.\r\nQUIT\r\n"  # one write
    assert (transaction.quit_sent, client.written) == (True, 21)


def test_bdat_takes_quit_along() -> None:
    client, lines = watched(
        "C: MAIL FROM:<s@x>\nC: RCPT TO:<a@x>\nC: BDAT 18 LAST\nC: Subject: t\nC:\nC: hi\nC: QUIT\n"
        "S: 250 a\nS: 250 b\nS: 250 c\nS: 221 d"
    )
    transaction = send(client, "a@x", pipelining=True, chunking=True)
    transaction.used_again = lambda: False
    transaction.run()
    client.read_parting(1)
    client.trace.ended()
    assert lines[-1] == "cmdlog: 'MAIL|:RCPT|:BDAT+:QUIT+:250:250:250:221'"
    assert client.written == 18


@pytest.mark.parametrize(
    ("used_again", "features"),
    [(True, {"pipelining": True}), (False, {}), (False, {"pipelining": True, "prdr": True}), (None, {"pipelining": True})],
    ids=["more messages", "no pipelining", "several replies", "not asked"],
)
def test_quit_is_not_sent_with_the_data(used_again: bool | None, features: dict[str, bool]) -> None:
    script = PIPELINED
    if not features:
        script = "C: MAIL FROM:<s@x>\nS: 250 a\nC: RCPT TO:<a@x>\nS: 250 b\nC: DATA\nS: 354 c\nC: Subject: t\nC:\nC: hi\nC: ."
    client = SmtpClient(ScriptStream(script + "\nS: 250 done"), Timeouts())
    transaction = send(client, "a@x", **features)
    transaction.used_again = None if used_again is None else lambda: used_again
    transaction.run()
    assert not transaction.quit_sent and transaction.clean


def test_recipients_are_asked_about_in_batches() -> None:
    """A server need not hold thousands of replies back before we read the first."""
    rcpts = [f"r{number}@x" for number in range(150)]
    batches = ["C: MAIL FROM:<s@x>", *(f"C: RCPT TO:<{one}>" for one in rcpts[:101]), *["S: 250 ok"] * 102]
    batches += [*(f"C: RCPT TO:<{one}>" for one in rcpts[101:]), "C: DATA", *["S: 250 ok"] * 49, "S: 354 go"]
    client = SmtpClient(ScriptStream("\n".join([*batches, "C: Subject: t", "C:", "C: hi", "C: .", "S: 250 ok"])), Timeouts())
    send(client, *rcpts, pipelining=True).run()
    assert [data.count(b"RCPT") for data in client.stream.log] == [101, 49, 0]


@pytest.mark.parametrize(("end", "why"), [("CLOSE:", "closed"), ("TIMEOUT:", "Connection timed out")])
def test_why_nothing_can_be_read(end: str, why: str) -> None:
    client, lines = watched(f"C: NOOP\n{end}")
    with pytest.raises(ClientFailure):
        client.command("NOOP")
    assert lines[-1] == f"  SMTP({why})<<"


def test_a_summary_has_a_limit() -> None:
    client, lines = watched("")
    for _ in range(1000):
        client.trace.replied("250", several=False)
    client.trace.ended()
    shown, notice = lines[-1].split("\n")
    assert (len(shown), notice) == (SUMMARY_LIMIT, "**** debug string too long - truncated ****")
