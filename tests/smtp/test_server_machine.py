"""A hypothesis state machine over the sans-I/O server core: whatever comes in whatever pieces, events are in order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from angaros.smtp.server import MAX_LINE, TRANSITIONS, Command, Data, Line, Mode, ServerCore, Stage

VERBS = sorted({verb for row in TRANSITIONS.values() for verb in row})
TEXT = st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=255, exclude_characters="\r\n"), max_size=40)
BODY = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"QUIT", b"\0", b"\r\n.", b" "]), max_size=30).map(
    b"".join
)


class CoreMachine(RuleBasedStateMachine):
    """Feeds the core and plays the policy that answers it."""

    def __init__(self) -> None:
        super().__init__()
        self.core = ServerCore()
        self.expected: list[str] = []
        """Command lines that have been sent and not yet come out."""
        self.pieces = b""

    def _give(self, octets: bytes, cut: int) -> None:
        position = cut % (len(octets) + 1)
        self.core.receive(octets[:position])
        self.core.receive(octets[position:])

    @precondition(lambda self: self.core.mode is Mode.COMMANDS and self.core.stage is not Stage.CLOSED)
    @rule(verb=st.sampled_from(VERBS), rest=TEXT, cut=st.integers(0, 99), accept=st.booleans())
    def command(self, verb: str, rest: str, cut: int, accept: bool) -> None:
        """A known command, with any argument, in two pieces: one event, which is that command."""
        line = f"{verb} {rest}"
        self._give(line.encode("latin-1") + b"\r\n", cut)
        event = self.core.next_event()
        assert isinstance(event, Command)
        assert str(event.line) == line.rstrip("\r")
        assert event.fault == ("nul" if "\0" in line else "")
        assert self.core.next_event() is None
        if not event.fault and accept and self.core.in_order(verb):
            before = self.core.stage
            self.core.succeeded(verb)
            assert self.core.stage is TRANSITIONS[before][verb]

    @precondition(lambda self: self.core.mode is Mode.COMMANDS and self.core.stage is not Stage.CLOSED)
    @rule(count=st.integers(2, 20), cut=st.integers(0, 999))
    def pipeline(self, count: int, cut: int) -> None:
        """Several at once come out in order, one after the other."""
        self._give(b"".join(b"NOOP %d\r\n" % number for number in range(count)), cut)
        seen = []
        while (event := self.core.next_event()) is not None:
            assert isinstance(event, Command)
            seen.append(str(event.argument))
        assert seen == [str(number) for number in range(count)]

    @precondition(lambda self: self.core.mode is Mode.COMMANDS and self.core.stage is not Stage.CLOSED)
    @rule(extra=st.integers(1, 3 * MAX_LINE))
    def endless_line(self, extra: int) -> None:
        """One too long is one event with a fault; what follows is read as usual."""
        self.core.receive(b"x" * (MAX_LINE + extra))
        first = self.core.next_event()
        self.core.receive(b"\r\nNOOP\r\n")
        events = [first] if first is not None else []
        while (event := self.core.next_event()) is not None:
            events.append(event)
        assert [type(event) for event in events] == [Command, Command]
        assert isinstance(events[0], Command)
        assert events[0].fault == "long"
        assert isinstance(events[1], Command)
        assert events[1].verb == "NOOP"

    @precondition(lambda self: self.core.mode is Mode.COMMANDS and self.core.stage is not Stage.CLOSED)
    @rule(size=st.integers(0, 200), cut=st.integers(0, 999))
    def chunk(self, size: int, cut: int) -> None:
        """BDAT: exactly so many octets, whatever they are; the next command follows at once."""
        octets = (b"QUIT\r\n.\r\nRSET\r\n" * 20)[:size]
        self.core.begin_chunk(size)
        self._give(octets + b"NOOP\r\n", cut)
        got = b""
        while isinstance(event := self.core.next_event(), Data):
            got += event.octets
            if event.last:
                break
        assert got == octets
        event = self.core.next_event()
        assert isinstance(event, Command)
        assert event.verb == "NOOP"

    @precondition(lambda self: self.core.mode is Mode.COMMANDS and self.core.stage is not Stage.CLOSED)
    @rule(body=BODY, cut=st.integers(0, 999))
    def message(self, body: bytes, cut: int) -> None:
        """DATA whose first line ends in CRLF: dot-stuffed in, the same out, and no end but the end."""
        text = b"Subject: x\r\n" + body
        stuffed = text.replace(b"\r\n.", b"\r\n..")
        end = b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
        self.core.begin_data()
        self._give(stuffed + end + b"NOOP\r\n", cut)
        got, last = b"", False
        while not last:
            event = self.core.next_event()
            assert isinstance(event, Data)
            got, last = got + event.octets, event.last
        assert got == text + (b"" if end == b".\r\n" else b"\r\n")
        event = self.core.next_event()
        assert isinstance(event, Command)
        assert event.verb == "NOOP"

    @precondition(lambda self: self.core.mode is Mode.COMMANDS and self.core.stage is not Stage.CLOSED)
    @rule(text=TEXT)
    def sasl_line(self, text: str) -> None:
        """A line of an exchange is no command."""
        self.core.begin_lines()
        self.core.receive(text.encode("latin-1") + b"\r\n")
        event = self.core.next_event()
        assert isinstance(event, Line)
        assert str(event.text) == text.rstrip("\r")
        self.core.begin_commands()

    @rule(octets=st.binary(max_size=100))
    def forget(self, octets: bytes) -> None:
        """Nothing survives `drop_input` (STARTTLS)."""
        self.core.receive(octets)
        self.core.drop_input()
        assert not self.core.pending
        assert self.core.next_event() is None

    @rule()
    def reset(self) -> None:
        self.core.reset()
        assert self.core.stage in (Stage.CONNECTED, Stage.GREETED, Stage.CLOSED)

    @invariant()
    def a_closed_session_says_nothing(self) -> None:
        if self.core.stage is Stage.CLOSED:
            self.core.receive(b"NOOP\r\n")
            assert self.core.next_event() is None


CoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestServerMachine = CoreMachine.TestCase
