"""Sending one copy over an open session, and turning what happened into results for its addresses (Exim spec 48.2).

Laws:
- A failure is a host's, a message's or a recipient's; the kind decides which retry record is made.
- An address that was put off at this host is `pending`: the next host may take it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import ExpansionError, ForcedFailure, Why
from angaros.model.events import raise_event
from angaros.model.message import (
    DSN_NOTIFY_DELAY,
    DSN_NOTIFY_FAILURE,
    DSN_NOTIFY_NEVER,
    DSN_NOTIFY_SUCCESS,
    DSN_RET_FULL,
    DSN_RET_HDRS,
)
from angaros.smtp.client import IO, TIMEOUT, ClientFailure, ClientReply, EarlyFailure
from angaros.smtp.grammar import encode_xtext
from angaros.smtp.transaction import DEFERRED, DONE, FAILED, DataSource, Envelope, Features, RcptOutcome, Transaction
from angaros.transports.dkim_sign import SigningDeferred, wants_signing
from angaros.transports.headers import TransportError, header_text
from angaros.transports.recipients import envelope_recipient
from angaros.transports.smtp_extensions import is_relayed, parameters
from angaros.transports.smtp_hosts import SetupError, protocol_of, waiting_key
from angaros.transports.smtp_hosts import expand_host_list_option as listed
from angaros.transports.smtp_session import SessionFailure, SmtpSession
from angaros.transports.writer import read_body, to_lf

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Host
    from angaros.model.scope import Scope
    from angaros.transports.attempt import Attempt
    from angaros.transports.smtp_filter import FilteredSource

HOST, MESSAGE, RECIPIENT = "host", "message", "recipient"


class StaleSession(Exception):
    """A kept session turned out to be over: nothing has happened to the message; take a new one."""


@dataclass(slots=True)
class Item:
    """One address under way."""

    delivery: Delivery
    result: DeliveryResult = field(default_factory=DeliveryResult)
    pending: bool = True
    """Not delivered and not failed: the next host may be tried."""


@dataclass(slots=True)
class Copy:
    """One copy of the message: what all hosts that are tried get."""

    instance: DriverInstance[Any]
    attempt: Attempt
    scope: Scope
    items: list[Item]
    followed: bool = False
    """A line for this connection has been made: further addresses are logged with `->`."""
    waiting: dict[str, None] = field(default_factory=dict)
    """Names of hosts that the message waits for."""
    last_failure: str = ""
    """Kind of the failure that ended the last transaction."""
    again: list[Item] = field(default_factory=list)
    """Recipients that the last transaction had no room for: the next one on this connection is theirs."""
    deferred_text: str = ""
    deferred_errno: int = 0
    """The last host or message error: for the event at the end."""
    _source: DataSource | None = None
    _source_items: tuple[int, ...] = ()

    def pending(self) -> list[Item]:
        """Addresses that are neither delivered nor refused."""
        return [item for item in self.items if item.pending]

    def event(self, name: str, data: str, number: int, item: Item) -> None:
        """One of the `msg:` events of the transport."""
        action = self.instance.options.event_action
        if action:
            scope = self.scope.child(item.delivery, router_name=item.delivery.router)
            raise_event(action, name, data, scope, number)

    def host_deferred(self, text: str, number: int) -> None:
        """A host, or the message at a host, failed for now."""
        self.deferred_text, self.deferred_errno = text, number
        self.event("msg:host:defer", text, number, self.items[0])

    def source(self, items: list[Item]) -> DataSource:
        """The data for these addresses; made once as long as they stay the same."""
        key = tuple(id(item) for item in items)
        if self._source is None or self._source_items != key:
            deliveries = [item.delivery for item in items]
            try:
                text = header_text(self.scope, deliveries, self.instance, self.attempt.return_path)
            except TransportError as error:
                raise SetupError(str(error), error.errno or int(Why.EXPAND_FAIL), panic=error.panic) from None
            plain = MessageSource(self.attempt, text, self.instance.options)
            filters = bool(self.instance.options.transport_filter)
            self._source = plain if not filters else self._filtered(plain, deliveries)
            if wants_signing(self.instance.options):
                from angaros.transports.signed_source import SignedSource

                self._source = SignedSource(self._source, self.instance.options, self.scope, whole_in_body=filters)
            self._source_items = key
        return self._source

    def _filtered(self, plain: MessageSource, deliveries: list[Delivery]) -> FilteredSource:
        from angaros.transports.smtp_filter import run_filter

        return run_filter(self.instance, deliveries, self.scope, to_lf(chain((plain.header(),), plain.body())))


class MessageSource:
    """Header and body as SMTP wants them (`smtp.transaction.DataSource`)."""

    def __init__(self, attempt: Attempt, header: str, options: Any) -> None:
        self._message = attempt.message
        self._lock = attempt.lock
        data = header.encode("latin-1")
        self._header = b"" if options.body_only else (data + b"\n").replace(b"\n", b"\r\n")
        self._with_body = not options.headers_only

    def header(self) -> bytes:
        """Header lines and the empty line."""
        return self._header

    def body_size(self) -> int | None:
        """Octets on the wire."""
        message = self._message
        if not self._with_body:
            return 0
        return message.body_size if message.wireformat else message.body_size + message.body_linecount

    def body(self) -> Iterable[bytes]:
        """The body with CRLF line ends."""
        if not self._with_body or not self._message.body_size:
            return ()
        return self._pieces() if self._message.wireformat else (p.replace(b"\n", b"\r\n") for p in self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        message = self._message
        if self._lock is not None:
            yield from read_body(self._lock.fd, message.body_offset, message.body_size)
            return
        fd = os.open(message.body_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield from read_body(fd, message.body_offset, message.body_size)
        finally:
            os.close(fd)


TOO_MANY = 452
"""The server takes no more recipients with this message; the rest may follow at once. RFC 5321 4.5.3.1.10"""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What follows after a transaction."""

    last_host: bool
    """No other host is tried."""
    host_keys: tuple[str, str]
    """Retry keys: the host's, the message's at this host."""
    used_again: Callable[[], bool]
    """Whether there will be another message on this connection."""


def send(copy: Copy, session: SmtpSession, items: list[Item], prospect: Prospect) -> bool:
    """Send to `items`; their results are filled in. Returns whether the session is good for another message. Raises
    `StaleSession`, `SessionFailure`, `SetupError`."""
    host_keys = prospect.host_keys
    session.sequence += 1
    copy.followed, copy.last_failure = False, ""
    copy.again.clear()
    for item in items:
        item.result = fresh_result(session, copy, item)
    transaction = _transaction(copy, session, items)
    if session.open is not None:
        _go_on(session, transaction)
    else:
        transaction.used_again = lambda: _too_many(transaction) or prospect.used_again()
    try:
        reply = transaction.run()
    except SigningDeferred as deferred:
        _spread(copy, session, items, transaction, _not_signed(session, deferred), host_keys)
        return False
    except EarlyFailure:
        raise
    except ClientFailure as failure:
        if _over(session, transaction) and (failure.reply is None or failure.reply.code == 421):
            session.close(say_quit=False)
            raise StaleSession from None
        _spread(copy, session, items, transaction, failure, host_keys)
        return False
    except SetupError:
        if transaction.stage == "block":  # DATA cannot be taken back
            session.close(say_quit=False)
        raise
    session.reused = False
    if transaction.closed_early:
        text = "peer close after all rcpt responses; converting i/o-error to no-error"
        copy.scope.services.log.write(text, message_id=copy.attempt.message.id)
    if transaction.prdr_used:
        session.used.add("prdr")
    _settle(copy, session, items, transaction, reply)
    if not prospect.last_host:
        _log_put_off(copy, session, items)
    if transaction.clean and not transaction.quit_sent:
        return True
    session.close(say_quit=False, quit_said=transaction.quit_sent)
    return False


def _too_many(transaction: Transaction) -> bool:
    """Whether recipients are left over for another transaction."""
    return any(outcome.reply is not None and outcome.reply.code == TOO_MANY for outcome in transaction.outcomes)


def _go_on(session: SmtpSession, transaction: Transaction) -> None:
    """The transaction that a callout has opened, if it is this one. Raises `StaleSession`."""
    opened, session.open = session.open, None
    if opened is None or not opened.fits(transaction.envelope):
        session.close()
        raise StaleSession
    transaction.features.prdr = False
    transaction.opened = True


def _over(session: SmtpSession, transaction: Transaction) -> bool:
    """Whether a failure may only mean that the server did not wait for us: nothing of the message was sent."""
    return session.reused if transaction.stage == "mail" else transaction.opened and transaction.stage == "data"


def _not_signed(session: SmtpSession, deferred: SigningDeferred) -> ClientFailure:
    """Exim takes it for a failure to write. # Exim spec 58.2, dkim_strict"""
    host = f"{session.host.name} [{session.host.address}]"
    reason = deferred.args[0]
    return ClientFailure(IO, f"smtp send to {host} failed: {reason}" if reason else host, number=errno.EACCES)


def fresh_result(session: SmtpSession, copy: Copy, item: Item) -> DeliveryResult:
    """A result that knows the connection."""
    client = session.client
    startup, session.startup = session.startup, ""
    return DeliveryResult(
        startup=startup,
        host=replace(session.host, port=session.port),
        tls=session.tls,
        authenticator=session.authenticator if session.authenticated else "",
        auth_id=session.auth_id,
        smtp_greeting=client.greeting.text,
        helo_response=client.hello_reply.text,
        local_address=session.stream.local_address,
        local_port=session.stream.local_port,
        proxy_address=session.proxy_address,
        proxy_port=session.proxy_port,
        sequence=session.sequence,
        started=item.result.started or copy.scope.services.clock.now(),
        return_path=copy.attempt.return_path,
        retries=item.result.retries,
    )


# --- The commands ------------------------------------------------------------------------------------------------------


def _transaction(copy: Copy, session: SmtpSession, items: list[Item]) -> Transaction:
    options, client, host, scope = copy.instance.options, session.client, session.host, copy.scope
    offered = client.features
    lmtp = protocol_of(options) == "lmtp"
    features = Features(
        pipelining="PIPELINING" in offered and not session.turned and session.may_pipeline,
        chunking="CHUNKING" in offered
        and (not options.transport_filter or wants_signing(options))
        and listed(options.hosts_try_chunking, "hosts_try_chunking", host, scope),
        prdr=len(items) > 1 and not lmtp and "PRDR" in offered and listed(options.hosts_try_prdr, "hosts_try_prdr", host, scope),
        lmtp=lmtp,
        all_or_nothing=copy.scope.services.config.main.mua_wrapper,
    )
    session.used = {name for name in ("pipelining", "chunking") if getattr(features, name)}
    if session.early and session.sequence == 1:
        session.used.add("early_pipe")
    if session.stream.fast_open and session.sequence == 1:
        session.used.add(session.stream.fast_open)
    convert = _downconversion(copy, session)
    mail = _mail_command(copy, session, items, features, convert)
    dsn = "DSN" in offered
    quota = lmtp and options.lmtp_ignore_quota and "IGNOREQUOTA" in offered
    recipients = []
    for item in items:
        address = _converted(envelope_recipient(item.delivery, copy.instance), convert)
        label = f"RCPT TO:<{address}>"
        command = label + (" IGNOREQUOTA" if quota else "")
        if dsn and not item.delivery.dsn_lasthop:
            command += _rcpt_parameters(item.delivery)
        recipients.append((command, label))
    return Transaction(client, Envelope(mail, recipients), copy.source(items), features)


def _mail_command(copy: Copy, session: SmtpSession, items: list[Item], features: Features, convert: bool) -> str:
    """`MAIL FROM:<sender>` and its parameters (RFC 1870, PRDR, RFC 6531, RFC 3461, RFC 4954)."""
    options, message, offered = copy.instance.options, copy.attempt.message, session.client.features
    command = f"MAIL FROM:<{_converted(copy.attempt.return_path, convert)}>"
    if "SIZE" in offered and options.size_addition >= 0:
        command += f" SIZE={message.message_size + message.body_linecount + options.size_addition}"
    if features.prdr:
        command += " PRDR"
    if message.smtputf8 and not convert:
        command += " SMTPUTF8"
        session.used.add("smtputf8")
    if "DSN" in offered and not all(item.delivery.dsn_lasthop for item in items):
        session.used.add("dsn")
        if message.dsn_ret == DSN_RET_HDRS or message.requiretls:  # RFC 8689 5
            command += " RET=HDRS"
        elif message.dsn_ret == DSN_RET_FULL:
            command += " RET=FULL"
        if message.dsn_envid:
            command += f" ENVID={message.dsn_envid}"
    if message.extensions is not None:
        final, bounce = features.lmtp, not copy.attempt.return_path
        command += parameters(message, session, copy.scope.services.clock.now(), final=final, bounce=bounce)
    return command + _auth_parameter(copy, session)


def _auth_parameter(copy: Copy, session: SmtpSession) -> str:
    """AUTH= (Exim spec 30.4, authenticated_sender; RFC 4954 5)."""
    options = copy.instance.options
    sender = copy.attempt.message.session.authenticated_sender
    if options.authenticated_sender:
        try:
            sender = copy.scope.expand(options.authenticated_sender) or sender
        except ForcedFailure:
            pass
        except ExpansionError as error:
            raise SetupError(f"failed to expand authenticated_sender: {error}", int(Why.EXPAND_FAIL)) from None
    if not sender or not (session.authenticated or options.authenticated_sender_force):
        return ""
    session.auth_sender = sender
    return f" AUTH={encode_xtext(sender)}" if "AUTH" in session.client.features or options.authenticated_sender_force else ""


def _rcpt_parameters(delivery: Delivery) -> str:
    """NOTIFY and ORCPT. RFC 3461 4.1, 4.2."""
    flags = delivery.dsn_flags
    if flags & DSN_NOTIFY_NEVER:
        text = " NOTIFY=NEVER"
    else:
        names = [
            name
            for bit, name in ((DSN_NOTIFY_SUCCESS, "SUCCESS"), (DSN_NOTIFY_FAILURE, "FAILURE"), (DSN_NOTIFY_DELAY, "DELAY"))
            if flags & bit
        ]
        text = f" NOTIFY={','.join(names)}" if names else ""
    return text + (f" ORCPT={delivery.orcpt}" if delivery.orcpt else "")


# --- SMTPUTF8 ----------------------------------------------------------------------------------------------------------


def _downconversion(copy: Copy, session: SmtpSession) -> bool:
    """Whether addresses go out as A-labels (Exim spec 60.1). A failure when the host can take them neither way."""
    message = copy.attempt.message
    if not message.smtputf8:
        return False
    wanted = message.utf8_downgrade
    try:
        text = copy.scope.expand(copy.instance.options.utf8_downconvert).strip()
    except ExpansionError as error:
        raise SetupError(f"failed to expand utf8_downconvert: {error}", int(Why.EXPAND_FAIL)) from None
    if text in ("1", "0", "-1"):
        wanted = int(text)
    offered = "SMTPUTF8" in session.client.features
    if wanted == 1 or (wanted == -1 and not offered):
        return True
    if not offered:
        raise SessionFailure("utf8 support required but not offered for forwarding", int(Why.UTF8_FORWARD), permanent=True)
    return False


def _converted(address: str, convert: bool) -> str:
    if not convert or address.isascii():
        return address
    import idna

    local_part, at, domain = address.rpartition("@")
    if not local_part.isascii():
        wide = local_part.encode("latin-1").decode("utf-8", "replace")
        local_part = "xn--" + wide.encode("punycode").decode("ascii")
    try:
        domain = idna.encode(domain.encode("latin-1").decode("utf-8"), uts46=True).decode("ascii")
    except (UnicodeError, idna.IDNAError):
        pass
    return local_part + at + domain


# --- Results -----------------------------------------------------------------------------------------------------------


def _settle(copy: Copy, session: SmtpSession, items: list[Item], transaction: Transaction, reply: ClientReply | None) -> None:
    """The conversation came to its end: each address by its own outcome."""
    go_on = transaction.features.pipelining and any(outcome.status == DONE for outcome in transaction.outcomes)
    for item, outcome in zip(items, transaction.outcomes, strict=True):
        if outcome.status == DONE:
            _delivered(copy, session, item, transaction, outcome)
        elif go_on and outcome.stage == "rcpt" and outcome.reply is not None and outcome.reply.code == TOO_MANY:
            _put_off(item, outcome.reply.text, int(Why.RCPT_4XX))
            copy.again.append(item)
        elif outcome.status in (DEFERRED, FAILED):
            _refused(copy, session, item, transaction, outcome)
        else:  # accepted, but nothing came of it: when in doubt, defer
            _put_off(item, "no reply for this recipient", 0)


def _delivered(copy: Copy, session: SmtpSession, item: Item, transaction: Transaction, outcome: RcptOutcome) -> None:
    result = item.result
    result.status = "ok"
    item.pending = False
    result.used = frozenset(session.used)
    result.smtp_response = outcome.reply.text if outcome.reply is not None else ""
    result.size = transaction.client.written
    if outcome is transaction.outcomes[0]:  # the others share its copy; the log names the signatures once
        result.dkim = getattr(transaction.source, "dkim_log", "")
    result.auth_sender = session.auth_sender
    if transaction.features.all_or_nothing:
        result.detail["sent_as"] = transaction.label(outcome)[9:-1], transaction.envelope.mail[11:].partition(">")[0]
    result.dsn_passed_on = "dsn" in session.used and not item.delivery.dsn_lasthop
    result.detail["relayed"] = not transaction.features.lmtp and is_relayed(copy.attempt.message, session)
    result.finished = copy.scope.services.clock.now()
    result.followed = copy.followed
    copy.followed = True


def _refused(copy: Copy, session: SmtpSession, item: Item, transaction: Transaction, outcome: RcptOutcome) -> None:
    """RCPT, or the reply for this recipient after the data, was an error."""
    reply = outcome.reply
    assert reply is not None
    if outcome.stage == "rcpt":
        label = transaction.label(outcome)
        text = f"{session.client.remote} after {label}: {reply.text}"
    else:
        kind = "LMTP" if transaction.features.lmtp else "PRDR"
        text = f"{kind} error after DATA: {reply.text}"
    item.result.message = item.result.user_message = text
    item.result.smtp_response = reply.text
    item.result.more_errno = _more_errno(reply, session)
    if outcome.status == FAILED:
        if outcome.stage == "rcpt":
            copy.attempt.log_message(f"{host_text(copy, session.host.name, session.host.address, session.port)} {text}")
        item.result.status = "fail"
        item.pending = False
        return
    if outcome.stage != "rcpt":
        _note_address(copy, item)
        if not transaction.features.lmtp:
            copy.waiting[waiting_key(session.host)] = None
    else:
        item.result.basic_errno = int(Why.RCPT_4XX)
        _note_address(copy, item)
        number = item.result.more_errno
        copy.event("msg:rcpt:host:defer", text, number, item)
        copy.event("msg:rcpt:defer", text, number, item)


def _more_errno(reply: ClientReply, session: SmtpSession) -> int:
    """For retry rules: the last two digits of the code, and whether the host came from an MX record."""
    return reply.code % 100 << 8 | via(session.host)


def via(host: Host) -> int:
    """How the host was found, for retry rules."""
    return ord("M" if host.mx >= 0 else "A")


def _note_address(copy: Copy, item: Item) -> None:
    """Retry data for the recipient (Exim spec 30.4, address_retry_include_sender)."""
    delivery, result = item.delivery, item.result
    key = f"R:{delivery.cased_local_part or delivery.local_part}@{delivery.domain}"
    if copy.instance.options.address_retry_include_sender:
        key += f":<{copy.attempt.message.sender_address}>"
    text = f"{_host_name(result.host)}: {result.message}" if result.host is not None else result.message
    result.retries.append((key, "update", result.basic_errno, result.more_errno, text))


def _host_name(host: Host) -> str:
    """How retry records name the host that said something."""
    return f"H={host.name} [{host.address}]"


def _put_off(item: Item, text: str, number: int, more: int = 0) -> None:
    item.result.status = "defer"
    item.result.message = text
    item.result.basic_errno = number
    item.result.more_errno = more


def classify(failure: ClientFailure, stage: str) -> str:
    """Whose fault a failure in a transaction is (Exim spec 48.2)."""
    if failure.reply is not None:
        return MESSAGE
    if failure.kind == TIMEOUT and stage == "mail":
        return MESSAGE
    if failure.kind == TIMEOUT and stage == "rcpt":
        return RECIPIENT
    return MESSAGE if stage == "end" else HOST


_REPLY_ERRNO = {"mail": Why.MAIL_4XX, "data": Why.DATA_4XX, "block": Why.DATA_4XX, "end": Why.DATA_4XX}


def _spread(
    copy: Copy, session: SmtpSession, items: list[Item], transaction: Transaction, failure: ClientFailure, keys: tuple[str, str]
) -> None:
    """The transaction broke: what was already said about single recipients stands, the rest shares the failure."""
    kind = copy.last_failure = classify(failure, transaction.stage)
    number, more = failure.errno, 0
    if failure.reply is not None:
        temporary = failure.reply.code // 100 == 4
        more = _more_errno(failure.reply, session) if temporary else via(session.host)
        number = int(_REPLY_ERRNO[transaction.stage]) if temporary else 0
    refused_together = transaction.features.all_or_nothing and failure.reply is not None
    for position, (item, outcome) in enumerate(zip(items, transaction.outcomes, strict=True)):
        if not refused_together and (outcome.status == FAILED or (outcome.status == DEFERRED and failure.reply is not None)):
            _refused(copy, session, item, transaction, outcome)
            continue
        if outcome.status == DONE:
            _delivered(copy, session, item, transaction, outcome)
            continue
        _put_off(item, failure.text, number, more)
        if failure.reply is not None:
            item.result.smtp_response = failure.reply.text
            item.result.user_message = failure.text
        if failure.permanent or refused_together:
            item.result.status = "fail"
            item.pending = False
            item.result.host = item.result.host or session.host
        elif kind == RECIPIENT:
            if position == transaction.failed_rcpt:
                _note_address(copy, item)
            elif position > transaction.failed_rcpt:
                item.result.host = None  # it was not asked about
        else:
            key = keys[0] if kind == HOST else keys[1]
            text = f"{_host_name(session.host)}: {failure.text}"
            item.result.retries.append((key, "update", number, more, text))
    if transaction.stage == "block" and failure.reply is None:
        session.close(say_quit=False)
    if not failure.permanent and not refused_together and kind != RECIPIENT:
        log_host_line(copy, session, failure.text, failure.errno)
    session.close(say_quit=failure.reply is not None, quit_said=transaction.quit_sent)
    if not failure.permanent and not refused_together and kind != RECIPIENT:
        text = failure.text + (f": {os.strerror(failure.errno)}" if failure.errno > 0 else "")
        if kind == HOST:
            copy.waiting[waiting_key(session.host)] = None
            copy.host_deferred(text, number)
        else:
            copy.deferred_text, copy.deferred_errno = text, number


def host_text(copy: Copy, name: str, address: str, port: int) -> str:
    """`H=name [address]`, with the port when it is logged."""
    shown = f":{port}" if copy.scope.services.log.selected("outgoing_port") else ""
    return f"H={name} [{address}]{shown}"


def log_host_line(copy: Copy, session: SmtpSession, text: str, number: int) -> None:
    """What went wrong at a host, in main log and message log."""
    line = f"{host_text(copy, session.host.name, session.host.address, session.port)}: {text}"
    if number > 0:
        line += f": {os.strerror(number)}"
    copy.attempt.log_both(line)


def _log_put_off(copy: Copy, session: SmtpSession, items: list[Item]) -> None:
    """Recipients that another host will be asked for."""
    where = host_text(copy, session.host.name, session.host.address, session.port)
    for item in items:
        if item.pending and item.result.basic_errno == Why.RCPT_4XX:
            copy.attempt.log_both(f"{where} {item.result.message}")
