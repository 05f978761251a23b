"""Taking a message, from its first octet to its last. Shared by SMTP (DATA, BDAT) and local submission.

`Reception` gets octets with `feed`, then `end`; its owner asks `problem` and goes on with `accept.finish`.

Laws:
- The body goes to the spool as it arrives; memory holds the header and one chunk.
- After a problem the rest of the input is thrown away, so that the owner can answer when the peer is done talking.
- `abandon` may be called at any time and leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from angaros.inbound.fixups import Fixups, add_received
from angaros.inbound.options import Submission
from angaros.inbound.wire import BDAT_HEADER, HEADER, LOCAL_HEADER, BodyDecoder, HeaderProblem, HeaderReader
from angaros.mime.headers import header_type
from angaros.model.message import Header, Message
from angaros.model.text import Tainted

if TYPE_CHECKING:
    from angaros.model.interfaces import Services
    from angaros.model.scope import Scope


@dataclass(slots=True)
class Problem:
    """Why a message cannot be taken."""

    kind: str
    """`header-long`, `header-line`, `header-crlf`, `size`, `spool`."""
    code: int
    text: str
    """For the peer or the submitting user."""
    temporary: bool = False
    log: str = ""
    """For the log; "" when the owner writes its own line."""


@dataclass(slots=True)
class How:
    """How the message comes in."""

    smtp: bool = True
    bdat: bool = False
    size_limit: int = 0
    accepts_from_line: bool = False
    """A UUCP `From ` line may stand first."""
    submission: Submission = field(default_factory=Submission)
    dry_run: bool = False
    """-bh: nothing stays in the spool."""
    wireformat: bool = False
    """`spool_wireformat` and BDAT."""
    before_body: Any = None
    """Callable(Reception), called when the header is complete, before it is put right (recipients of -t)."""


class Reception:
    """One message on its way in."""

    def __init__(self, scope: Scope, how: How) -> None:
        assert scope.message is not None and scope.session is not None
        self.services: Services = scope.services
        self.scope = scope
        self.message: Message = scope.message
        self.how = how
        main = self.services.config.main
        kind = BDAT_HEADER if how.bdat else HEADER if how.smtp else LOCAL_HEADER
        self.reader = HeaderReader(kind, main.header_maxsize, main.header_line_maxsize)
        if how.accepts_from_line:
            self.reader.take_from_line()
        self.decoder: BodyDecoder | None = None
        self.writer: Any = None
        self.fixups: Fixups | None = None
        self.problem: Problem | None = None
        self.accepted: list[str] = []
        """Recipients before policy discarded them all, for the log."""
        self.received_header: Header | None = None
        self.read = 0
        """Octets of the body so far, with LF line ends (header included), for the size limit."""
        self.taps: list[Any] = []
        """Objects with `header(lines, regular=)`, `body(octets)`, `finish(scope)`: DKIM and company watch the message pass."""
        self._listeners: list[Any] = []
        """Those of them that want the body."""
        self.lines = 0
        """Lines of the whole message as it came (an empty one after the header counts when there was one)."""
        self.message.received_time = self.services.clock.now()

    def where(self, tail: bytes = b"") -> str:
        """How far reception has come, as Exim says it when the input breaks off; `tail`: octets that were held back."""
        if self.decoder is not None:
            return ""
        seen = self.reader.unfinished + tail
        complete = seen.endswith(b"\n") if seen else bool(self.reader.lines)
        return " (after header)" if complete else " (header)"

    # Input.

    def feed(self, octets: bytes) -> None:
        """The next octets of the message."""
        if self.problem is not None or not octets:
            return
        try:
            self._feed(octets)
        except HeaderProblem as problem:
            self._header_problem(problem.args[0])
        except OSError as error:
            self._spool_problem(error)

    def end(self) -> None:
        """All has come."""
        if self.problem is not None:
            return
        try:
            if self.decoder is None:
                self._header_complete(self.reader.end())
            assert self.decoder is not None
            self._body(b"", last=True)
            if (not self.how.smtp or self.how.bdat) and not self.how.wireformat:
                self._last_newline()
            if self.writer is not None:
                self.writer.flush()
        except HeaderProblem as problem:
            self._header_problem(problem.args[0])
        except OSError as error:
            self._spool_problem(error)
        if self.problem is None:
            self._describe()

    def _feed(self, octets: bytes) -> None:
        if self.decoder is None:
            rest = self.reader.feed(octets)
            if rest is None:
                return
            self._header_complete(rest)
        else:
            self._body(octets)

    def _body(self, octets: bytes, *, last: bool = False) -> None:
        """Octets of the body to the spool, and with CRLF line ends to who listens."""
        decoder = self.decoder
        assert decoder is not None
        if last:
            decoded = decoder.end()
        elif self.how.wireformat:
            decoded = octets
        else:
            decoded = decoder.feed(octets)
        self._write(decoded)
        if not self._listeners or not decoded:
            return
        if not self.how.wireformat:
            decoded = decoder.wire or decoded.replace(b"\n", b"\r\n")
        for listener in self._listeners:
            listener.body(decoded)

    def _write(self, octets: bytes) -> None:
        if not octets or self.problem is not None:
            return
        self.read += len(octets)
        limit = self.how.size_limit
        if 0 < limit < self.read:
            self.read = limit + 1
            self.problem = Problem("size", 552, "Message size exceeds maximum permitted")
            return
        self.writer.write(octets)

    def _last_newline(self) -> None:
        """A message that does not end in a newline (local, or by BDAT) gets one."""
        size = self.writer.size
        if not size:
            return
        self.writer.flush()
        from os import pread

        if pread(self.writer.lock.fd, 1, self.writer.offset + size - 1) != b"\n":
            self._write(b"\n")

    # The header.

    def _header_complete(self, rest: bytes) -> None:
        reader = self.reader
        crlf = bool(reader.crlf)
        self.decoder = BodyDecoder(strict=self.how.smtp and not self.how.bdat and crlf)
        message = self.message
        message.headers = [Header(Tainted(line), header_type(line.partition(":")[0].rstrip(" \t"))) for line in reader.lines]
        self.read = sum(len(line) for line in reader.lines) + 1
        self._listeners = [tap for tap in self.taps if tap.header(reader.lines, regular=reader.regular)]
        self._open_spool()
        if self.how.before_body is not None:
            self.how.before_body(self)
            if self.problem is not None:
                return
        self.put_right()
        if self.how.wireformat:
            message.wireformat = True
        if rest:
            self._body(rest)

    def _open_spool(self) -> None:
        """S1: the id, and the -D file."""
        store = self.services.store
        message = self.message
        message.id = store.new_id(message.received_time)
        if self.how.dry_run:
            self.writer = _outside_the_spool(message.id)
            return
        self.writer = store.create(message.id, message.queue_name, wireformat=self.how.wireformat)

    def put_right(self) -> None:
        """Fix-ups, qualification, rewriting, Received:. Exim spec 48"""
        fixups = self.fixups = Fixups(self.scope, self.how.submission, smtp=self.how.smtp)
        fixups.scan()
        fixups.add_message_id()
        rewriting = bool(self.services.config.rewrite_rules)
        if rewriting:
            self._rewrite_recipients()
        fixups.add_from()
        fixups.add_sender()
        if rewriting:
            self._rewrite_sender()
        fixups.rewrite()
        fixups.add_date()
        if self.services.config.main.mt_priority_header_hosts is not None:
            from angaros.inbound.extensions import take_priority_header

            take_priority_header(self)
        self.received_header = add_received(self.scope, self.message.received_time)
        if self.received_header is not None:
            self.message.headers.insert(0, self.received_header)

    def _rewrite_recipients(self) -> None:
        from angaros.rewriting import rewrite_address

        for recipient in self.message.recipients:
            recipient.address = rewrite_address(recipient.address, self.scope, "T", add_header=True)

    def _rewrite_sender(self) -> None:
        from angaros.rewriting import rewrite_address

        message = self.message
        if message.sender_address and message.effects.sender_unrewritten is None:
            message.sender_address = rewrite_address(message.sender_address, self.scope, "F", add_header=True)

    # Problems.

    def _header_problem(self, what: str) -> None:
        main = self.services.config.main
        if what == "long":
            self.problem = Problem(
                "header-long",
                552,
                "Message header is ridiculously long",
                log=f"ridiculously long message header received from %s (more than {main.header_maxsize} characters): "
                "message abandoned",
            )
        elif what == "line":
            self.problem = Problem(
                "header-line",
                552,
                "A message header line is too long",
                log=f"overlong message header line received from %s (more than {main.header_line_maxsize} characters): "
                "message abandoned",
            )
        else:
            self.problem = Problem("header-crlf", 552, "Message header not CRLF terminated")

    def _spool_problem(self, error: OSError) -> None:
        text = f"{error.strerror or error}"
        what = "create" if self.writer is None else "write"
        self.problem = Problem(
            "spool", 451, f"Error while {'creating' if what == 'create' else 'writing'} spool file", temporary=True
        )
        self.services.log.write(
            f"spool file {what} error while receiving message: {text}",
            message_id=self.message.id,
            panic=True,
        )
        self.abandon()

    # The end.

    def _describe(self) -> None:
        """What policy may ask about the body (`$message_body`, `$body_linecount`, ...)."""
        message, writer = self.message, self.writer
        message.body_path = writer.path
        message.body_offset = writer.offset
        message.body_size = writer.size
        message.body_linecount = writer.linecount
        message.body_zerocount = writer.zerocount
        longest = max((len(part) for line in self.reader.lines for part in line.split("\n")), default=0)
        message.max_received_linelength = max(longest, len(self.reader.from_line.rstrip("\n")), writer.max_line)
        lines = sum(line.count("\n") for line in self.reader.lines)
        self.lines = lines + writer.linecount + (self.reader.blank_line is True)
        message.effects.caches["received_linecount"] = lines + writer.linecount + 1
        message.message_size = writer.size + sum(map(len, self.reader.lines)) + (self.reader.blank_line is True)

    def abandon(self) -> None:
        """Give it up: nothing stays."""
        if self.writer is not None:
            self.writer.abort()
            self.writer = None


def _outside_the_spool(message_id: str) -> Any:
    """A body file for -bh, whose caller may not write the spool."""
    from tempfile import mkstemp

    from angaros.spool.body import BodyWriter
    from angaros.spool.locks import SpoolLock

    fd, path = mkstemp(prefix=f"{message_id}-D.")
    return BodyWriter(SpoolLock(message_id, "", path, fd), f"{message_id}-D\n".encode("ascii"))
