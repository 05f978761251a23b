"""The SMTP server core: commands, message octets however they are cut, and no way to smuggle."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from angaros.smtp.grammar import (
    decode_xtext,
    encode_xtext,
    helo_is_valid,
    parse_bdat,
    parse_command,
    parse_xclient,
    split_parameters,
)
from angaros.smtp.server import MAX_LINE, TRANSITIONS, Command, Data, Line, Mode, ServerCore, Stage


def commands(core: ServerCore, data: bytes) -> list[tuple[str, str]]:
    core.receive(data)
    out = []
    while isinstance(event := core.next_event(), Command):
        out.append((event.verb or f"?{event.fault}", event.argument))
    return out


def message(data: bytes, cuts: list[int] | None = None) -> tuple[bytes, bool, bytes]:
    """Body, whether it ended, and what is left."""
    core = ServerCore()
    core.begin_data()
    body = b""
    pieces = []
    last = 0
    for cut in sorted(cuts or []):
        pieces.append(data[last : min(cut, len(data))])
        last = min(cut, len(data))
    pieces.append(data[last:])
    ended = False
    for piece in pieces:
        core.receive(piece)
        while not ended and isinstance(event := core.next_event(), Data):
            body += event.octets
            ended = event.last
    return body, ended, core.peek(100000)


@pytest.mark.parametrize(
    ("line", "verb", "argument"),
    [
        ("EHLO x", "EHLO", "x"),
        ("ehlo  x ", "EHLO", "x"),
        ("MAIL FROM:<x@y>", "MAIL", "<x@y>"),
        ("mail from: <x@y> ", "MAIL", "<x@y>"),
        ("MAIL", "", "MAIL"),
        ("MAIL  FROM:<x@y>", "", "MAIL  FROM:<x@y>"),
        ("RCPT TO", "", "RCPT TO"),
        ("noop:", "", "noop:"),
        ("NOOP\t", "NOOP", ""),
        (" NOOP", "", " NOOP"),
        ("XWELLKNOWN a", "WELLKNOWN", "a"),
        ("", "", ""),
        ("\xe4", "", "\xe4"),
    ],
)
def test_commands(line: str, verb: str, argument: str) -> None:
    syntax, found = parse_command(line)
    assert (syntax.verb, found) == (verb, argument)


def test_pipelined_commands_and_faults() -> None:
    core = ServerCore()
    found = commands(core, b"EHLO a\r\nNO\0OP\nX" + b"y" * 20000)
    assert [v for v, _ in found] == ["EHLO", "?nul", "?long"]
    assert commands(core, b"z" * 50000) == []
    assert commands(core, b"zz\r\nQUIT\r\nRS") == [("QUIT", "")]
    assert core.peek() == b"RS"
    assert core.drop_input() == 2
    assert not core.pending


def test_line_memory_is_bounded() -> None:
    core = ServerCore()
    for _ in range(100):
        commands(core, b"x" * 10000)
        assert len(core.peek(10**9)) <= MAX_LINE


@pytest.mark.parametrize(
    ("data", "body", "left"),
    [
        (b"a\r\n.\r\nQUIT", b"a\r\n", b"QUIT"),
        (b".\r\nQUIT", b"", b"QUIT"),
        (b"..a\r\n.b\r\n...\r\n.\r\n", b".a\r\nb\r\n..\r\n", b""),
        (b"a\n.\nQUIT", b"a\n", b"QUIT"),
        (b"a\n.\r\nQUIT", b"a\n", b"QUIT"),
        (b".\nQUIT", b"", b"QUIT"),
        (b"\r\n.\r\n", b"\r\n", b""),
    ],
)
def test_message_end(data: bytes, body: bytes, left: bytes) -> None:
    for cut in range(len(data) + 1):
        assert message(data, [cut]) == (body, True, left)
    assert message(data, list(range(len(data)))) == (body, True, left)


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r", b"\r.\r\n", b"\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n"]
)
def test_no_smuggling(end: bytes) -> None:
    """CVE-2023-51766: only CRLF dot CRLF ends a message from the network."""
    data = b"Subject: x\r\n\r\nbody" + end + b"MAIL FROM:<admin@victim>\r\n"
    body, ended, _ = message(data + b".\r\n")
    assert ended
    assert b"MAIL FROM" in body


REFERENCE_ALPHABET = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"a", b"\r\n.\r\n", b"\0"]), max_size=20).map(
    b"".join
)


def reference(data: bytes) -> tuple[bytes, bool]:
    """Octet by octet, for strict messages."""
    out = b""
    pos = 0
    at_line = True
    while pos < len(data):
        if (pos == 0 or data[:pos].endswith(b"\r\n")) and data[pos : pos + 3] == b".\r\n":
            return out, True
        if at_line and data[pos : pos + 1] == b".":
            pos += 1
            at_line = False
            continue
        out += data[pos : pos + 1]
        at_line = out.endswith(b"\r\n")
        pos += 1
    return out, False


@given(REFERENCE_ALPHABET, st.lists(st.integers(0, 40), max_size=6))
def test_strict_against_reference(data: bytes, cuts: list[int]) -> None:
    data = b"H: x\r\n" + data
    expected, ended = reference(data)
    body, really, _ = message(data, cuts)
    assert really == ended
    assert body == expected if ended else expected.startswith(body)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_cuts_do_not_matter(data: bytes, cuts: list[int]) -> None:
    whole = message(data)
    parts = message(data, cuts)
    assert whole[1] == parts[1]
    if whole[1]:
        assert whole == parts


def test_chunks() -> None:
    core = ServerCore()
    core.receive(b"BDAT 4\r\nab")
    assert isinstance(core.next_event(), Command)
    core.begin_chunk(4)
    assert core.next_event() == Data(b"ab", False)
    assert core.next_event() is None
    core.receive(b".\r\nQUIT\r\n")
    assert core.next_event() == Data(b".\r", True)
    assert core.mode is Mode.COMMANDS
    core.begin_chunk(0)
    assert core.next_event() == Data(b"", True)


def test_grammar_pieces() -> None:
    known = frozenset({"SIZE", "BODY", "SMTPUTF8"})
    assert split_parameters("<x@y> SIZE=10 body=8BITMIME SMTPUTF8", known) == (
        "<x@y>",
        [("SMTPUTF8", None), ("BODY", "8BITMIME"), ("SIZE", "10")],
    )
    assert split_parameters("<x@y> SIZE=10 foo", known) == ("<x@y> SIZE=10 foo", [])
    assert split_parameters("<x@y>SIZE=10", known) == ("<x@y>SIZE=10", [])
    assert parse_bdat("3 last") == (3, True)
    assert parse_bdat("3 LASTx") == (3, False)
    assert parse_bdat("x") is None
    assert decode_xtext("a+3Db") == "a=b"
    assert decode_xtext("a+3db") is None
    assert parse_xclient("ADDR=1.2.3.4 name=a+2Bb") == [("ADDR", "1.2.3.4"), ("NAME", "a+b")]
    assert parse_xclient("ADDR") is None


@given(st.text(alphabet=[chr(c) for c in range(256)], max_size=30))
def test_xtext_round_trip(text: str) -> None:
    assert decode_xtext(encode_xtext(text)) == text


@pytest.mark.parametrize("name", ["x", "a.b", "-x", "x..y", "[1.2.3.4]", "[IPv6:::1]", "[::1]", "1.2.3.4"])
def test_helo_good(name: str) -> None:
    assert helo_is_valid(name)


@pytest.mark.parametrize("name", ["", "a_b", "a b", "[x]", "[1.2.3]", "[IPv6:1.2.3.4]", "[1.2.3.4", "x]", "a:b", "\xe9"])
def test_helo_bad(name: str) -> None:
    assert not helo_is_valid(name)
    if name == "a_b":
        assert helo_is_valid(name, "_")


PIECES = [
    line.encode() + b"\r\n" for line in ("EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "BDAT 5", "BDAT 0 LAST", "RSET")
]
PIECES += [b"STARTTLS\r\n", b"QUIT\r\n", b"AUTH X\r\n", b"a: b\r\n\r\nbody\r\n.\r\n", b"\n", b".", b"\r", b"\0"]


class Machine(RuleBasedStateMachine):
    """A client that sends anything; a policy that answers anything. No exception, no lost octet order, stages in the table."""

    def __init__(self) -> None:
        super().__init__()
        self.core = ServerCore()
        self.left = 0

    @rule(
        data=st.lists(
            st.sampled_from(PIECES),
            max_size=6,
        ).map(b"".join)
    )
    def input(self, data: bytes) -> None:
        self.core.receive(data)

    @rule(accept=st.booleans(), size=st.integers(0, 9))
    def step(self, accept: bool, size: int) -> None:
        event = self.core.next_event()
        if isinstance(event, Command):
            assert self.core.mode is Mode.COMMANDS
            if not self.core.in_order(event.verb):
                return
            if event.verb == "BDAT":
                self.core.begin_chunk(size)
            if accept:
                self.core.succeeded(event.verb)
                if event.verb == "DATA":
                    self.core.begin_data()
                if event.verb == "STARTTLS":
                    self.core.drop_input()
                    assert not self.core.pending
                if event.verb == "AUTH":
                    self.core.begin_lines()
        elif isinstance(event, Line):
            self.core.begin_commands()
        elif isinstance(event, Data) and event.last:
            assert self.core.mode is Mode.COMMANDS
            self.core.reset()
        elif self.core.stage is Stage.CLOSED:
            self.core = ServerCore()

    @invariant()
    def in_the_table(self) -> None:
        assert self.core.stage in TRANSITIONS


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase


def test_speed_of_a_message() -> None:
    """A 4 KiB message costs the core well under 0.1 ms."""
    import time

    data = (b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n") * 48 + b".\r\n"
    best = 1.0
    for _ in range(200):
        core = ServerCore()
        core.begin_data()
        begin = time.perf_counter()
        core.receive(data)
        assert isinstance(core.next_event(), Data)
        best = min(best, time.perf_counter() - begin)
    assert best < 0.0001
