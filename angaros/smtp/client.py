"""The client's side of SMTP and LMTP over a `Stream`: commands out, replies in, each matched with its command.

Laws:
- No policy: who may be asked what, stands in `transports/smtp*` and in callout verification.
- Whatever goes wrong is a `ClientFailure`; `str()` is Exim's text for the log.
- A command's label (`MAIL FROM:<a@b> SIZE=100`, `initial connection`, `end of data`) is what error texts name; a command sent
  together with others is named `pipelined ...`.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.model.errors import Why
from angaros.model.text import Tainted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from angaros.model.interfaces import Stream
    from angaros.smtp.trace import ClientTrace

REPLY_LIMIT = 4096
"""Octets of one reply that are taken. RFC 5321 4.5.3.1.5 allows 512 a line."""
LINES_LIMIT = 500
BATCH_LIMIT = 4096
"""Octets of commands sent before their replies are read: more could fill both sides' buffers. RFC 2920 3.1."""

TIMEOUT, CLOSED, REPLY, MALFORMED, IO = "timeout", "closed", "reply", "malformed", "io"


@dataclass(frozen=True, slots=True)
class ClientReply:
    """A reply: the code, and the lines as they came (with their codes), joined by newlines. Tainted."""

    code: int
    text: str

    @property
    def ok(self) -> bool:
        """2yz."""
        return 200 <= self.code < 300

    @property
    def permanent(self) -> bool:
        """5yz."""
        return self.code // 100 == 5

    def lines(self) -> list[str]:
        """The lines without codes."""
        return [line[4:] for line in self.text.split("\n")]


class ClientFailure(Exception):
    """The session, or the transaction, cannot go on. `kind` is one of the constants above."""

    def __init__(self, kind: str, text: str, *, number: int = 0, label: str = "", reply: ClientReply | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.errno = number
        """errno, or one of `model.errors.Why`."""
        self.label = label
        self.reply = reply

    @property
    def permanent(self) -> bool:
        """A 5yz reply."""
        return self.reply is not None and self.reply.permanent


class EarlyFailure(ClientFailure):
    """The greeting or the answer to EHLO, read after commands had been sent early, was an error or did not come."""

    @property
    def again(self) -> bool:
        """It may be for our haste: worth another try without it."""
        return self.reply is None or self.permanent


@dataclass(slots=True)
class Timeouts:
    """Seconds; 0 waits for ever."""

    command: float = 300
    data: float = 300
    final: float = 600


class SmtpClient:
    """One conversation. `name` is `SMTP` or `LMTP` in error texts."""

    def __init__(self, stream: Stream, timeouts: Timeouts, *, lmtp_text: bool = False, trace: ClientTrace | None = None) -> None:
        self.stream = stream
        self.timeouts = timeouts
        self.remote = "LMTP error" if lmtp_text else "SMTP error from remote mail server"
        self.protocol = "LMTP" if lmtp_text else "SMTP"
        self.features: dict[str, str] = {}
        """What the server offers after EHLO: keyword -> parameters."""
        self.greeting = ClientReply(0, "")
        self.hello_reply = ClientReply(0, "")
        self.esmtp = False
        self.label = "initial connection"
        """What the last command is called in error texts."""
        self.written = 0
        """Octets of message data sent in this transaction."""
        self.trace = trace
        """Shows the conversation."""
        self.on_early: Callable[[ClientReply], None] | None = None
        """Called with a good greeting or answer to EHLO that came after further commands had been sent."""
        self._early: list[str] = []
        """Replies to come before those of the commands: `greeting`, `hello`."""
        self.sent_ahead = b""
        """How the first batch begins, if that was written when the connection was made."""
        self._queued: list[bytes] = []
        self._queued_size = 0

    # Early pipelining.

    def expect_greeting(self) -> None:
        """The greeting will be read later."""
        self._early.append("greeting")

    def hello_early(self, name: str, features: dict[str, str]) -> None:
        """Queue EHLO and believe in `features` until its answer is read."""
        self.queue(f"EHLO {name}")
        self._early.append("hello")
        self.features, self.esmtp = features, True

    def reap_early(self) -> None:
        """Read greeting and answer to EHLO, if they are due. Raises `EarlyFailure`."""
        while self._early:
            what = self._early.pop(0)
            try:
                reply = self._read_reply(None)
            except ClientFailure as failure:
                self._early.clear()
                raise EarlyFailure(failure.kind, failure.text, number=failure.errno, label=failure.label) from None
            if not reply.ok:
                self._early.clear()
                raise EarlyFailure(REPLY, self.reply_failure(reply).text, label=self.label, reply=reply)
            if what == "greeting":
                self.greeting = reply
            else:
                self.hello_reply, self.features = reply, parse_features(reply)
            if self.on_early is not None:
                self.on_early(reply)

    # Sending.

    def queue(self, line: str, label: str = "", shown: str = "") -> None:
        """Put a command into the batch. `shown`: what traces have instead, where the line is a secret."""
        data = line.encode("latin-1") + b"\r\n"
        self._queued.append(data)
        self._queued_size += len(data)
        self.label = label or line
        if self.trace is not None:
            self.trace.queued(shown or line)

    def flush(self, *, more: bool = False) -> None:
        """Send the batch. `more`: traces show that something goes with it."""
        if not self._queued:
            return
        data = self._batch()
        if self.trace is not None:
            self.trace.flushed(len(data), more=more)
        self._write(data, self.timeouts.command)

    @property
    def batch_full(self) -> bool:
        """Whether the batch should be sent and its replies read now."""
        return self._queued_size >= BATCH_LIMIT

    def _batch(self) -> bytes:
        data = b"".join(self._queued).removeprefix(self.sent_ahead)
        self.sent_ahead = b""
        self._queued.clear()
        self._queued_size = 0
        return data

    def take_queued(self) -> bytes:
        """The batch, for one write together with message data."""
        data = self._batch()
        if self.trace is not None:
            self.trace.flushed(len(data), more=True)
        return data

    def _write(self, data: bytes, timeout: float) -> None:
        try:
            self.stream.write(data, timeout or None)
        except TimeoutError:
            raise self.timeout_failure() from None
        except OSError as error:
            raise self._io_failure(error) from None

    def write_data(self, chunks: Iterable[bytes]) -> None:
        """Message data, as it goes over the wire."""
        for chunk in chunks:
            self._write(chunk, self.timeouts.data)
            self.written += len(chunk)

    # Receiving.

    def read_reply(self, timeout: float | None = None) -> ClientReply:
        """The next reply, of whatever code. Raises `ClientFailure`."""
        if self._early:
            self.reap_early()
        return self._read_reply(timeout)

    def _read_reply(self, timeout: float | None) -> ClientReply:
        wait = self.timeouts.command if timeout is None else timeout
        lines: list[str] = []
        size = 0
        while True:
            raw = self._read_line(wait)
            if not raw.endswith(b"\n"):
                raise self._malformed(lines, raw)
            line = raw.rstrip(b"\r\n").decode("latin-1")
            if self.trace is not None:
                self.trace.reply_line(line, first=not lines)
            size += len(line) + 1
            if size > REPLY_LIMIT or len(lines) > LINES_LIMIT or not _well_formed(line, lines):
                raise self._malformed(lines, raw)
            lines.append(line)
            if line[3:4] != "-":
                if self.trace is not None:
                    self.trace.replied(line[:3], several=len(lines) > 1)
                return ClientReply(int(line[:3]), Tainted("\n".join(lines)))

    def _read_line(self, wait: float) -> bytes:
        """A line, or as much of it as is allowed."""
        try:
            raw = self.stream.readline(REPLY_LIMIT, wait or None)
        except TimeoutError:
            raise self._unread(self.timeout_failure(), os.strerror(errno.ETIMEDOUT)) from None
        except ConnectionResetError:
            raise self._unread(self.closed_failure(), "closed") from None
        except OSError as error:
            raise self._unread(self._io_failure(error), error.strerror or "closed") from None
        if not raw.endswith(b"\n") and len(raw) < REPLY_LIMIT:
            raise self._unread(self.closed_failure(), "closed")
        return raw

    def _unread(self, failure: ClientFailure, why: str) -> ClientFailure:
        if self.trace is not None:
            self.trace.broken(why)
        return failure

    def command(self, line: str, label: str = "", timeout: float | None = None, *, shown: str = "") -> ClientReply:
        """Send one command (after what is in the batch) and read its reply. `shown`: see `queue`."""
        self.queue(line, label, shown)
        self.flush()
        return self.read_reply(timeout)

    def expect(self, reply: ClientReply, digit: int) -> ClientReply:
        """The reply, if its code begins with `digit`; else a failure that names the last command."""
        if reply.code // 100 != digit:
            raise self.reply_failure(reply)
        return reply

    # Failures.

    def reply_failure(self, reply: ClientReply, label: str = "", number: int = 0) -> ClientFailure:
        """For an error reply."""
        label = label or self.label
        text = f"{self.remote} after {label}: {reply.text}"
        return ClientFailure(REPLY, Tainted(text), number=number, label=label, reply=reply)

    def timeout_failure(self) -> ClientFailure:
        """For a time-out."""
        text = f"{self.protocol} timeout after {self.label}"
        if self.written and self.label.endswith(("end of data", "sending data block")):
            text += f" ({self.written} bytes written)"
        return ClientFailure(TIMEOUT, text, number=errno.ETIMEDOUT, label=self.label)

    def closed_failure(self) -> ClientFailure:
        """For a connection that the server closed."""
        if self.protocol == "LMTP":
            text = f"LMTP connection closed after {self.label}"
        else:
            text = f"Remote host closed connection in response to {self.label}"
        if self.label.startswith("HELO ") and self.hello_reply.code >= 400:
            text += f" (EHLO response was: {self.hello_reply.text})"
        return ClientFailure(CLOSED, text, number=Why.SMTP_CLOSED, label=self.label)

    def _malformed(self, lines: list[str], raw: bytes) -> ClientFailure:
        shown = "\n".join([*lines, raw.rstrip(b"\r\n").decode("latin-1")])[:REPLY_LIMIT]
        text = f"Malformed {self.protocol} reply in response to {self.label}: {shown}"
        return ClientFailure(MALFORMED, Tainted(text), number=Why.SMTP_FORMAT, label=self.label)

    def _io_failure(self, error: OSError) -> ClientFailure:
        if isinstance(error, BrokenPipeError | ConnectionResetError):
            return self.closed_failure()
        number = error.errno or errno.EIO
        return ClientFailure(IO, f"{self.protocol} write error after {self.label}", number=number, label=self.label)

    # The beginning and the end.

    def greet(self, label: str = "initial connection") -> ClientReply:
        """Read the greeting. A failure when it is not 2yz."""
        self.label = label
        self.greeting = self.read_reply()
        return self.expect(self.greeting, 2)

    def hello(self, name: str, *, lmtp: bool = False, avoid_esmtp: bool = False) -> ClientReply:
        """LHLO, or EHLO and, when that is refused, HELO. A failure when that is too. RFC 5321 4.1.1.1, RFC 2033 4.1."""
        self.features = {}
        self.esmtp = False
        if lmtp:
            self.hello_reply = self.expect(self.command(f"LHLO {name}"), 2)
        else:
            if not avoid_esmtp:
                self.hello_reply = self.command(f"EHLO {name}")
                self.esmtp = self.hello_reply.ok
            if not self.esmtp:
                reply = self.command(f"HELO {name}")
                self.hello_reply = self.expect(reply, 2)
                return reply
        self.esmtp = True
        self.features = parse_features(self.hello_reply)
        return self.hello_reply

    def quit(self, *, wait: float = 0, half_close: bool = False) -> None:
        """Say QUIT; its reply does not matter, but may be waited for so many seconds, with our side of the connection closed."""
        try:
            self.queue("QUIT")
            self.flush(more=half_close)
            if half_close:
                if self.trace is not None:
                    self.trace.line("  SMTP(shutdown)>>")
                with suppress(OSError):
                    self.stream.shutdown_write()
            if wait:
                self.read_reply(wait)
        except ClientFailure:
            pass

    def read_parting(self, wait: float) -> None:
        """Read the reply to a QUIT that went out before; what it is does not matter."""
        try:
            self.read_reply(wait)
        except ClientFailure:
            pass

    def reset(self) -> bool:
        """RSET; False when the server does not take it."""
        return self.command("RSET").ok


def _well_formed(line: str, before: list[str]) -> bool:
    """Three digits, then a hyphen, white space or nothing; the same code as in the lines before. RFC 5321 4.2."""
    if len(line) < 3 or not line[:3].isdigit() or not line[:3].isascii():
        return False
    if len(line) > 3 and line[3] not in "- \t":
        return False
    return not before or before[0][:3] == line[:3]


def parse_features(reply: ClientReply) -> dict[str, str]:
    """Keywords (upper case) and parameters of an EHLO reply; `AUTH=` of old servers counts as AUTH. RFC 5321 4.1.1.1."""
    features: dict[str, str] = {}
    for line in reply.lines()[1:]:
        keyword, _, parameters = str(line).strip().partition(" ")
        keyword = keyword.upper()
        if keyword.startswith("AUTH="):
            parameters = f"{keyword[5:]} {parameters}"
            keyword = "AUTH"
        if keyword == "AUTH" and features.get("AUTH"):
            parameters = f"{features['AUTH']} {parameters}"
        if keyword:
            features[keyword] = parameters.strip()
    return features


def strerror(number: int) -> str:
    """The system's words for an errno; "" for other numbers."""
    return os.strerror(number) if number > 0 else ""
