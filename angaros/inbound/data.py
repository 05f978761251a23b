"""DATA, and what happens to a message that came by SMTP. # RFC 5321 4.1.1.4; Exim spec 14, 44.11 to 44.14"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from angaros.inbound import accept
from angaros.inbound.mail import set_own_sender
from angaros.inbound.prdr import per_recipient
from angaros.inbound.receive import How, Reception
from angaros.inbound.rejection import refuse, user_message
from angaros.inbound.report import connection_info, since
from angaros.logs.peer import host_and_ident, sender_fullhost
from angaros.model.message import DSN_NOTIFY_NEVER, DSN_NOTIFY_SUCCESS, Header
from angaros.model.outcome import Outcome, Verdict
from angaros.model.text import concat
from angaros.net.fast_open import used_by_server
from angaros.smtp.replies import GO_AHEAD
from angaros.smtp.server import Stage

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command, Data

FAKE_TEXT = (
    "Your message has been rejected but is being kept for evaluation.\n"
    "If it was a legitimate message, it may still be delivered to the target\nrecipient(s)."
)


def do_data(c: Conversation, command: Command) -> None:
    """Begin to take a message."""
    if c.core.stage is Stage.CHUNKS:
        c.say("503 only BDAT permissible after non-LAST BDAT")
        return
    if not may_take_message(c, "DATA"):
        return
    verdict = predata(c)
    if verdict is None:
        return
    user_message(c, "predata", verdict.user_message, GO_AHEAD.text)
    c.core.succeeded("DATA")
    c.core.begin_data()
    c.receiver = Incoming(c, bdat=False)


def may_take_message(c: Conversation, verb: str) -> bool:
    """Whether there are recipients; if not, the reply says why."""
    txn = c.txn
    if c.message.recipients or txn.discarded:
        if txn.too_many and c.main.recipients_max_reject:
            c.say("554 Too many recipients")
            return False
        return True
    if txn.rejection is not None and txn.rejections_same:
        c.say("503-All RCPT commands were rejected with this error:")
        c.respond("503", txn.rejection, final=False)
    if c.advertised.pipelining and txn.last_was_rcpt:
        c.say(f"503 Valid RCPT command must precede {verb}")
    else:
        c.protocol_error("protocol", 503, "", f"valid RCPT command must precede {verb}")
    return False


def predata(c: Conversation) -> Verdict | None:
    """The predata ACL; None when it refused (and the reply is given)."""
    if c.main.acl_smtp_predata is None:
        return Verdict(Outcome.ACCEPT)
    verdict = c.run_acl("predata")
    if verdict.outcome is Outcome.ACCEPT:
        return verdict
    if verdict.outcome is Outcome.DISCARD:
        c.message.recipients.clear()
        c.txn.discarded = "PREDATA"
        return verdict
    refuse(c, "predata", verdict, "DATA")
    return None


class Incoming:
    """The message that comes in now."""

    def __init__(self, c: Conversation, *, bdat: bool) -> None:
        self.c = c
        self.bdat = bdat
        self.last = False
        """The chunk that comes is the last."""
        self.begun = False
        self.chunk_total = 0
        self.chunk_size = 0
        limit = c.message_limit
        set_own_sender(c)
        how = How(
            bdat=bdat,
            size_limit=limit,
            submission=c.options.submission,
            dry_run=c.options.host_checking,
            wireformat=bdat and c.main.spool_wireformat and not c.options.host_checking,
        )
        self.reception = Reception(c.scope, how)
        watch = c.services.extra.get("watch_message")
        if watch is not None and not c.options.batched:
            self.reception.taps.extend(watch(c.scope))

    def _takes_from_line(self) -> bool:
        c = self.c
        if c.session.sender_host_address:
            return c.host_in("ignore_fromline_hosts")
        return bool(c.main.ignore_fromline_local)

    def octets(self, event: Data) -> None:
        """More of the message."""
        if event.octets and not self.begun:
            self.begun = True
            if event.octets[0] not in b"\r\n" and self._takes_from_line():
                self.reception.reader.take_from_line()
        self.reception.feed(event.octets)
        if not event.last:
            return
        if self.bdat:
            from angaros.inbound.chunks import chunk_complete

            chunk_complete(self.c, self)
        else:
            self.complete()

    def complete(self) -> None:
        """All has come: decide and answer."""
        c = self.c
        c.receiver = None
        self.reception.end()
        try:
            Arrivals(c, self).run()
        finally:
            if c.message.effects.caches:
                from angaros.scan.mbox import discard

                discard(c.message)
            self.reception_over()

    def reception_over(self) -> None:
        """Back to commands, with an empty transaction."""
        c = self.c
        c.reset()
        c.first_used = c.first_used - {"RSET"}

    # Accidents.

    def log_lost(self) -> None:
        """The line about a message that will never be complete."""
        c, reception = self.c, self.reception
        where = reception.where(c.core.peek(100_000))
        c.log.write(
            f"{connection_info(c)} lost while reading message data{where}",
            message_id=reception.message.id,
            selector="lost_incoming_connection",
        )

    def connection_lost(self, error: str = "") -> None:
        """The peer went away in the middle."""
        c, reception = self.c, self.reception
        self.log_lost()
        reception.abandon()
        c.receiver = None
        c.notquit("connection-lost", "421", "Lost incoming connection")

    def timed_out(self) -> None:
        """Nothing came for too long."""
        c, reception = self.c, self.reception
        host = host_and_ident(c.session, c.log, flag=False)
        c.log.write(
            concat(
                [f"SMTP data timeout (message abandoned) on connection from {host} F=<{c.message.sender_address}> D={since(c)}"]
            ),
            message_id=reception.message.id,
            selector="lost_incoming_connection",
        )
        reception.abandon()
        c.receiver = None
        c.notquit("data-timeout", "421", f"{c.session.active_hostname} SMTP incoming data timeout - closing connection.")


class Arrivals:
    """Policy after the data, the spool, the reply."""

    def __init__(self, c: Conversation, incoming: Incoming) -> None:
        self.c = c
        self.incoming = incoming
        self.reception = incoming.reception
        self.message = c.message

    def run(self) -> None:
        """All steps; each answers the peer when it ends the matter."""
        if self.reception.problem is not None:
            self._problem()
            return
        accept.merge_headers(self.reception)
        fine = self._content_is_fine()
        if self.message.effects.mailauth.dmarc is not None:
            from angaros.mailauth.dmarc_session import decided

            decided(self.c.scope, fine)
        if not fine:
            self.reception.abandon()
            return
        self._keep()

    def _problem(self) -> None:
        c, message = self.c, self.message
        problem = self.reception.problem
        assert problem is not None
        if problem.kind in ("size", "header-crlf"):
            full = sender_fullhost(c.session, with_port=c.log.selected("incoming_port"))
            ident = c.session.sender_ident
            who = f"{f' H={full}' if full else ''}{f' U={ident}' if ident else ''}"
            if problem.kind == "size":
                what = f"message too big: read={self.reception.read} max={self.reception.how.size_limit}"
            else:
                what = "Non-CRLF-terminated header, under CHUNKING: message abandoned"
            c.log.write(
                concat([f"rejected from <{message.sender_address}>{who}: {what}"]),
                message_id=message.id if problem.kind == "size" else "",
                selector="size_reject" if problem.kind == "size" else "",
                reject=True,
                headers=self._headers_so_far(),
                envelope=message,
            )
        elif problem.log:
            host = sender_fullhost(c.session) or c.session.sender_ident
            c.log.write(problem.log.replace("%s", host, 1))
        self.reception.abandon()
        c.say(f"{problem.code} {problem.text}")

    def _headers_so_far(self) -> list[Header]:
        if self.message.headers:
            return [header for header in self.message.headers if header is not self.reception.received_header]
        return [Header(line) for line in self.reception.reader.lines]

    def _peer_is_gone(self) -> bool:
        """Whether the peer closed before it could see the reply: it will send the message again. Exim spec 53.5"""
        c = self.c
        if not c.session.sender_host_address or c.options.local or c.options.host_checking or c.core.pending:
            return False
        if not c.stream.input_waiting() or c.has_input():
            return False
        host = host_and_ident(c.session, c.log)
        c.log.write(f"SMTP connection lost after final dot {host} P={c.session.protocol}", message_id=self.message.id)
        self.reception.abandon()
        c.say("421 Lost incoming connection")
        c.done = True
        return True

    # Content.

    def _content_is_fine(self) -> bool:
        c = self.c
        if c.options.batched and self.message.recipients:
            return self._data_acl()
        for tap in self.reception.taps if self.message.recipients else ():
            verdict = tap.finish(c.scope)
            if verdict is None:
                continue
            if verdict.outcome is Outcome.DISCARD:
                self._discard("DKIM", verdict)
            elif not verdict.accepted:
                return self._refused("dkim", verdict, "DKIM ")
        if self.message.recipients:
            verdict = accept.run_mime_acl(self.reception, c.main.acl_smtp_mime, c.scope)
            if verdict is not None:
                return self._refused("mime", verdict, "during MIME ACL checks")
            accept.merge_headers(self.reception)
        if c.txn.prdr and len(self.message.recipients) > 1 and c.main.acl_smtp_data_prdr is not None:
            if not per_recipient(c, self):
                return False
        return self._data_acl()

    def _data_acl(self) -> bool:
        c = self.c
        if self.message.recipients and c.main.acl_smtp_data is not None:
            verdict = c.run_acl("data")
            accept.merge_headers(self.reception)
            if verdict.outcome is Outcome.DISCARD:
                self._discard("DATA", verdict)
            elif not verdict.accepted:
                return self._refused("data", verdict, "after DATA")
            else:
                c.txn.extra["data_message"] = verdict.user_message
        if not self.message.recipients:
            return True
        return self._local_scan()

    def _discard(self, by: str, verdict: Verdict) -> None:
        """Accepted, and delivered to nobody. Exim spec 44.16"""
        self.reception.accepted = [recipient.address for recipient in self.message.recipients]
        self.message.recipients.clear()
        self.c.txn.discarded = by
        self.c.txn.discard_log = verdict.log_message

    def _refused(self, where: str, verdict: Verdict, what: str) -> bool:
        refuse(self.c, where, verdict, what, message_id=self.message.id, headers=self.message.headers, envelope=self.message)
        return False

    def _local_scan(self) -> bool:
        c = self.c
        if not c.main.local_scan_python:
            return True
        from angaros.inbound.local_scan import scan

        result = scan(self.reception)
        if result.accepted:
            return True
        host = host_and_ident(c.session, c.log)
        c.log.write(
            concat(
                [
                    f"F={self.message.sender_address} {host} P={c.session.protocol} "
                    f"{'temporarily ' if result.temporary else ''}rejected by local_scan(): {result.text}"
                ]
            ),
            message_id=self.message.id,
            reject=True,
            headers=self.message.headers if result.log_headers else (),
            envelope=self.message,
        )
        c.respond("451" if result.temporary else "550", result.text)
        return False

    # Keeping it.

    def _keep(self) -> None:
        c, message = self.c, self.message
        message.message_size = message.whole_size()
        if not message.recipients:
            by = {"RCPT": "RCPT ACL", "MAIL": "MAIL ACL"}.get(c.txn.discarded, f"{c.txn.discarded} ACL")
            self._log_arrival()
            accept.discard_all(self.reception, by, c.txn.discard_log if c.txn.discarded == "DATA" else "")
            self._answer()
            return
        if c.options.host_checking:
            self._log_arrival()
            self.reception.abandon()
            self._answer()
            c.raw("\n**** SMTP testing: that is not a real message id!\n\n")
            return
        if self._peer_is_gone() or self._sent_onwards():
            return
        accept.note_policy(self.reception)
        if message.effects.fake_response:
            self._promise_nothing()
        try:
            lock = accept.make_safe(self.reception)
        except OSError as error:
            c.log.write(
                f"spool file write error while receiving message: {error.strerror or error}", message_id=message.id, panic=True
            )
            self.reception.abandon()
            c.say("451 Error while writing spool file")
            return
        self._log_arrival()
        accept.log_policy(c.services, message)
        self._answer()
        self._next(lock)

    def _promise_nothing(self) -> None:
        """The client is told that we do not have the message: no success notice may say the contrary. # RFC 3461 4.1"""
        for recipient in self.message.recipients:
            if recipient.dsn_flags & DSN_NOTIFY_SUCCESS:
                recipient.dsn_flags = recipient.dsn_flags & ~DSN_NOTIFY_SUCCESS or DSN_NOTIFY_NEVER

    def _sent_onwards(self) -> bool:
        """Cutthrough delivery; whether that was all. Exim spec 44.21"""
        c, message = self.c, self.message
        if message.effects.cutthrough_connection is None:
            return False
        from angaros.delivery.cutthrough import deliver

        outward = deliver(c.scope, self._body_chunks())
        if outward.status == "delivered":
            self._log_arrival()
            c.log.write("Completed", message_id=message.id)
            self.reception.abandon()
            self._answer()
            return True
        if outward.status == "refused":
            self.reception.abandon()
            code, _, text = outward.reply.partition(" ")
            c.respond(code, text)
            return True
        return False

    def _body_chunks(self) -> Iterator[bytes]:
        from os import pread

        writer = self.reception.writer
        done = 0
        while done < writer.size and (chunk := pread(writer.lock.fd, 65536, writer.offset + done)):
            done += len(chunk)
            yield chunk

    def _log_arrival(self) -> None:
        c = self.c
        accept.log_arrival(
            self.reception,
            accept.Facts(
                connection_id=c.connection_id,
                pipelining_advertised=c.advertised.pipelining,
                pipelining_used=bool(c.txn.extra.get("pipelined")),
                early_pipe="*" if c.extra.get("early_pipe") else "." if c.advertised.pipe_connect else "",
                fast_open=used_by_server(fileno()) if (fileno := getattr(c.stream, "fileno", None)) is not None else "",
                chunking=self.incoming.bdat,
                prdr=bool(c.txn.extra.get("prdr_used")),
            ),
        )

    def _answer(self) -> None:
        c, message, incoming = self.c, self.message, self.incoming
        effects = message.effects
        if effects.fake_response:
            c.respond(effects.fake_response, effects.fake_response_text or FAKE_TEXT)
            return
        if incoming.bdat:
            c.say(f"250- {incoming.chunk_size} byte chunk, total {self._chunk_total()}")
        text = c.txn.extra.get("data_message", "")
        summary = c.txn.extra.get("prdr_summary")
        if summary:
            c.say(f"250 {summary}")
        elif text:
            user_message(c, "data", text)
        else:
            c.say(f"250 OK id={message.id}")

    def _chunk_total(self) -> int:
        """Octets of the message with CRLF line ends, as it is kept (a missing empty line after the header counts)."""
        if self.message.wireformat:
            return self.incoming.chunk_total
        return self.reception.read + self.reception.lines

    def _next(self, lock: Any) -> None:
        """Deliver or queue."""
        c, message = self.c, self.message
        c.delivery_count += 1
        exceeded = c.options.connection_count if 0 < c.main.smtp_accept_queue < c.options.connection_count else 0
        circumstances = accept.Circumstances(
            c.options.submission.delivery, exceeded, c.delivery_count, c.extra.get("load_latched")
        )
        decision, by_load = accept.decide(c.services, message, circumstances)
        if by_load is not None and c.main.queue_only_load_latch:
            c.extra["load_latched"] = by_load
        c.flush()
        accept.hand_over(c.services, message, lock, decision)
        if c.services.run.mua_failed:  # the caller hears it by the exit status
            c.done = True
