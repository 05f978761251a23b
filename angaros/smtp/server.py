"""The server's side of SMTP as a sans-I/O core: octets in, events out; it neither decides nor answers.

`receive` takes octets, `next_event` gives one event, or None when more octets are needed. The policy (`inbound`) tells what comes
next: lines (`begin_lines`), a message (`begin_data`), a chunk (`begin_chunk`), commands again (`begin_commands`), and reports the
outcome of each command with `succeeded`, which makes the transition.

Laws:
- Every transition of a transaction is in `TRANSITIONS`; a verb that has no row for a stage is out of order there.
- Pipelining needs no queue: an event is given only when the one before has been dealt with.
- A message ends with CRLF dot CRLF, and only after CRLF is a dot unstuffed. Only when its first line ended in a bare LF (a
local program, not the network) LF dot LF ends
  it too; there is no other end, so that nothing can be smuggled (CVE-2023-51766).
- Nothing buffered survives `drop_input` (STARTTLS, CVE-2011-0411 in kind).
- Input is limited: a command line to `MAX_LINE` octets; message octets are passed on as they come.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from angaros.model.text import Tainted
from angaros.smtp.grammar import UNKNOWN, Syntax, parse_command

MAX_LINE = 16384
"""Octets of a command line, far beyond RFC 5321 4.5.3.1.4 and the AUTH lines of RFC 4954 4 (12288)."""
MAX_FIRST_LINE = 65536
"""Octets of a message without any LF after which it is treated as one with CRLF line ends."""


class Stage(Enum):
    """How far a session has come."""

    CONNECTED = "connected"
    """No HELO yet."""
    GREETED = "greeted"
    MAIL = "mail"
    """Sender given."""
    RCPT = "rcpt"
    """At least one recipient accepted."""
    CHUNKS = "chunks"
    """Between two BDAT commands of one message."""
    CLOSED = "closed"


class Mode(Enum):
    """What the octets are that come next."""

    COMMANDS = "commands"
    LINES = "lines"
    """Lines of a SASL exchange."""
    DATA = "data"
    CHUNK = "chunk"


# (stage, verb) -> stage after the policy has accepted the command. # RFC 5321 4.1.4, RFC 3030 2
_ANYWHERE = ("NOOP", "HELP", "VRFY", "EXPN", "ETRN", "WELLKNOWN")
TRANSITIONS: dict[Stage, dict[str, Stage]] = {
    Stage.CONNECTED: {
        "HELO": Stage.GREETED, "EHLO": Stage.GREETED, "RSET": Stage.CONNECTED, "MAIL": Stage.MAIL, "QUIT": Stage.CLOSED,
        "AUTH": Stage.CONNECTED, "STARTTLS": Stage.CONNECTED, "XCLIENT": Stage.CONNECTED, "ATRN": Stage.CONNECTED,
    },
    Stage.GREETED: {
        "HELO": Stage.GREETED, "EHLO": Stage.GREETED, "RSET": Stage.GREETED, "MAIL": Stage.MAIL, "QUIT": Stage.CLOSED,
        "AUTH": Stage.GREETED, "STARTTLS": Stage.CONNECTED, "XCLIENT": Stage.CONNECTED, "ATRN": Stage.GREETED,
    },
    Stage.MAIL: {
        "HELO": Stage.GREETED, "EHLO": Stage.GREETED, "RSET": Stage.GREETED, "RCPT": Stage.RCPT, "QUIT": Stage.CLOSED,
        "STARTTLS": Stage.CONNECTED, "XCLIENT": Stage.CONNECTED,
    },
    Stage.RCPT: {
        "HELO": Stage.GREETED, "EHLO": Stage.GREETED, "RSET": Stage.GREETED, "RCPT": Stage.RCPT, "QUIT": Stage.CLOSED,
        "DATA": Stage.GREETED, "BDAT": Stage.CHUNKS, "STARTTLS": Stage.CONNECTED, "XCLIENT": Stage.CONNECTED,
    },
    Stage.CHUNKS: {
        "HELO": Stage.GREETED, "EHLO": Stage.GREETED, "RSET": Stage.GREETED, "BDAT": Stage.CHUNKS, "QUIT": Stage.CLOSED,
    },
    Stage.CLOSED: {},
}  # fmt: skip
for _stage in (Stage.CONNECTED, Stage.GREETED, Stage.MAIL, Stage.RCPT, Stage.CHUNKS):
    TRANSITIONS[_stage].update(dict.fromkeys(_ANYWHERE, _stage))


class Command(NamedTuple):
    """A command line. `syntax` is `grammar.UNKNOWN` when it is none that we know."""

    syntax: Syntax
    argument: str
    """Tainted, without white space at its ends."""
    line: str
    """The whole line (tainted), without its end."""
    fault: str = ""
    """`nul` (there was a NUL octet), `long` (the line was too long), else ""."""

    @property
    def verb(self) -> str:
        """Name of the command, "" for an unknown one."""
        return self.syntax.verb


class Line(NamedTuple):
    """A line of a SASL exchange, without its end; tainted."""

    text: str


class Data(NamedTuple):
    """Octets of a message. Dots are unstuffed, line ends are as they came. `last`: the message, or the chunk, is complete."""

    octets: bytes
    last: bool


Event = Command | Line | Data

_LAX_END = re.compile(rb"\n\.\r?\n")
_STRICT_END = b"\r\n.\r\n"


class ServerCore:
    """One session. See the module."""

    __slots__ = ("stage", "mode", "crlf", "_in", "_pos", "_left", "_line_start", "_skipping")

    def __init__(self) -> None:
        self.stage = Stage.CONNECTED
        self.mode = Mode.COMMANDS
        self.crlf: bool | None = None
        """Whether the message's first line ended in CRLF; None until it has come."""
        self._in = b""
        self._pos = 0
        self._left = 0
        self._line_start = True
        self._skipping = False

    # Input.

    def receive(self, data: bytes) -> None:
        """Octets from the peer."""
        if self._pos >= len(self._in):
            self._in = data
        else:
            self._in = self._in[self._pos :] + data
        self._pos = 0

    @property
    def pending(self) -> bool:
        """Whether octets are here that no event has used: with a command that must be the last of its group, the peer talks too
        early. # RFC 2920 3.1"""
        return self._pos < len(self._in)

    def peek(self, limit: int = 256) -> bytes:
        """The beginning of what is pending, for log lines."""
        return self._in[self._pos : self._pos + limit]

    def drop_input(self) -> int:
        """Forget what is pending; returns how much that was. # RFC 3207 4.2"""
        dropped = len(self._in) - self._pos
        self._in = b""
        self._pos = 0
        return dropped

    def next_event(self) -> Event | None:
        """The next event, None when more octets are needed."""
        if self.stage is Stage.CLOSED:
            return None
        if self.mode is Mode.COMMANDS:
            return self._command()
        if self.mode is Mode.DATA:
            return self._data()
        if self.mode is Mode.CHUNK:
            return self._chunk()
        line = self._line()
        if line is None:
            return None
        text, _ = line
        return Line(Tainted(text.decode("latin-1")))

    def _line(self) -> tuple[bytes, bool] | None:
        """A line without its end, and whether it was too long."""
        while True:
            end = self._in.find(b"\n", self._pos)
            if end < 0:
                if len(self._in) - self._pos <= MAX_LINE:
                    return None
                first = not self._skipping
                start = self._in[self._pos : self._pos + MAX_LINE]
                self.drop_input()
                self._skipping = True
                if first:
                    return start, True
                return None
            line = self._in[self._pos : end]
            self._pos = end + 1
            if not self._skipping:
                return line[:MAX_LINE].rstrip(b"\r"), len(line) > MAX_LINE
            self._skipping = False

    def _command(self) -> Command | None:
        found = self._line()
        if found is None:
            return None
        octets, too_long = found
        line = Tainted(octets.decode("latin-1"))
        if too_long:
            return Command(UNKNOWN, line, line, "long")
        if b"\0" in octets:
            return Command(UNKNOWN, line, line, "nul")
        syntax, argument = parse_command(line)
        return Command(syntax, argument, line)

    # Message octets.

    def _take(self, octets: bytes, upto: int, last: bool) -> Data:
        """An event with `octets`, the input being used `upto` there."""
        self._pos = upto
        if octets:
            if self._line_start and octets[:1] == b".":
                octets = octets[1:]
            if b"\n." in octets:
                octets = octets.replace(b"\r\n.", b"\r\n") if self.crlf else octets.replace(b"\n.", b"\n")
            self._line_start = not self.crlf and octets[-1:] == b"\n"
        if last:
            self.mode = Mode.COMMANDS
        return Data(octets, last)

    def _data(self) -> Data | None:
        data = self._in[self._pos :] if self._pos else self._in
        size = len(data)
        if self.crlf is None:
            end = data.find(b"\n")
            if end < 0 and size < MAX_FIRST_LINE:
                return None
            self.crlf = end < 0 or data[end - 1 : end] == b"\r"
            if data[: 3 if self.crlf else 2] == (b".\r\n" if self.crlf else b".\n"):
                self._line_start = False
                return self._take(b"", self._pos + (3 if self.crlf else 2), True)
        if self.crlf:
            end = data.find(_STRICT_END)
            if end >= 0:
                return self._take(data[: end + 2], self._pos + end + 5, True)
            keep = next((n for n in (4, 3, 2, 1) if data.endswith(_STRICT_END[:n])), 0)
        else:
            match = _LAX_END.search(data)
            if match is not None:
                return self._take(data[: match.start() + 1], self._pos + match.end(), True)
            keep = next((n for n, tail in ((3, b"\n.\r"), (2, b"\n."), (1, b"\n")) if data.endswith(tail)), 0)
        if size == keep:
            return None
        return self._take(data[: size - keep], self._pos + size - keep, False)

    def _chunk(self) -> Data | None:
        have = len(self._in) - self._pos
        if have == 0 and self._left:
            return None
        count = min(have, self._left)
        octets = self._in[self._pos : self._pos + count]
        self._pos += count
        self._left -= count
        if self._left == 0:
            self.mode = Mode.COMMANDS
            return Data(octets, True)
        return Data(octets, False)

    # What comes next.

    def begin_commands(self) -> None:
        """Commands follow."""
        self.mode = Mode.COMMANDS

    def begin_lines(self) -> None:
        """Lines of a SASL exchange follow."""
        self.mode = Mode.LINES

    def begin_data(self) -> None:
        """A message with dot-stuffing follows."""
        self.mode = Mode.DATA
        self.crlf = None
        self._line_start = True

    def begin_chunk(self, size: int) -> None:
        """Exactly `size` octets of a message follow. # RFC 3030 2"""
        self.mode = Mode.CHUNK
        self._left = size

    # Transitions.

    def in_order(self, verb: str) -> bool:
        """Whether the command may come at this stage."""
        return verb in TRANSITIONS[self.stage]

    def succeeded(self, verb: str) -> None:
        """The command was accepted: make the transition."""
        self.stage = TRANSITIONS[self.stage].get(verb, self.stage)

    def reset(self) -> None:
        """The transaction is over (accepted, refused or abandoned). # RFC 5321 4.1.1.5"""
        if self.stage in (Stage.MAIL, Stage.RCPT, Stage.CHUNKS):
            self.stage = Stage.GREETED

    def close(self) -> None:
        """No more events."""
        self.stage = Stage.CLOSED
        self.drop_input()
