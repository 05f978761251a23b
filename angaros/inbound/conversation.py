"""One SMTP session: takes events of the sans-I/O core, decides by policy, answers.

Laws:
- `pump` handles all events that are there and returns; between two calls an idle session holds no stack. Only what must wait for
  the peer inside one command (a TLS handshake, the Proxy Protocol) reads from the stream itself.
- Replies are collected and leave in one write: before the session waits for input, before a delay or callout, at its end.
- Texts are Exim's; the command handlers are in one file a family and found in `commands.HANDLERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from angaros.acl.points import POINTS
from angaros.inbound.incomplete import log_incomplete
from angaros.inbound.limits import receive_timeout
from angaros.inbound.options import SessionOptions
from angaros.inbound.report import SYNC_ERROR, connection_info, history, log_no_mail, log_sync_error, printable, since
from angaros.logs.peer import host_and_ident
from angaros.model.errors import ListDefer
from angaros.model.events import raise_event
from angaros.model.message import Message
from angaros.model.outcome import Outcome, Verdict
from angaros.model.scope import Scope
from angaros.smtp.grammar import UNKNOWN, Syntax
from angaros.smtp.server import Command, Data, Event, Line, ServerCore, Stage

if TYPE_CHECKING:
    from angaros.model.interfaces import Services, Stream
    from angaros.model.session import Session

FIRST_IS_MAIL = ("RSET", "HELO", "EHLO", "AUTH", "STARTTLS")
"""Commands whose first use (RSET: after each message) does not count as nonmail. Exim spec 14, smtp_accept_max_nonmail."""
LEAVES_MESSAGE = frozenset({"HELO", "EHLO", "MAIL", "NOOP", "QUIT", "RSET"})
"""Commands that do not touch the message that is there (MAIL makes its own), unless an ACL runs."""
GREETINGS = frozenset({"HELO", "EHLO"})
"""The first of either counts for both."""
SYNC_AGAIN = frozenset({"HELO", "EHLO", "MAIL", "RCPT", "DATA"})
"""Commands for which synchronization is checked again before the reply leaves. Exim spec 14, smtp_enforce_sync"""


@dataclass(slots=True)
class Advertised:
    """What the last EHLO reply offered."""

    pipelining: bool = False
    pipe_connect: bool = False
    chunking: bool = False
    dsn: bool = False
    auth: bool = False
    tls: bool = False
    smtputf8: bool = False
    prdr: bool = False
    xclient: bool = False
    wellknown: bool = False
    limits: bool = False
    atrn: bool = False
    futurerelease: bool = False
    deliverby: bool = False
    mt_priority: bool = False
    requiretls: bool = False
    enhanced: bool = False
    mechanisms: tuple[str, ...] = ()
    """Names of the authenticators (instances) that were advertised."""


@dataclass(slots=True)
class Transaction:
    """What is known of the mail transaction besides the Message."""

    sender_given: bool = False
    rcpt_count: int = 0
    rcpt_fail: int = 0
    rcpt_defer: int = 0
    discarded: str = ""
    """ACL that discarded all recipients: `MAIL`, `RCPT`, `DATA`, ..."""
    discard_all: bool = False
    discard_log: str = ""
    too_many: bool = False
    prdr: bool = False
    rejection: str | None = None
    """Reply to the first refused recipient, as long as all refusals are the same."""
    rejections_same: bool = True
    was_rcpt: bool = False
    """The command is RCPT; `last_...`: the one before was."""
    last_was_rcpt: bool = False
    was_rejected_mail: bool = False
    last_was_rejected_mail: bool = False
    rcpt_delay: float = 0.0
    sender_verify_reported: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


class Conversation:
    """A session. `stream` is the peer; `session` has the facts that are known of it."""

    __slots__ = (
        "services", "main", "log", "session", "stream", "options", "core", "advertised", "message", "scope", "txn", "done",
        "esmtp", "helo_seen", "helo_required", "helo_verify", "accept_junk_helo", "unqualified_sender", "unqualified_recipient",
        "unknown_commands", "mail_count", "first_used", "nonmail_checked", "counts_nonmail", "connection_id", "receiver",
        "dialogue", "proxy_failed", "rate_limited", "message_limit", "notquit_done", "logged_connection", "command",
        "delivery_count", "exit_status", "_out", "extra", "_untouched", "_timeout",
    )  # fmt: skip

    def __init__(self, services: Services, session: Session, stream: Stream, options: SessionOptions | None = None) -> None:
        self.services = services
        self.main = services.config.main
        self.log = services.log
        self.session = session
        self.stream = stream
        self.options = options or SessionOptions()
        self.core = ServerCore()
        self.advertised = Advertised()
        self.txn = Transaction()
        self.done = False
        self.esmtp = False
        self.helo_seen = False
        self.helo_required = False
        self.helo_verify = False
        self.accept_junk_helo = False
        self.unqualified_sender = False
        self.unqualified_recipient = False
        self.unknown_commands = 0
        self.mail_count = 0
        self.first_used: frozenset[str] = frozenset()
        self.nonmail_checked = False
        self.counts_nonmail = False
        self.connection_id = ""
        self.receiver: Any = None
        """Takes Data events (`data.Incoming`) while a message comes in."""
        self.dialogue: Any = None
        """A SASL exchange under way (`auths.base.Authentication`)."""
        self.proxy_failed = False
        self.rate_limited: bool | None = None
        self.message_limit = 0
        """`message_size_limit`, 0 for none."""
        self.notquit_done = False
        self.logged_connection = False
        self.command: Command | None = None
        self.delivery_count = 0
        self.exit_status = 0
        """For -bs: 1 when the session was dropped for too many errors."""
        self._out: list[bytes] = []
        self._untouched = False
        """Nothing has happened to the message since it was made."""
        self._timeout: float | None = -1.0
        self.extra: dict[str, Any] = {}
        session.effects.flush = self.flush
        self.new_message()

    # Life.

    def serve(self) -> None:
        """The whole session, blocking style: for standard input and output, and for a greenlet of its own."""
        from angaros.inbound.greeting import start

        start(self)
        while not self.done:
            self.pump()
            if self.done:
                break
            self.flush()
            self.read_once()
        self.finish()

    def read_once(self) -> None:
        """Wait for input once and hand it to the core; a time-out or the end of input ends the session."""
        try:
            data = self.stream.read(65536, self.timeout())
        except TimeoutError:
            self.timed_out()
        except OSError as error:
            self.lost(f" ({error.strerror or error})")
        else:
            if data:
                self.core.receive(data)
            else:
                self.lost()

    def pump(self) -> None:
        """Handle all events that are there."""
        while not self.done and (event := self.core.next_event()) is not None:
            self.handle(event)

    def finish(self) -> None:
        """The end: what is written leaves, and the session is closed."""
        self.flush()
        log_no_mail(self)
        from angaros.inbound.chunks import abandon_chunks

        abandon_chunks(self)
        self._drop_onward("session over")
        self.core.close()
        if self.session.effects.debug_log:  # Exim spec 44.22, control = debug
            end_debug_log = getattr(self.log, "end_debug_log", None)
            if end_debug_log is not None:
                end_debug_log()

    def timeout(self) -> float | None:
        """Seconds to wait for input."""
        if self._timeout == -1.0:
            self._timeout = receive_timeout(self)
        return self._timeout

    # Input.

    def handle(self, event: Event) -> None:
        """One event."""
        if isinstance(event, Command):
            self._handle_command(event)
        elif isinstance(event, Data):
            self.receiver.octets(event)
        else:
            self._handle_line(event)

    def _handle_line(self, event: Line) -> None:
        from angaros.inbound.auth import client_line

        client_line(self, event.text)

    def _handle_command(self, command: Command) -> None:
        from angaros.inbound.commands import HANDLERS

        self.command = command
        verb = command.verb
        if verb not in LEAVES_MESSAGE:
            self._untouched = False
        if self.proxy_failed or "tls_failed" in self.extra:
            self._refuse_all(command)
            return
        if verb and verb != "XCLIENT" and "only_rset" not in self.extra:
            self.session.command_history.append(verb)
            if len(self.session.command_history) > 2000:
                del self.session.command_history[:-100]
        if self.log.debugging("receive"):
            self.log.debug("receive", f"SMTP<< {command.line}")
        if "only_rset" not in self.extra and self._too_early(command.syntax):
            self.sync_error(command)
            return
        if command.fault == "nul":
            self.protocol_error("syntax", 501, "", "NUL characters are not allowed in SMTP commands")
            return
        if verb and not command.syntax.mail and self._is_nonmail(verb) and self._count_nonmail():
            return
        collected, mark = self._out, len(self._out)
        txn = self.txn
        txn.last_was_rcpt, txn.was_rcpt = txn.was_rcpt, False
        txn.last_was_rejected_mail, txn.was_rejected_mail = txn.was_rejected_mail, False
        if self.core.stage is Stage.CHUNKS or "only_rset" in self.extra:
            from angaros.inbound.chunks import between_chunks

            if between_chunks(self, command):
                return
        if command.syntax.argument == "none" and command.argument:
            self.protocol_error("syntax", 501, "", "unexpected argument data")
        elif verb:
            HANDLERS[verb](self, command)
            if verb in ("MAIL", "RCPT") and self.core.pending:
                self.txn.extra["pipelined"] = True
            again = verb in SYNC_AGAIN and "early_pipe" not in self.extra
            if again and not self.done and self._too_early(command.syntax):
                del self._out[mark if self._out is collected else 0 :]  # the peer did not wait while policy took its time
                self.receiver = None
                self.core.begin_commands()
                self.sync_error(command)
        else:
            self._unrecognized(command)

    def _refuse_all(self, command: Command) -> None:
        """After a failed TLS handshake, or without a Proxy Protocol header (Exim spec 51.1), only QUIT is left."""
        if command.verb == "QUIT":
            self.say(f"221 {self.session.active_hostname} closing connection")
            self.done = True
        elif self.proxy_failed:
            self.say("503 Command refused, required Proxy negotiation failed")
        else:
            self.say("554 Security failure")

    def _too_early(self, syntax: Syntax) -> bool:
        """Whether the peer sent more before it could know the answer. # RFC 2920 3.1; Exim spec 14, smtp_enforce_sync"""
        if syntax.sync == "never" or (syntax.sync == "unless-pipelining" and self.advertised.pipelining):
            return False
        if syntax.verb == "EHLO" and not self.helo_seen and self.extra.get("pipe_connect"):
            if self.has_input():
                self.extra["early_pipe"] = True
            return False
        return self.checks_sync() and self.has_input()

    def checks_sync(self) -> bool:
        """Whether synchronization is enforced for this peer."""
        wanted = self.session.effects.enforce_sync
        if wanted is None:
            wanted = self.main.smtp_enforce_sync
        return bool(wanted and self.session.sender_host_address and not self.options.local and not self.options.host_checking)

    def has_input(self, wait: float = 0.0) -> bool:
        """Whether octets are here already, or come within `wait` seconds; the end of input is none."""
        if not self.core.pending and (wait or self.stream.input_waiting()):
            try:
                self.core.receive(self.stream.read(65536, wait or 0.1))
            except (TimeoutError, OSError):
                return False
        return self.core.pending

    def sync_error(self, command: Command) -> None:
        """Refuse and close."""
        log_sync_error(self, command)
        self.notquit("synchronization-error", "554", SYNC_ERROR)
        self.exit_status = 1
        self.done = True

    # Counting.

    def _is_nonmail(self, verb: str) -> bool:
        if verb in FIRST_IS_MAIL and verb not in self.first_used:
            self.first_used = self.first_used | (GREETINGS if verb in GREETINGS else {verb})
            return False
        return True

    def _count_nonmail(self) -> bool:
        """Whether there were too many nonmail commands. Exim spec 14, smtp_accept_max_nonmail"""
        if not self.nonmail_checked:
            self.nonmail_checked = True
            self.counts_nonmail = self.host_in("smtp_accept_max_nonmail_hosts")
        if not self.counts_nonmail:
            return False
        self.session.nonmail_commands += 1
        if self.session.nonmail_commands <= self.main.smtp_accept_max_nonmail:
            return False
        assert self.command is not None
        last = self.command.verb.lower() if self.command.verb else self.command.line
        shown = printable(self.command.line[: len(last)])
        host = host_and_ident(self.session, self.log, flag=False)
        self.log.write(
            f'SMTP call from {host} dropped: too many nonmail commands (last was "{shown}")',
            reject=True,
        )
        if self.command.verb:
            self.session.command_history.pop()
        self.notquit("bad-commands", "554", "Too many nonmail commands")
        self.exit_status = 1
        self.done = True
        return True

    def _unrecognized(self, command: Command) -> None:
        self.unknown_commands += 1
        if self.unknown_commands > self.main.smtp_max_unknown_commands:
            log_incomplete(self, "unrecognized command")
            host = host_and_ident(self.session, self.log, flag=False)
            shown = printable(command.line[:100])
            self.notquit("bad-commands", "500", "Too many unrecognized commands")
            self.log.write(f'SMTP call from {host} dropped: too many unrecognized commands (last was "{shown}")', reject=True)
            self.done = True
            return
        self.protocol_error("syntax", 500, "", "unrecognized command")

    def protocol_error(self, kind: str, code: int, data: str, text: str) -> bool:
        """A syntax or protocol error of the peer: reply `code data: text`, log, count; True when the session is over.
        Exim spec 14, smtp_max_synprot_errors"""
        assert self.command is not None
        host = host_and_ident(self.session, self.log)
        self.log.write(f'SMTP {kind} error in "{printable(self.command.line)}" {host} {text}', selector=f"smtp_{kind}_error")
        raise_event(self.main.event_action, f"smtp:fail:{kind}", text, self.scope)
        self.session.synprot_errors += 1
        too_many = self.session.synprot_errors > self.main.smtp_max_synprot_errors
        if code > 0:
            prefix = f"{data}: " if data else ""
            self.say(f"{code}{'-' if too_many else ' '}{prefix}{text}")
        if too_many:
            self.drop_bad_syntax(code)
        return too_many

    def drop_bad_syntax(self, code: int) -> None:
        """Too many errors: log and close."""
        assert self.command is not None
        host = host_and_ident(self.session, self.log, flag=False)
        self.log.write(
            f"SMTP call from {host} dropped: too many syntax or protocol errors "
            f'(last command was "{printable(self.command.line[:200])}",  C={history(self.session)})',
            reject=True,
            envelope=self.message if "only_rset" in self.extra else None,
        )
        self.notquit("bad-command", f"{code or 501}", "Too many syntax or protocol errors")
        self.exit_status = 1
        self.done = True

    # Output.

    def say(self, line: str) -> None:
        """One reply line, without its end."""
        self.raw(f"{line}\r\n")

    def raw(self, text: str) -> None:
        """Reply text with its line ends."""
        if self.advertised.enhanced:
            from angaros.smtp.enhanced import with_codes

            text = with_codes(text, self.command.verb if self.command is not None else "")
        if self.log.debugging("receive"):
            for line in text.splitlines():
                self.log.debug("receive", f"SMTP>> {line}")
        if not self.options.batched:
            self._out.append(text.encode("latin-1", "replace"))

    def respond(self, code: str, text: str, *, final: bool = True) -> None:
        """A reply of perhaps several lines. `code` may end in an enhanced code."""
        if self.session.effects.no_multiline_responses:
            if not final:
                return
            text = " ".join(text.split("\n"))
        lines = text.split("\n")
        number, _, enhanced = code.partition(" ")
        last = len(lines) - 1
        out = []
        for i, line in enumerate(lines):
            sep = " " if final and i == last else "-"
            out.append(f"{number}{sep}{enhanced + ' ' if enhanced else ''}{line}\r\n")
        self.raw("".join(out))

    def flush(self) -> None:
        """Send what is collected."""
        if self._out:
            data = b"".join(self._out)
            self._out = []
            try:
                self.stream.write(data, self.timeout())
            except (OSError, TimeoutError) as error:
                self.extra["write_error"] = str(error)

    def take_reply(self) -> bytes:
        """What is collected, for another way to the peer."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # Policy.

    def new_message(self) -> None:
        """Forget the transaction: a fresh Message and Scope. # RFC 5321 4.1.1.5"""
        if self._untouched and not self.scope.state:
            return
        self._untouched = True
        session = self.session
        self.message: Message = Message(session=session)
        submission = self.options.submission
        self.message.dont_deliver = submission.dont_deliver
        self.message.queue_name = submission.queue_name
        self.message.message_size = -1
        authenticator = self.extra.get("authenticator")
        if authenticator is not None and session.sender_host_authenticated:
            self.message.spool_variables["host_auth_pubname"] = authenticator.options.public_name or ""
        self.message.local = not session.sender_host_address
        self.message.allow_unqualified_sender = self.unqualified_sender
        self.message.allow_unqualified_recipient = self.unqualified_recipient
        self.scope: Scope = Scope(self.services, session, self.message)
        self.scope.local["smtp_count_at_connection_start"] = str(self.options.connection_count)
        self.txn = Transaction()
        self.receiver = None

    def begin_message(self) -> None:
        """A message of its own for MAIL, which fills it."""
        self.new_message()
        self._untouched = False

    def reset(self) -> None:
        """End the transaction on both levels."""
        self._drop_onward("smtp reset")
        self.new_message()
        self.core.reset()

    def _drop_onward(self, why: str) -> None:
        """End the connection that a callout has kept for the message."""
        if self.message.effects.cutthrough_connection is not None:
            from angaros.delivery.cutthrough import drop

            drop(self.message, why)

    def host_in(self, option: str) -> bool:
        """Whether the peer is in the host list of a main option."""
        try:
            return bool(self.services.lists.match_host(getattr(self.main, option), self.scope, option=option))
        except ListDefer:
            return False

    def run_acl(self, where: str, scope: Scope | None = None) -> Verdict:
        """Run the ACL of the point, or give its default."""
        self._untouched = False
        point = POINTS[where]
        text = getattr(self.main, point.option)
        scope = scope or self.scope
        if text is None:
            if point.unset is not Outcome.ACCEPT:
                scope.trace("acl", "ACL is NULL: implicit DENY")
            return Verdict(point.unset)
        scope.where = where
        txn, state = self.txn, scope.state
        state["rcpt_count"], state["rcpt_fail_count"] = str(txn.rcpt_count), str(txn.rcpt_fail)
        state["rcpt_defer_count"] = str(txn.rcpt_defer)
        if self.command is not None:
            scope.local["smtp_command"] = self.command.line
            scope.local["smtp_command_argument"] = self.command.argument
        try:
            return self.services.acl.run(text, where, scope)
        finally:
            scope.where = ""

    # The end.

    def notquit(self, reason: str, code: str | None, text: str = "") -> None:
        """End without QUIT: the notquit ACL, then the reply. Exim spec 44.2, acl_smtp_notquit"""
        if not self.notquit_done:
            self.notquit_done = True
            if self.main.acl_smtp_notquit is not None and reason:
                self.scope.state["smtp_notquit_reason"] = reason
                verdict = self.run_acl("notquit")
                if verdict.outcome is Outcome.ERROR:
                    self.log.write(f"ACL for not-QUIT returned ERROR: {verdict.log_message}", panic=True)
                if verdict.outcome is Outcome.ACCEPT and verdict.user_message and code:
                    from angaros.inbound.rejection import user_message

                    user_message(self, "notquit", verdict.user_message, code=int(code))
                    return
        if code:
            self.say(f"{code} {text}")

    def lost(self, error: str = "") -> None:
        """The peer closed the connection."""
        self.exit_status = 1
        taker = self.receiver or self.extra.get("incoming") or self.extra.get("only_rset")
        if taker is not None:
            taker.connection_lost(error)
        else:
            self._lost_command(error)
        self.done = True

    def _lost_command(self, error: str) -> None:
        if "tls_failed" in self.extra:
            self.closed_by("EOF")
            return
        name = self.session.active_hostname
        self.notquit("connection-lost", "421", f"{name} lost input connection")
        if self.txn.sender_given or self.message.recipients:
            log_incomplete(self, "connection lost")
            what = "EOF" if self.session.sender_host_unknown and not self.session.sender_host_address else "disconnection"
            host = host_and_ident(self.session, self.log, flag=False)
            self.log.write(
                f"unexpected {what} while reading SMTP command from {host}{error} D={since(self)}",
                selector="lost_incoming_connection",
            )
        elif self.logged_connection:
            self.log.write(f"{connection_info(self)} lost{error} D={since(self)}", selector="smtp_connection")

    def timed_out(self) -> None:
        """No input for too long."""
        self.exit_status = 1
        taker = self.receiver or self.extra.get("incoming")
        if taker is not None:
            taker.timed_out()
        else:
            host = host_and_ident(self.session, self.log, flag=False)
            on = "TLS connection" if self.session.tls is not None else "connection"
            self.log.write(f"SMTP command timeout on {on} from {host} D={since(self)}", selector="lost_incoming_connection")
            name = self.session.active_hostname
            self.notquit("command-timeout", "421", f"{name}: SMTP command timeout - closing connection")
        self.done = True

    def terminated(self) -> None:
        """The service is going down."""
        name = self.session.active_hostname
        self.notquit("signal-exit", "421", f"{name}: Service not available - closing connection")
        if self.logged_connection:
            self.log.write(f"{connection_info(self)} D={since(self)} closed after SIGTERM", selector="smtp_connection")
        self.done = True

    def closed_by(self, reason: str) -> None:
        """Log the end of the connection."""
        if not self.logged_connection:
            return
        self.log.write(f"{connection_info(self)} D={since(self)} closed by {reason}", selector="smtp_connection")


Handler = Callable[[Conversation, Command], None]
__all__ = ["Advertised", "Conversation", "Handler", "Transaction", "UNKNOWN"]
