"""Local submission: a message on standard input (-bm, -t), and messages of our own making. Exim spec 5.3, 48

Laws:
- Identity is the caller's; what he claims counts only when he is trusted.
- An error is told the way -oe... wants: by mail to the sender, or on standard error; the exit status follows it.
- Bad recipient addresses of -t do not keep the message from the good ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import getpid
from typing import TYPE_CHECKING, Any

from angaros.inbound import accept
from angaros.inbound.dots import DotEnd
from angaros.inbound.gecos import full_name
from angaros.inbound.limits import expanded_integer, message_size_limit
from angaros.inbound.moan import Fault, exit_status, log_no_sender, log_words, moan_by_mail, moan_on_stderr
from angaros.inbound.options import LocalCaller, Submission
from angaros.inbound.receive import How, Reception
from angaros.inbound.recipients import Extraction, parse_arguments
from angaros.inbound.sender import may_set_sender, own_address, parse_sender
from angaros.inbound.session import local_session
from angaros.logs.peer import sender_fullhost
from angaros.logs.text import printing
from angaros.model.delivery import Owner
from angaros.model.errors import AngarosError
from angaros.model.extensions import Extensions
from angaros.model.message import Message, Recipient
from angaros.model.outcome import Outcome, Verdict
from angaros.model.scope import Scope
from angaros.model.text import concat, taint

if TYPE_CHECKING:
    from angaros.model.interfaces import Services, Stream

EX_OK, EX_FAIL = 0, 1
READ_SIZE = 65536


class LocalMessage:
    """One local message on its road."""

    def __init__(self, services: Services, options: Submission, *, session: Any = None, protocol: str = "") -> None:
        self.services = services
        self.main = services.config.main
        self.options = options
        self.session = session or local_session(services, options, smtp=False)
        if protocol:
            self.session.protocol = protocol
        message = self.message = Message(session=self.session, local=True)
        message.sender_local = not self.session.sender_host_address
        message.dont_deliver = options.dont_deliver
        message.queue_name = options.queue_name
        message.allow_unqualified_recipient = message.allow_unqualified_sender = not options.unqualified
        message.local_error_message = options.internal_error_message
        self.scope = Scope(services, self.session, message)
        if options.claims.message_reference:
            self.scope.local["message_reference"] = options.claims.message_reference
        self.extraction: Extraction | None = None
        self.size_limit = 0
        self.reception: Reception | None = None
        self.discarded_log = ""
        self.given: list[str] = []
        """Recipients of the command line, as they were written: the log has them so (`received_recipients`)."""

    # The envelope.

    def set_sender(self) -> str:
        """From -f, else the caller. Returns an error."""
        options, message = self.options, self.message
        if options.sender is not None:
            address, error = parse_sender(options.sender, self.services)
            if error:
                return error
            if may_set_sender(address, options, self.scope):
                message.sender_address = message.raw_sender = address
                message.sender_set_untrusted = not options.caller.trusted
                if options.caller.trusted:
                    self.not_from_caller()
                return ""
        message.sender_address = message.raw_sender = own_address(self.services, options)
        return ""

    def not_from_caller(self) -> None:
        """A trusted caller named another sender: what stands in the spool is not the caller's own, but what was claimed."""
        claims, session = self.options.claims, self.session
        self.message.local = False
        session.authenticated_id = taint(claims.authenticated_id or "")
        session.authenticated_sender = taint(claims.authenticated_sender or "")

    def set_recipients(self, text: bytes | None = None) -> Fault | None:
        """From the arguments of the command line."""
        options = self.options
        found, bad = parse_arguments(options.recipients, self.services, unqualified_ok=not options.unqualified)
        if bad:
            return Fault("bad-address", [bad])
        if options.extract_recipients:
            removes = self.main.extract_addresses_remove_arguments
            self.extraction = Extraction(
                self.scope, {address for address, _ in found} if removes else set(), not options.unqualified
            )
            if removes:
                self.message.non_recipients = {address for address, _ in found}
                found = []
        self.message.recipients = [Recipient(address) for address, _ in found]
        self.given = [written for _, written in found]
        self.note_international()
        return self.too_many()

    def note_international(self) -> None:
        """An envelope that is not ASCII makes it an SMTPUTF8 message; a MUA wrapper may convert it. Exim spec 60.1, 52"""
        message = self.message
        addresses = [message.sender_address, *(recipient.address for recipient in message.recipients)]
        if not all(address.isascii() for address in addresses):
            message.smtputf8 = True
            if self.main.mua_wrapper and not message.utf8_downgrade:
                message.utf8_downgrade = -1

    def too_many(self) -> Fault | None:
        """`recipients_max`"""
        limit = expanded_integer(self.main.recipients_max, self.scope, "recipients_max")
        return Fault("too-many") if 0 < limit < len(self.message.recipients) else None

    # Reading.

    def begin(self) -> Reception:
        """Ready for octets."""
        how = How(
            smtp=False,
            size_limit=self.size_limit,
            accepts_from_line=True,
            submission=self.options,
            before_body=self._before_body,
        )
        self.reception = Reception(self.scope, how)
        self.reception.accepted = self.given
        return self.reception

    def _before_body(self, reception: Reception) -> None:
        if reception.reader.from_line:
            self._uucp_sender(reception.reader.from_line)
        if self.extraction is not None:
            self.extraction.run(self.message)
            self.note_international()
            reception.accepted = self.given + self.extraction.raw

    def _uucp_sender(self, line: str) -> None:
        """A `From ` line sets the sender for a trusted caller without -f. Exim spec 48.4"""
        if self.options.sender is not None:
            return
        from angaros import regex

        match = regex.compile(self.main.uucp_from_pattern).match(line)
        if match is None:
            return
        scope = self.scope.child()
        scope.numeric = match
        address, error = parse_sender(scope.expand(self.main.uucp_from_sender), self.services)
        if not error and may_set_sender(address, self.options, self.scope):
            self.message.sender_address = address
            self.message.sender_set_untrusted = not self.options.caller.trusted
            if self.options.caller.trusted:
                self.message.local = False
                self.session.authenticated_sender = taint(self.options.claims.authenticated_sender or "")

    # Policy and the end.

    def policy(self) -> Fault | None:
        """acl_not_smtp and what is around it; what scanners needed is gone afterwards."""
        try:
            return self._policy()
        finally:
            if self.message.effects.caches:
                from angaros.scan.mbox import discard

                discard(self.message)

    def _policy(self) -> Fault | None:
        reception = self.reception
        assert reception is not None
        accept.merge_headers(reception)
        verdict = accept.run_mime_acl(reception, self.main.acl_not_smtp_mime, self.scope)
        if verdict is None and self.main.acl_not_smtp is not None:
            verdict = self._run_acl("notsmtp", self.main.acl_not_smtp)
            accept.merge_headers(reception)
        if verdict is None or verdict.outcome is Outcome.ACCEPT:
            return self._local_scan()
        if verdict.outcome is Outcome.DISCARD:
            reception.accepted = [recipient.address for recipient in self.message.recipients]
            self.message.recipients.clear()
            self.discarded_log = verdict.log_message
            return None
        return self._refused(verdict)

    def _run_acl(self, where: str, text: str) -> Verdict:
        self.scope.where = where
        try:
            return self.services.acl.run(text, where, self.scope)
        finally:
            self.scope.where = ""

    def run_start_acl(self) -> None:
        """acl_not_smtp_start: only side effects. Exim spec 44.3"""
        if self.main.acl_not_smtp_start is not None:
            self._run_acl("notsmtp_start", self.main.acl_not_smtp_start)

    def _refused(self, verdict: Verdict) -> Fault:
        message = self.message
        permanent = verdict.outcome in (Outcome.DENY, Outcome.DROP)
        text = verdict.user_message or ("Administrative prohibition" if permanent else "local configuration problem")
        tail = printing(verdict.log_message or verdict.user_message, top_bit=self.main.print_topbitchars, escape_tab=True)
        full = sender_fullhost(self.session)
        who = f"H={full} " if full else ""
        self.services.log.write(
            concat([f"{who}F=<{message.sender_address}> rejected by non-SMTP ACL", f": {tail}" if tail else ""]),
            message_id=message.id,
            reject=True,
            headers=message.headers,
            envelope=message,
        )
        return Fault("local-scan", text=_without_code(text) if permanent else text)

    def _local_scan(self) -> Fault | None:
        if not getattr(self.main, "local_scan_python", None):
            return None
        from angaros.inbound.local_scan import scan

        assert self.reception is not None
        result = scan(self.reception)
        if result.accepted:
            return None
        message = self.message
        self.services.log.write(
            f"F={message.sender_address} U={self.session.sender_ident} P={self.session.protocol} "
            f"{'temporarily ' if result.temporary else ''}rejected by local_scan(): {result.text}",
            message_id=message.id,
            reject=True,
            headers=message.headers if result.log_headers else (),
            envelope=message,
        )
        return Fault("local-scan", text=result.text)

    def keep(self) -> None:
        """Into the spool, into the log, and on. Raises OSError when it cannot be stored."""
        reception, message = self.reception, self.message
        assert reception is not None
        facts = accept.Facts(connection_id=str(getpid()), reference=self.options.claims.message_reference or "")
        if not message.recipients:
            accept.log_arrival(reception, facts)
            accept.discard_all(reception, "non-SMTP ACL", self.discarded_log)
            return
        accept.note_policy(reception)
        lock = accept.make_safe(reception)
        accept.log_arrival(reception, facts)
        accept.log_policy(self.services, message)
        decision, _ = accept.decide(self.services, message, accept.Circumstances(self.options.delivery))
        accept.hand_over(self.services, message, lock, decision)


def _without_code(text: str) -> str:
    return text


# --- -bm, -t -----------------------------------------------------------------------------------------------------------


class _Command:
    """`exim [-t] recipients < message`."""

    def __init__(self, services: Services, options: Submission, stream: Stream) -> None:
        self.services = services
        self.options = options
        self.stream = stream
        self.local = LocalMessage(services, options)
        self.dots = DotEnd(options.dot_ends)

    def run(self) -> int:
        local, options = self.local, self.options
        local.size_limit = message_size_limit(local.scope, smtp=False)
        if local.size_limit < 0:
            return EX_FAIL
        error = local.set_sender()
        if error:
            moan_on_stderr(error)
            return EX_FAIL
        fault = local.set_recipients()
        if fault is not None:
            return self._early(fault)
        local.run_start_acl()
        reception = local.begin()
        self._read(reception)
        if reception.problem is not None:
            return self._problem(reception)
        status = EX_OK
        if options.extract_recipients:
            done, status = self._extracted()
            if done:
                reception.abandon()
                return status
        fault = local.too_many() or local.policy()
        if fault is not None:
            status = self._tell(fault, reception)
            reception.abandon()
            return status
        try:
            local.keep()
        except OSError as problem:
            self.services.log.write(
                f"spool file write error while receiving message: {problem.strerror or problem}",
                message_id=local.message.id,
                panic=True,
            )
            reception.abandon()
            moan_on_stderr("error while writing spool file: message not accepted")
            return EX_FAIL
        return status if local.message.recipients else EX_FAIL

    def _read(self, reception: Reception) -> None:
        seconds = self.options.receive_timeout
        if seconds is None:
            seconds = self.services.config.main.receive_timeout
        while not self.dots.ended:
            data = self.stream.read(READ_SIZE, seconds or None)
            if not data:
                break
            reception.feed(self.dots.feed(data))
        if not self.dots.ended:
            reception.feed(self.dots.rest())
        reception.end()

    def _drain(self) -> bytes:
        """All of standard input, for the copy in an error message."""
        parts = []
        size = 0
        while data := self.stream.read(READ_SIZE, None):
            if size < 1 << 20:
                parts.append(data)
                size += len(data)
        return b"".join(parts)

    def _early(self, fault: Fault) -> int:
        """A fault that was found before the message was read."""
        if self.options.error_handling == "stderr":
            if fault.kind == "too-many":
                moan_on_stderr("too many recipients")
            else:
                address, error = fault.addresses[0]
                moan_on_stderr(f'bad recipient address "{address}": {error}')
            return EX_FAIL
        moan_by_mail(self.local.scope, fault, [], self._drain(), self.local.size_limit)
        return exit_status(self.options)

    def _extracted(self) -> tuple[bool, int]:
        """What -t has found; whether that is the end, and the exit status."""
        extraction = self.local.extraction
        assert extraction is not None
        message, log = self.local.message, self.services.log
        if extraction.bad:
            log.write(f"{message.id} bad addresses found in headers", message_id=message.id, panic=True)
            fault = Fault("bad-in-header", extraction.bad, all_bad=not message.recipients)
        elif not message.recipients:
            log.write(f"{message.id} no recipients found in headers", message_id=message.id, panic=True)
            fault = Fault("ignored-address" if extraction.ignored else "no-address")
        else:
            return False, EX_OK
        assert self.local.reception is not None
        status = self._tell(fault, self.local.reception)
        return not message.recipients, EX_OK if message.recipients else status

    def _problem(self, reception: Reception) -> int:
        problem = reception.problem
        assert problem is not None
        message, log = self.local.message, self.services.log
        if problem.kind == "size":
            ident = self.local.session.sender_ident
            full = sender_fullhost(self.local.session)
            who = f"{f' H={full}' if full else ''}{f' U={ident}' if ident else ''}"
            log.write(
                concat([f"rejected from <{message.sender_address}>{who}: message too big: read={reception.read} "])
                + f"max={reception.how.size_limit}",
                message_id=message.id,
                selector="size_reject",
                reject=True,
                headers=[header for header in message.headers if header is not reception.received_header],
                envelope=message,
            )
        elif problem.log:
            log.write(problem.log.replace("%s", sender_fullhost(self.local.session) or self.local.session.sender_ident, 1))
        if problem.kind == "spool":
            moan_on_stderr(problem.text)
            return EX_FAIL
        status = self._tell(Fault(problem.kind), reception)
        reception.abandon()
        return status

    def _tell(self, fault: Fault, reception: Reception) -> int:
        if self.options.error_handling == "stderr":
            moan_on_stderr(self._stderr_text(fault, reception))
            return EX_FAIL
        headers = self.local.message.headers
        if not headers:
            from angaros.mime.headers import split_headers

            headers = split_headers("".join(reception.reader.lines))
        if fault.kind not in ("local-scan", "size"):
            headers = [header for header in headers if header is not reception.received_header]
        told = moan_by_mail(self.local.scope, fault, headers, _body(reception), self.local.size_limit)
        if not told and fault.kind != "size":
            return 2
        return exit_status(self.options)

    def _stderr_text(self, fault: Fault, reception: Reception) -> str:
        main = self.services.config.main
        if fault.kind == "size":
            return f"message rejected: message too big (max={reception.how.size_limit})"
        if fault.kind == "header-long":
            return f"message header longer than {main.header_maxsize} characters received: message not accepted"
        if fault.kind == "header-line":
            return f"message header line longer than {main.header_line_maxsize} characters received: message not accepted"
        if fault.kind == "local-scan":
            return f"message rejected by non-SMTP ACL: {fault.text}"
        if fault.kind == "bad-in-header":
            address, error = fault.addresses[0]
            return f"invalid address: {address}: {error}"
        if fault.kind == "too-many":
            return "too many recipients"
        return "no recipients in message"


def _body(reception: Reception) -> bytes:
    writer = reception.writer
    if writer is None:
        return b""
    try:
        return bytes(writer.head(1 << 17))
    except OSError:
        return b""


def submit(services: Services, options: Submission, stream: Stream | None = None) -> int:
    """Take the message on standard input; returns the exit status."""
    if stream is None:
        stream = services.waiter.open_fds(0, 1)
    return _Command(services, options, stream).run()


# --- Messages of our own ------------------------------------------------------------------------------------------------


class Submitter:
    """`interfaces.Submitter`."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def submit(
        self,
        text: bytes,
        scope: Scope,
        *,
        sender: str = "",
        recipients: Sequence[str] | None = None,
        reference: str = "",
        as_root: bool = False,
        owner: Owner | None = None,
    ) -> str:
        """See the interface."""
        services = self.services
        at_once = services.harness is not None and (services.run.deliver_now or not accept.queue_by_option(services))
        options = Submission(
            caller=self._caller(as_root) if owner is None else self._user(owner),
            sender=sender or "<>",
            recipients=list(recipients or ()),
            extract_recipients=recipients is None,
            dot_ends=False,
            delivery="foreground" if at_once else "",
            internal_error_message=not sender,
        )
        options.claims.message_reference = reference or None
        if not sender and services.config.main.bounce_sender_authentication:
            options.claims.authenticated_sender = services.config.main.bounce_sender_authentication
        if scope.message is not None:
            options.dont_deliver = scope.message.dont_deliver
        local = LocalMessage(services, options)
        if scope.message is not None and scope.message.extensions is not None and not sender:
            about = scope.message.extensions  # RFC 8689 5, RFC 6710 4.5
            local.message.extensions = Extensions(priority=about.priority, requiretls=about.requiretls)
        error = local.set_sender()
        fault = local.set_recipients()
        if error or fault is not None:
            raise AngarosError(error or "bad recipient in a message of our own")
        local.run_start_acl()
        reception = local.begin()
        reception.feed(text)
        reception.end()
        if reception.problem is not None:
            reception.abandon()
            raise AngarosError(reception.problem.text)
        if not local.message.recipients:
            reception.abandon()
            if owner is not None:
                return ""  # an automatic reply to a bounce goes nowhere, which is no fault
            raise AngarosError("no recipients in a message of our own")
        if (fault := local.policy()) is not None:
            reception.abandon()
            log_no_sender(self.services, local.message.id, reference, log_words(fault, local.size_limit))
            raise AngarosError(f"a message of our own was refused: {fault.text}")
        try:
            local.keep()
        except OSError as problem:
            reception.abandon()
            raise AngarosError(f"spool file write error: {problem.strerror or problem}") from problem
        return local.message.id

    def _user(self, owner: Owner) -> LocalCaller:
        """The user of a transport that submits."""
        from pwd import getpwuid

        config = self.services.config
        trusted = owner.uid in (0, config.exim_uid) or owner.uid in config.trusted_uids
        try:
            entry = getpwuid(owner.uid)
            login, gecos = entry.pw_name, full_name(entry.pw_gecos, entry.pw_name, self.services)
        except KeyError:
            login, gecos = str(owner.uid), ""
        return LocalCaller(owner.uid, owner.gid, login, gecos, trusted=trusted, admin=trusted)

    def _caller(self, as_root: bool) -> LocalCaller:
        from pwd import getpwuid

        uid = 0 if as_root else self.services.config.exim_uid
        gid = 0 if as_root else self.services.config.exim_gid
        try:
            entry = getpwuid(uid)
            return LocalCaller(uid, gid, entry.pw_name, full_name(entry.pw_gecos, entry.pw_name, self.services), True, True)
        except KeyError:
            return LocalCaller(uid, gid, str(uid), "", trusted=True, admin=True)
