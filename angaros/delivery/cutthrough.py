"""A recipient's callout keeps its connection, and that carries the message on: at once (`control = cutthrough_delivery`, Exim
spec 44.22), or when the message is delivered (`callout=hold`, 44.47; see `transports.smtp_held`).

Cutthrough: the message goes out when it has been accepted here and before the client hears of it, so that client and next host
get the same answer. Laws:
- One connection for one message: same transport, host, port and sender for all recipients; else everything is spooled as usual.
- No other callout comes between: one that does not fit ends the connection.
- The next host's acceptance is final (nothing is queued then); its refusal is passed to the client; anything else is spooled,
  or passed on too with `defer=pass`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from angaros.logs import lines
from angaros.logs.peer import host_and_ident
from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import ExpansionError
from angaros.model.outcome import Outcome, Verdict
from angaros.model.verify import CalloutOptions, VerifyOptions
from angaros.smtp.client import ClientFailure, ClientReply
from angaros.smtp.transaction import dotted
from angaros.transports.headers import TransportError, expand_items, header_text
from angaros.transports.recipients import envelope_recipient

if TYPE_CHECKING:
    from angaros.delivery.callout import Callout
    from angaros.delivery.callout_session import CalloutSession
    from angaros.model.delivery import Host
    from angaros.model.message import Message
    from angaros.model.scope import Scope

COMMAND_TIMEOUT = 30
"""Seconds for a callout that only opens the connection."""
FINAL_TIMEOUT = 600
"""Seconds for the reply to the final dot. RFC 5321 4.5.3.2.6."""

NOT_ACCEPTED = "450 Onward transmission not accepted"


@dataclass(slots=True)
class HeldConnection:
    """A connection after MAIL and at least one RCPT."""

    session: CalloutSession
    sender: str
    wanted: bool
    """The message is to go over it before it is accepted."""
    lasting: bool = False
    """`callout=hold`: the delivery of the message may have it."""
    routed: list[Delivery] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    """RCPT commands that were accepted."""

    def fits(self, routed: Delivery, host: Host, sender: str) -> bool:
        """Whether another recipient may use it."""
        mine = self.session
        return (
            mine.delivery.transport == routed.transport
            and mine.host.address == host.address
            and mine.host.port == host.port
            and self.sender == sender
        )

    def ask(self, routed: Delivery) -> ClientReply:
        """RCPT for another recipient. Raises `ClientFailure`."""
        command = f"RCPT TO:<{envelope_recipient(routed, self.session.instance)}>"
        reply = self.session.command(command)
        if reply.ok:
            self.routed.append(routed)
            self.commands.append(command)
        return reply

    def cancel(self, why: str) -> None:
        """Give it up."""
        log = self.session.scope.services.log
        if log.debugging("v"):
            log.debug("v", f"cutthrough cancel: {why}")
        self.session.close()

    close = cancel


def hold(call: Callout, session: CalloutSession) -> bool:
    """Keep the connection of a callout that succeeded; whether it is kept."""
    message = call.scope.message
    if message is None or message.effects.cutthrough_connection is not None:
        return False
    lasting = call.options.hold and session.remember_way()
    wanted = message.effects.cutthrough and not _needs_whole_message(session)
    if not wanted and not lasting:
        return False
    rcpt = f"RCPT TO:<{session.recipient}>"
    held = HeldConnection(session, call.sender, wanted, lasting, [call.delivery], [rcpt])
    message.effects.cutthrough_connection = held
    return True


def _needs_whole_message(session: CalloutSession) -> bool:
    """What the transport puts before the message depends on all of it: a filter, a signature. # Exim spec 44.13"""
    options = session.instance.options
    if options.transport_filter or options.arc_sign:
        return True
    try:
        return bool(options.dkim_domain and session.scope.expand(options.dkim_domain))
    except ExpansionError:
        return True


def held_by(message: Message | None) -> HeldConnection | None:
    """The connection that is kept for the message."""
    found = message.effects.cutthrough_connection if message is not None else None
    return found if isinstance(found, HeldConnection) else None


def drop(message: Message, why: str) -> None:
    """No cutthrough delivery for this message."""
    held = held_by(message)
    message.effects.cutthrough = False
    message.effects.cutthrough_connection = None
    if held is not None:
        held.cancel(why)


def hand_on(message: Message, *, delivered_now: bool) -> None:
    """The message is ours: its delivery, if it follows at once, gets the connection."""
    held = held_by(message)
    if held is None:
        return
    open_transaction = held.session.open_transaction(held.commands) if held.lasting and delivered_now else None
    if open_transaction is None:
        drop(message, "not usable for delivery")
        return
    message.effects.cutthrough_connection = None
    message.effects.open_transaction = open_transaction


def after_rcpt(scope: Scope) -> Verdict | None:
    """After the RCPT ACL has accepted `scope.delivery`: get it onto the connection. A verdict: refuse the recipient after all."""
    message, delivery = scope.message, scope.delivery
    if message is None or delivery is None or not message.effects.cutthrough:
        return None
    if message.extensions is not None:  # its time, or how it may be sent, is decided on the road of the queue
        drop(message, "extensions of the envelope")
        return None
    held = held_by(message)
    if held is not None and any(one.root().address == delivery.address for one in held.routed):
        held.wanted = not _needs_whole_message(held.session)
        return None
    by_transport = message.effects.cutthrough_transport_sender
    callout = CalloutOptions(
        timeout=COMMAND_TIMEOUT, use_sender=not by_transport, use_transport_sender=by_transport, no_cache=True
    )
    options = VerifyOptions(callout=callout)
    result = scope.services.verifier.verify_address(delivery.address, scope, is_recipient=True, options=options)
    if result.outcome is Outcome.ACCEPT:
        if held_by(message) is None:
            drop(message, "not usable for cutthrough")
        return None
    if result.outcome is Outcome.DENY:
        drop(message, "recipient refused")
        return Verdict(Outcome.DENY)
    passes = message.effects.cutthrough_defer_pass
    drop(message, "recipient deferred")
    return Verdict(Outcome.DEFER, result.details, bare_log=True) if passes else None


# --- The message ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outward:
    """What came of it."""

    status: str
    """`none` (there was no connection), `delivered`, `spool`, `refused`."""
    reply: str = ""
    """`refused`: the reply for the client, with its code."""


def deliver(scope: Scope, body: Iterable[bytes]) -> Outward:
    """Send the accepted message (headers of `scope.message`, `body` with LF line ends) over the kept connection, and log it."""
    message = scope.message
    held = held_by(message)
    if message is None or held is None:
        return Outward("none")
    if not held.wanted or {one.root().address for one in held.routed} != {one.address for one in message.recipients}:
        if not held.lasting:
            drop(message, "recipients differ")
        return Outward("none")
    message.effects.cutthrough_connection = None
    started = scope.services.clock.now()
    try:
        reply = _send(scope, held, body)
    except ClientFailure as failure:
        held.cancel(failure.text)
        return _unanswered(message)
    except TransportError as error:
        scope.services.log.write(str(error), message_id=message.id, panic=error.panic)
        held.cancel(str(error))
        return Outward("spool")
    outward = _settle(scope, held, reply, started)
    held.session.close()
    return outward


def _send(scope: Scope, held: HeldConnection, body: Iterable[bytes]) -> ClientReply:
    """DATA, header, body, dot; the last reply."""
    session = held.session.session
    assert session is not None
    client = session.client
    under = held.session.scope.child(held.routed[0])
    under.message = scope.message
    header = _header(under, held)
    go_ahead = client.command("DATA")
    if go_ahead.code // 100 != 3:
        return go_ahead
    head = (header + "\n").replace("\n", "\r\n").encode("latin-1")
    client.write_data(dotted(_chain(head, body)))
    client.label = "end of data"
    return client.read_reply(FINAL_TIMEOUT)


def _header(scope: Scope, held: HeldConnection) -> str:
    """The header lines. For each that the transport's `headers_add` yields, Exim (4.96, 4.99) sends an empty line instead."""
    instance = held.session.instance
    added = instance.options.headers_add
    if not added:
        return header_text(scope, held.routed, instance, _return_path(held))
    bare = replace(instance, options=instance.options.with_(headers_add=None))
    lost = expand_items(scope, added, "\n", f"headers_add in {instance.name} transport")
    return header_text(scope, held.routed, bare, _return_path(held)) + "\n" * len(lost)


def _chain(head: bytes, body: Iterable[bytes]) -> Iterable[bytes]:
    yield head
    for chunk in body:
        yield chunk.replace(b"\n", b"\r\n")


def _unanswered(message: Message) -> Outward:
    if message.effects.cutthrough_defer_pass:
        return Outward("refused", NOT_ACCEPTED)
    return Outward("spool")


def _settle(scope: Scope, held: HeldConnection, reply: ClientReply, started: float) -> Outward:
    message, log = scope.message, scope.services.log
    assert message is not None
    result = _result(scope, held, reply, started)
    how = lines.Attempt(return_path=_return_path(held), now=scope.services.clock.now())
    if reply.ok:
        for routed in reversed(held.routed):
            log.write(lines.delivery_line(">>", routed, result, message, log, how), message_id=message.id)
        return Outward("delivered")
    what = "rejected" if reply.permanent else "tmp-reject from cutthrough"
    session = scope.session
    assert session is not None
    for routed in held.routed:
        tail = lines.delivery_line("", replace(routed, address=""), result, message, log, how).partition(" R=")[2]
        envelope = f"{routed.address} F=<{message.sender_address}> P=<{how.return_path}>"
        log.write(f"{host_and_ident(session, log)} {envelope} {what} after DATA: R={tail}", message_id=message.id)
    if reply.permanent or message.effects.cutthrough_defer_pass:
        return Outward("refused", reply.text)
    return Outward("spool")


def _result(scope: Scope, held: HeldConnection, reply: ClientReply, started: float) -> DeliveryResult:
    session = held.session.session
    assert session is not None
    return DeliveryResult(
        "ok" if reply.ok else "defer",
        host=replace(session.host, port=session.port),
        smtp_response=reply.text,
        tls=replace(session.tls, certificate_verified=False) if session.tls is not None else None,  # Exim's log forgets it
        authenticator=session.authenticator if session.authenticated else "",
        auth_id=session.auth_id,
        local_address=session.stream.local_address,
        local_port=session.stream.local_port,
        proxy_address=session.proxy_address,
        proxy_port=session.proxy_port,
        started=started,
        finished=scope.services.clock.now(),
    )


def _return_path(held: HeldConnection) -> str:
    return held.sender
