"""What hostile clients send. Each test is an attack that was published, or its like."""

from __future__ import annotations

import base64
import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from angaros.model.tls import TlsFacts
from angaros.smtp.transaction import dotted
from tests.inbound.smtp_world import World

Make = Callable[..., World]

# --- Smuggling: ends of data that are none. CVE-2023-51764, 51765, 51766 ---------------------------------------------------

FALSE_ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n.\r\r\n", b"\n.\r", b"\r.\n", b"\r\n.\n\r\n",
    b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n. \r\n", b"\n\n.\r\n", b"\r\n.\x0b\r\n", b"\n.\n\r\n",
]  # fmt: skip
SECOND = b"MAIL FROM:<evil@far.test>\r\nRCPT TO:<r@here.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_only_crlf_dot_crlf_ends_a_message(world: World, end: bytes) -> None:
    s = world.greeted()
    s.mail()
    s.say("DATA")
    replies = s.send(b"Subject: one\r\n\r\nfirst" + end + SECOND + b".\r\n")
    assert [line[:3] for line in replies] == ["250"]
    ((message, body),) = world.spooled()
    assert message.sender_address == "s@far.test"
    assert b"MAIL FROM:<evil@far.test>" in body


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_a_false_end_that_comes_octet_by_octet(world: World, end: bytes) -> None:
    s = world.greeted()
    s.mail()
    s.say("DATA")
    replies = []
    for octet in b"Subject: one\r\n\r\nfirst" + end + SECOND + b".\r\n":
        replies += s.send(bytes([octet]))
    assert [line[:3] for line in replies] == ["250"]
    assert len(world.spooled()) == 1


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_a_false_end_in_the_header(world: World, end: bytes) -> None:
    s = world.greeted()
    s.mail()
    s.say("DATA")
    replies = s.send(b"Received: by a relay\r\nSubject: one" + end + SECOND + b"\r\n.\r\n")
    assert [line[:3] for line in replies] == ["250"]
    assert len(world.spooled()) == 1


@pytest.mark.parametrize("wireformat", ["no_spool_wireformat", "spool_wireformat"])
@pytest.mark.parametrize("end", FALSE_ENDS)
def test_nothing_is_smuggled_out(make_world: Make, wireformat: str, end: bytes) -> None:
    """What came by BDAT, with any line ends, goes out by DATA with one end of data."""
    world = make_world(main=f"acl_smtp_rcpt = accept\nchunking_advertise_hosts = *\n{wireformat}")
    s = world.greeted()
    s.mail()
    text = b"Subject: one\r\n\r\nfirst" + end + SECOND
    assert s.send(b"BDAT %d LAST\r\n" % len(text) + text)[-1].startswith("250")
    ((message, body),) = world.spooled()
    wire = body if message.wireformat else body.replace(b"\n", b"\r\n")
    out = b"".join(dotted([wire[:7], wire[7:]]))
    assert out.endswith(b"\r\n.\r\n")
    for pattern in (b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n"):
        assert pattern not in out[:-5]
    assert out.count(b"\r") == out.count(b"\n") == out.count(b"\r\n")


# --- STARTTLS: what was sent before the handshake does not count after it. CVE-2011-0411, CVE-2021-38371 -------------------


@pytest.fixture
def tls_world(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("angaros.net.tls_config.server_context", lambda *_: object())
    return make_world(
        main="acl_smtp_rcpt = accept\ntls_advertise_hosts = *\nno_smtp_enforce_sync\ntls_certificate = /nonexistent"
    )


def test_commands_behind_starttls_are_thrown_away(tls_world: World) -> None:
    s = tls_world.greeted()
    s.stream.handshake = TlsFacts(cipher="x")
    replies = s.send(b"STARTTLS\r\nMAIL FROM:<inject@far.test>\r\nRCPT TO:<r@here.test>\r\nDATA\r\n")
    assert [line[:3] for line in replies] == ["220"]
    assert s.code("RCPT TO:<r@here.test>") == "503"
    assert s.conversation.message.sender_address == ""


def test_commands_waiting_in_the_stream_are_thrown_away_too(tls_world: World) -> None:
    s = tls_world.greeted()
    s.stream.handshake = TlsFacts(cipher="x")
    s.stream.ready = b"MAIL FROM:<inject@far.test>\r\n"
    assert [line[:3] for line in s.send(b"STARTTLS\r\n")] == ["220"]
    assert s.stream.ready == b""
    assert not s.conversation.txn.sender_given


def test_a_transaction_does_not_survive_starttls(tls_world: World) -> None:
    s = tls_world.greeted()
    s.stream.handshake = TlsFacts(cipher="x")
    s.say("MAIL FROM:<a@far.test>")
    s.say("STARTTLS")
    assert s.code("RCPT TO:<r@here.test>") == "503"
    assert s.conversation.session.sender_helo_name == ""


def test_early_commands_behind_starttls_end_a_synchronized_session(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\ntls_advertise_hosts = *\ntls_certificate = /nonexistent")
    s = world.greeted()
    assert s.send(b"STARTTLS\r\nRSET\r\n")[-1].startswith("554")
    assert s.done


def test_after_a_failed_handshake_only_quit_is_left(tls_world: World) -> None:
    s = tls_world.greeted()
    s.stream.handshake = OSError(5, "broken")
    s.send(b"STARTTLS\r\nMAIL FROM:<a@b>\r\n")
    assert s.code("MAIL FROM:<a@b>") == "554"
    assert s.code("QUIT") == "221"


# --- Confusion of states. CVE-2017-16943 and CVE-2020-28019 in kind ---------------------------------------------------------

BDAT_CONFUSIONS = [
    [b"BDAT 10\r\n0123456789", b"RSET\r\n", b"BDAT 5 LAST\r\nxxxxx", b"MAIL FROM:<a@b>\r\n"],
    [b"BDAT 10\r\n0123456789", b"DATA\r\n", b"BDAT 5 LAST\r\nxxxxx", b"RSET\r\n"],
    [b"BDAT 10\r\n0123456789", b"MAIL FROM:<z@z>\r\n", b"RCPT TO:<r@here.test>\r\n", b"QUIT\r\n"],
    [b"BDAT 10\r\n0123456789", b"EHLO again\r\n", b"BDAT 0 LAST\r\n"],
    [b"BDAT 10\r\n0123456789", b"VRFY r\r\n", b"HELP\r\n", b"BDAT 1 LAST\r\nx", b"RSET\r\n"],
    [b"BDAT 10\r\n0123456789", b"STARTTLS\r\n", b"BDAT 1 LAST\r\nx"],
    [b"BDAT 10\r\n0123456789", b"AUTH PLAIN AAA=\r\n", b"BDAT 1 LAST\r\nx"],
    [b"BDAT 0\r\n", b"BDAT 0 LAST\r\n", b"BDAT 0 LAST\r\n"],
    [b"BDAT 3 LAST\r\nabc", b"BDAT 3 LAST\r\nabc", b"BDAT 3 LAST\r\nabc"],
    [b"BDAT\r\n", b"BDAT x\r\n", b"BDAT -1\r\n", b"BDAT 1 FIRST\r\n", b"BDAT 1e3\r\n"],
    [b"BDAT 1 LAST\r\n\n", b"BDAT 1 LAST\r\n.", b"RSET\r\n"],
    [b"RSET\r\n", b"BDAT 4 LAST\r\nRSET", b"BDAT 6\r\nQUIT\r\n", b"NOOP\r\n"],
]


@pytest.mark.parametrize("packets", BDAT_CONFUSIONS)
@pytest.mark.parametrize("together", [True, False])
def test_bdat_in_the_wrong_place(make_world: Make, packets: list[bytes], together: bool) -> None:
    """No exception, one reply a command, nothing half done in the spool, and the session can go on."""
    world = make_world(main="acl_smtp_rcpt = accept\nchunking_advertise_hosts = *\nno_smtp_enforce_sync")
    s = world.greeted()
    s.mail()
    replies = s.send(b"".join(packets)) if together else [line for packet in packets for line in s.send(packet)]
    finals = [line for line in replies if line[3:4] == " "]
    assert len(finals) <= len(packets) + 1
    if not s.done:
        assert s.code("RSET") == "250"
        assert s.mail() == "250"
        assert s.message()[-1].startswith("250")
    s.hang_up()
    assert all(name.endswith(("-D", "-H")) for name in world.files())
    assert len([n for n in world.files() if n.endswith("-D")]) == len([n for n in world.files() if n.endswith("-H")])


@pytest.mark.parametrize("size", ["4294967296", "18446744073709551616", "9" * 60])
def test_a_chunk_of_absurd_size_costs_nothing(make_world: Make, size: str) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\nchunking_advertise_hosts = *\nmessage_size_limit = 1M")
    s = world.greeted()
    s.mail()
    tracemalloc.start()
    s.send(f"BDAT {size}\r\n".encode() + b"x: y\r\n")
    for _ in range(64):
        s.send(b"z" * 65536)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    s.hang_up()
    assert world.files() == []


def test_commands_in_a_chunk_are_data(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\nchunking_advertise_hosts = *")
    s = world.greeted()
    s.mail()
    inner = b"Subject: x\r\n\r\n.\r\nQUIT\r\nMAIL FROM:<z@z>\r\n.\r\n"
    assert [r[:3] for r in s.send(b"BDAT %d LAST\r\n" % len(inner) + inner + b"NOOP\r\n")][-1] == "250"
    ((message, body),) = world.spooled()
    assert message.sender_address == "s@far.test"
    assert body == b".\nQUIT\nMAIL FROM:<z@z>\n.\n"


# --- Control characters: log, spool and headers -----------------------------------------------------------------------------

DATED = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? ")


def every_log_line_is_ours(world: World) -> None:
    """Nothing that a client says makes a line of its own, or a control character, in a log."""
    for kind in ("main", "reject", "panic"):
        path = Path(world.path, "log", f"{kind}log")
        if not path.exists():
            continue
        for line in path.read_bytes().split(b"\n")[:-1]:
            assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", line), line
            if kind == "main":
                assert DATED.match(line), line


CONTROLS = ["\r", "\0", "\x1b[31m", "\x08", "\x7f", "\t", "\xff"]


@pytest.mark.parametrize("bad", CONTROLS)
@pytest.mark.parametrize(
    "line",
    [
        "EHLO a{}b", "HELO {}", "MAIL FROM:<a{}@b.test>", "MAIL FROM:<{}>", "RCPT TO:<a{}b@c.test>", "VRFY {}", "EXPN {}",
        "ETRN #{}", "{}", "FOO{}BAR baz", "MAIL FROM:<a@b.test> SIZE={}", "MAIL FROM:<a@b.test> AUTH={}", "AUTH {}", "HELP {}",
        "BDAT {}", "DATA {}", "NOOP {}", "RSET {}", "STARTTLS {}", "QUIT {}", "MAIL FROM:<a@b.test> ENVID={}", "XCLIENT NAME={}",
    ],
)  # fmt: skip
def test_control_characters_in_commands_do_not_reach_the_log(make_world: Make, line: str, bad: str) -> None:
    world = make_world(
        main="acl_smtp_rcpt = accept\nlog_selector = +all\nhelo_accept_junk_hosts = *\nsmtp_max_synprot_errors = 100\n"
        "smtp_max_unknown_commands = 100\nacl_smtp_vrfy = deny\nacl_smtp_expn = deny\nacl_smtp_etrn = deny\n"
        "dsn_advertise_hosts = *"
    )
    s = world.greeted()
    s.say("MAIL FROM:<s@far.test>") if line.startswith(("RCPT", "DATA", "BDAT")) else None
    s.say(line.format(bad))
    s.hang_up()
    every_log_line_is_ours(world)


def test_xtext_cannot_bring_newlines_into_the_session(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\nhosts_xclient = *\nlog_selector = +all\nsmtp_max_synprot_errors = 100")
    s = world.greeted()
    assert s.code("XCLIENT LOGIN=me+0Aforged NAME=good.test") == "501"
    assert s.code("XCLIENT NAME=a+0D+0Ab") == "501"
    assert s.code("XCLIENT ADDR=192.0.2.99 NAME=good.test LOGIN=me") == "220"
    every_log_line_is_ours(world)


def test_mail_auth_cannot_bring_newlines_into_the_spool(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\nacl_smtp_mailauth = accept\nlog_selector = +all")
    s = world.greeted()
    s.say("MAIL FROM:<a@far.test> AUTH=x+0A-local+0Ay@z.test", "RCPT TO:<r@here.test>")
    s.message()
    for header in Path(world.path, "spool", "input").glob("*-H"):
        assert b"\n-local\n" not in header.read_bytes()
    every_log_line_is_ours(world)


def test_sasl_identity_cannot_bring_newlines(make_world: Make) -> None:
    world = make_world(
        main="acl_smtp_rcpt = accept\nauth_advertise_hosts = *\nlog_selector = +all",
        authenticators="p:\n driver = plaintext\n public_name = PLAIN\n server_condition = yes\n server_set_id = $auth2",
    )
    s = world.greeted()
    forged = base64.b64encode(b"\0me\n2026-11-21 00:00:00 forged\0pw").decode()
    s.say(f"AUTH PLAIN {forged}")
    s.mail()
    s.message()
    every_log_line_is_ours(world)
    for header in Path(world.path, "spool", "input").glob("*-H"):
        assert b"\n2026-11-21 00:00:00 forged" not in header.read_bytes()


def test_header_values_cannot_make_log_lines(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\nlog_selector = +all", acl="")
    s = world.greeted()
    s.mail()
    s.message(
        "Subject: a\r\n b =?utf-8?Q?c=0A2026-11-21_00:00:00_forged=0D?=\r\n"
        "Message-ID: <x\r\n 2026@y>\r\nFrom: a\rb@c.test\r\n\r\nx\r\n"
    )
    every_log_line_is_ours(world)


def test_nul_in_the_header_is_made_visible(world: World) -> None:
    s = world.greeted()
    s.mail()
    s.message("Subject: a\0b\r\nX\0-Bad: y\r\n\r\nb\0c\r\n")
    ((message, _),) = world.spooled()
    assert all("\0" not in header.text for header in message.headers)


def test_cr_in_a_header_line_makes_no_header(world: World) -> None:
    s = world.greeted()
    s.mail()
    s.message("Subject: a\rX-Forged: yes\r\nTo: b\nX-Forged-Too: yes\r\n\r\nx\r\n")
    ((message, _),) = world.spooled()
    assert not message.headers_named("X-Forged")
    assert not message.headers_named("X-Forged-Too")


# --- Amounts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["one line", "many lines", "continued"])
def test_a_header_of_fifty_megabytes_is_refused_in_little_memory(world: World, shape: str) -> None:
    s = world.greeted()
    s.mail()
    s.say("DATA")
    line = {"one line": b"x" * 998, "many lines": b"X-A: " + b"y" * 991 + b"\r\n", "continued": b" " + b"z" * 995 + b"\r\n"}[
        shape
    ]
    block = line * (65536 // len(line))
    s.send(b"Subject: ")
    tracemalloc.start()
    for _ in range((50 << 20) // len(block)):
        assert s.send(block) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20
    assert s.send(b"\r\n\r\n.\r\n")[-1].startswith("552")
    assert world.files() == []
    assert s.mail() == "250"


def test_a_hundred_thousand_recipients(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\nrecipients_max = 0\nlog_selector = -all")
    s = world.greeted()
    s.say("MAIL FROM:<s@far.test>")
    for start in range(0, 100_000, 1000):
        replies = s.say(*(f"RCPT TO:<r{number}@here.test>" for number in range(start, start + 1000)))
        assert len(replies) == 1000
    assert s.message()[-1].startswith("250")
    ((message, _),) = world.spooled()
    assert len(message.recipients) == 100_000


def test_recipients_beyond_the_limit_cost_nothing(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\nrecipients_max = 10")
    s = world.greeted()
    s.say("MAIL FROM:<s@far.test>")
    replies = s.say(*(f"RCPT TO:<r{number}@here.test>" for number in range(5000)))
    assert [r[:3] for r in replies] == ["250"] * 10 + ["452"] * 4990
    assert len([line for line in world.log() if "too many recipients" in line]) == 1


def test_a_command_line_without_end_costs_nothing(world: World) -> None:
    s = world.greeted()
    tracemalloc.start()
    for _ in range(160):
        s.send(b"A" * 65536)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20
    replies = s.send(b"\r\nNOOP\r\n")
    assert replies[-1].startswith("250")


# --- Impatience and noise ---------------------------------------------------------------------------------------------------


def test_who_talks_before_the_greeting_is_refused(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\npipelining_connect_advertise_hosts =")
    talk = world.connect(early=b"EHLO early\r\n")
    assert talk.greeting[0].startswith("554")
    assert talk.done
    assert any("input sent without waiting for greeting" in line for line in world.log())


def test_who_pipelines_without_leave_is_cut_off(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\npipelining_advertise_hosts =")
    s = world.greeted()
    assert s.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<r@here.test>\r\n")[-1].startswith("554")
    assert s.done


@pytest.mark.parametrize("seed", range(8))
def test_garbage_ends_the_session_soon(world: World, seed: int) -> None:
    noise = random.Random(seed).randbytes(200_000)
    s = world.greeted()
    for start in range(0, len(noise), 4096):
        if s.done:
            break
        s.send(noise[start : start + 4096])
    assert s.done
    assert world.files() == []
    every_log_line_is_ours(world)


def test_a_web_browser_is_sent_away(world: World) -> None:
    s = world.connect()
    s.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 60\r\n\r\nMAIL FROM:<x@y.test>\r\n")
    assert s.done
