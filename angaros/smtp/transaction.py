"""One message over an `SmtpClient`: MAIL, RCPT, data, and the replies, pipelined or not; DATA or BDAT; LMTP and PRDR.

Laws:
- After `run`, or after its `ClientFailure`, each recipient has its outcome; `accepted` ones share the fate of the message.
- With PIPELINING everything up to the data (with BDAT: and the first block) goes out in one write. RFC 2920, RFC 3030.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from angaros.model.text import Tainted
from angaros.smtp.client import CLOSED, TIMEOUT, ClientFailure, ClientReply, SmtpClient

BLOCK = 8192
"""Octets: a message up to this size goes as one block; headers longer than it are cut into blocks."""
WRITE = 65536
"""Octets given to the stream at once."""

RCPT_BATCH = 101
"""RCPT commands sent before replies are read."""
QUIT = b"QUIT\r\n"

PENDING, ACCEPTED, DEFERRED, FAILED, DONE = "pending", "accepted", "deferred", "failed", "done"


class DataSource(Protocol):
    """The message as it goes over the wire: lines end in CRLF, no dots doubled."""

    def header(self) -> bytes:
        """Header lines and the empty line."""
        ...

    def body(self) -> Iterable[bytes]:
        """The rest, in pieces that end anywhere."""
        ...

    def body_size(self) -> int | None:
        """Octets of the rest; None when that is not known before (then BDAT is not used)."""
        ...


@dataclass(slots=True)
class RcptOutcome:
    """What the server said about one recipient."""

    status: str = PENDING
    """`pending` (nothing yet), `accepted` (RCPT), `deferred`, `failed`, `done` (delivered)."""
    reply: ClientReply | None = None
    stage: str = ""
    """Where it was deferred or failed: `rcpt` or `data` (LMTP, PRDR)."""


@dataclass(slots=True)
class Envelope:
    """The commands."""

    mail: str
    """`MAIL FROM:<a@b> SIZE=...`."""
    recipients: list[tuple[str, str]]
    """(`RCPT TO:<x@y> NOTIFY=...`, `RCPT TO:<x@y>`): the command, and its label in error texts."""


@dataclass(slots=True)
class Features:
    """What is used of what the server offers."""

    pipelining: bool = False
    chunking: bool = False
    prdr: bool = False
    lmtp: bool = False
    all_or_nothing: bool = False
    """When one recipient is refused nothing is sent (`mua_wrapper`)."""


@dataclass(slots=True)
class Transaction:
    """One message on its way. `stage` says where it is: `mail`, `rcpt`, `data` (the DATA command), `block`, `end`."""

    client: SmtpClient
    envelope: Envelope
    source: DataSource
    features: Features
    outcomes: list[RcptOutcome] = field(default_factory=list)
    opened: bool = False
    """MAIL has been said and all recipients are accepted: begin with the data."""
    stage: str = "mail"
    failed_rcpt: int = -1
    """The recipient whose RCPT had no reply in time."""
    prdr_used: bool = False
    """The server gave a reply for each recipient."""
    clean: bool = False
    """The server is ready for the next message (perhaps after RSET): all replies have been read."""
    used_again: Callable[[], bool] | None = None
    """Asked when the data goes out: whether another message follows on this connection. If not, and the server does PIPELINING,
    QUIT goes out with the data. # RFC 2920 3.1"""
    quit_sent: bool = False
    closed_early: bool = False
    """The server had answered all recipients, took none, and closed the connection before its reply to the data."""
    _pending: list[int] = field(default_factory=list)
    """Commands without reply: -1 is MAIL, others are recipients."""

    def run(self) -> ClientReply | None:
        """The reply to the data; None when no recipient was accepted. Raises `ClientFailure`."""
        self.outcomes = [RcptOutcome() for _ in self.envelope.recipients]
        self.client.written = 0
        chunking = self.features.chunking and self.source.body_size() is not None
        if self.opened:
            for outcome in self.outcomes:
                outcome.status = ACCEPTED
            self.stage = "data"
            return self._bdat() if chunking else self._data()
        self._pending = [-1]
        self._send_command(self.envelope.mail)
        for number, (command, _) in enumerate(self.envelope.recipients):
            self._pending.append(number)
            self._send_command(command)
        if self.features.all_or_nothing:
            self._insist_on_all()
        if not self.features.pipelining and not self._any_accepted():
            self.clean = True
            return None
        return self._bdat() if chunking else self._data()

    def label(self, outcome: RcptOutcome) -> str:
        """How error texts name a recipient's command."""
        number = next(number for number, one in enumerate(self.outcomes) if one is outcome)
        return self.envelope.recipients[number][1]

    def _insist_on_all(self) -> None:
        """A refused recipient is the failure of all. Exim spec 52"""
        self.client.flush()
        self._sync()
        for number, outcome in enumerate(self.outcomes):
            if outcome.status != ACCEPTED and outcome.reply is not None:
                self.stage = "mail"
                self.client.label = self.envelope.recipients[number][1]
                raise self.client.reply_failure(outcome.reply)

    def _send_command(self, command: str) -> None:
        client = self.client
        if self.features.pipelining:
            client.queue(command, f"pipelined {command}")
            recipients = len(self._pending) - (self._pending[0] < 0)
            if client.batch_full or recipients >= RCPT_BATCH:
                client.flush()
                self._sync()
        else:
            client.queue(command)
            client.flush()
            self._sync()

    # Replies to the envelope.

    def _sync(self, label: str = "") -> None:
        """Read the replies to the commands that are out. `label` names the batch when MAIL fails."""
        prefix = "pipelined " if self.features.pipelining else ""
        self.client.reap_early()
        while self._pending:
            number = self._pending[0]
            if number < 0:
                self.stage = "mail"
                self.client.label = label or prefix + self.envelope.mail
            else:
                self.stage = "rcpt"
                self.failed_rcpt = number
                self.client.label = prefix + self.envelope.recipients[number][0]
            reply = self._envelope_reply(number)
            del self._pending[0]
            if number < 0:
                if not reply.ok:
                    raise self.client.reply_failure(reply)
            else:
                self._judge(self.outcomes[number], reply, "rcpt")
        self.failed_rcpt = -1

    def _envelope_reply(self, number: int) -> ClientReply:
        """A time-out of a recipient is worded without `pipelined`, as in Exim's logs."""
        try:
            return self.client.read_reply()
        except ClientFailure as failure:
            if number >= 0 and failure.kind == TIMEOUT:
                failure.text = failure.text.replace("after pipelined ", "after ", 1)
            raise

    @staticmethod
    def _judge(outcome: RcptOutcome, reply: ClientReply, stage: str) -> None:
        outcome.reply = reply
        if reply.ok:
            outcome.status = ACCEPTED if stage == "rcpt" else DONE
        else:
            outcome.status = FAILED if reply.permanent else DEFERRED
            outcome.stage = stage

    def _any_accepted(self) -> bool:
        return any(outcome.status == ACCEPTED for outcome in self.outcomes)

    # DATA.

    def _data(self) -> ClientReply | None:
        client = self.client
        label = "pipelined DATA" if self._pending else "DATA"
        client.queue("DATA", label)
        client.flush()
        self._sync()
        self.stage = "data"
        client.label = label
        if not self._any_accepted():
            self._nobody()
            return None
        client.expect(client.read_reply(), 3)
        self.stage = "block"
        client.label = "sending data block"
        if client.trace is not None:
            client.trace.writing()
        parting = self._parting()
        client.write_data(dotted(chain((self.source.header(),), self.source.body()), parting))
        if client.trace is not None:
            client.trace.dot(more=self.quit_sent)
        self._parted(parting)
        self.stage = "end"
        client.label = "end of data"
        return self._finish()

    def _nobody(self) -> None:
        """Every recipient was refused; a server that wants data all the same gets an empty message. RFC 2920 3.1. What goes
        wrong from here on changes nothing for the recipients."""
        try:
            if self.client.read_reply().code // 100 == 3:
                self.client.command(".", "end of data")
            self.clean = True
        except ClientFailure:
            pass

    # BDAT.

    def _bdat(self) -> ClientReply | None:
        header = self.source.header()
        size = self.source.body_size() or 0
        while len(header) >= BLOCK:
            if not self._block(header[: BLOCK - 1], last=False):
                return None
            header = header[BLOCK - 1 :]
        if len(header) + size > BLOCK:
            if header and not self._block(header, last=False):
                return None
            header = b""
        return self._last_block(header, size)

    def _block(self, data: bytes, *, last: bool) -> bool:
        """A block that is not the last; False when nobody is left to send to."""
        client = self.client
        together = bool(self._pending)
        label = "pipelined sending data block" if together else "sending data block"
        client.queue(f"BDAT {len(data)}", label)
        batch = client.take_queued()
        client.write_data([batch + data])
        client.written -= len(batch)
        self._sync(label)
        self.stage = "block"
        client.label = label
        if not self._any_accepted():
            self._read_for_nobody()
            return False
        client.expect(client.read_reply(), 2)
        return True

    def _read_for_nobody(self) -> None:
        """The reply to a block that no recipient was accepted for; some servers close the connection instead."""
        try:
            self.client.read_reply()
            self.clean = True
        except ClientFailure as failure:
            if failure.kind != CLOSED:
                raise
            self.closed_early = True

    def _last_block(self, header: bytes, size: int) -> ClientReply | None:
        client = self.client
        together = bool(self._pending)
        label = "pipelined end of data" if together else "end of data"
        client.queue(f"BDAT {len(header) + size} LAST", label)
        batch = client.take_queued()
        sent = 0
        client.label = "sending data block"
        parting = self._parting()
        for chunk in gathered(chain((batch + header,), self.source.body(), (parting,))):
            client.write_data([chunk])
            sent += len(chunk)
        sent -= len(parting)
        client.written -= len(batch)
        self._parted(parting)
        if sent != len(batch) + len(header) + size:  # the peer waits for more, or takes the rest for commands: end it
            raise ClientFailure("io", "message size changed during delivery", label=label)
        self._sync(label)
        self.stage = "end"
        client.label = label
        if not self._any_accepted():
            self._read_for_nobody()
            return None
        return self._finish(dot=False)

    # The end.

    def _parting(self) -> bytes:
        """QUIT, when it may go out with the data and nothing else is to follow. LMTP, PRDR: there several replies come first."""
        features = self.features
        if not features.pipelining or features.lmtp or features.prdr or self.used_again is None or self.used_again():
            return b""
        self.quit_sent = True
        return QUIT

    def _parted(self, parting: bytes) -> None:
        if parting:
            client = self.client
            client.written -= len(parting)
            if client.trace is not None:
                client.trace.queued("QUIT")
                client.trace.flushed(len(parting), more=client.stream.tls is None)

    def _finish(self, *, dot: bool = True) -> ClientReply | None:
        client = self.client
        final = client.timeouts.final
        if self.features.lmtp:
            for outcome in self.outcomes:
                if outcome.status == ACCEPTED:
                    self._judge(outcome, client.read_reply(final), "data")
            self.clean = True
            return None
        reply = client.read_reply(final)
        if self.features.prdr and reply.code == 353:
            return self._per_recipient(final)
        client.expect(reply, 2)
        self._all_done(reply)
        return reply

    def _all_done(self, reply: ClientReply) -> None:
        for outcome in self.outcomes:
            if outcome.status == ACCEPTED:
                outcome.status, outcome.reply = DONE, reply
        self.clean = True

    def _per_recipient(self, timeout: float) -> ClientReply:
        """PRDR: a reply for each accepted recipient, then one for the message."""
        client = self.client
        self.prdr_used = True
        waiting = [outcome for outcome in self.outcomes if outcome.status == ACCEPTED]
        replies = [client.read_reply(timeout) for _ in waiting]
        overall = client.expect(client.read_reply(timeout), 2)
        for outcome, reply in zip(waiting, replies, strict=True):
            self._judge(outcome, reply, "data")
            if reply.ok:  # both, as Exim's log shows them
                outcome.reply = ClientReply(reply.code, Tainted(f"{reply.text}\\n{overall.text}"))
        self.clean = True
        return overall


def gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets in pieces of a good size for writing."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= WRITE:
            yield b"".join(parts) if len(parts) > 1 else chunk
            parts, size = [], 0
    if size:
        yield b"".join(parts)


_ENDS = re.compile(rb"\r\n|\r|\n")


def clean_ends(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same with CRLF for a bare CR or LF: what came by BDAT as it was may not look like the end of data to anybody
    (CVE-2023-51764 in kind)."""
    held = b""
    for chunk in chunks:
        if held:
            chunk, held = held + chunk, b""
        if chunk.endswith(b"\r"):
            chunk, held = chunk[:-1], b"\r"
        ends = chunk.count(b"\r\n")
        clean = chunk.count(b"\n") == ends and chunk.count(b"\r") == ends
        yield chunk if clean else _ENDS.sub(b"\r\n", chunk)
    if held:
        yield b"\r\n"


def dotted(chunks: Iterable[bytes], after: bytes = b"") -> Iterator[bytes]:
    """Data for DATA: dots at line starts doubled, a CRLF at the end if there is none, and the final dot (RFC 5321 4.5.2); then
    `after`, in one piece with it."""
    at_start, before = True, b""
    for chunk in gathered(clean_ends(chunks)):
        if before:
            yield before
        before = chunk.replace(b"\n.", b"\n..") if b"\n." in chunk else chunk
        if at_start and chunk.startswith(b"."):
            before = b"." + before
        at_start = chunk.endswith(b"\n")
    yield before + (b".\r\n" if at_start else b"\r\n.\r\n") + after
