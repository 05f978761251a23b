"""Texts of the lines that tell a message's story: `<=`, `=>`, `->`, `>>`, `*>`, `**`, `==`, `Completed` (Exim spec 53.5-53.15).

Each builder returns the text behind the time stamp and the message id. Order and form of the fields are Exim's: programs take
these lines apart.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.logs.peer import local_interface, sender_fullhost
from angaros.logs.text import printing, quoted
from angaros.logs.times import duration_precise, tod_iso_utc

if TYPE_CHECKING:
    from angaros.model.delivery import Delivery, DeliveryResult
    from angaros.model.extensions import Extensions
    from angaros.model.interfaces import Log
    from angaros.model.message import Message
    from angaros.model.session import Session
    from angaros.model.tls import TlsFacts


@dataclass(slots=True)
class Arrival:
    """Facts of an arrival that are neither in the message nor in its session."""

    size: int
    """Octets received, headers and body."""
    fake_reject: bool = False
    """The peer was told that it is refused (`control = fakereject`): flag `(=`."""
    reference: str = ""
    """Id of the message that this bounce is about."""
    message_id_header: str = ""
    """Message-ID without angle brackets."""
    message_id_created: bool = False
    """We made it."""
    subject: str = ""
    """Decoded."""
    sender: str | None = None
    """As received, before rewriting, for `received_sender`."""
    recipients: Sequence[str] = ()
    """As accepted, for `received_recipients`."""
    reception_seconds: float = 0.0
    connection_id: str = ""
    pipelining_advertised: bool = False
    pipelining_used: bool = False
    early_pipe: str = ""
    """`*`: used at connection time; `.`: offered for that and not used."""
    fast_open: str = ""
    """`TFO`, `TFO*` (data came with the SYN)."""
    prdr: bool = False
    chunking: bool = False
    spf: str = ""
    dkim: str = ""
    """Domain of a good signature."""
    arc: bool = False
    dmarc: str = ""
    body_declared: int = 0
    """BODY=: 0, 7, 8."""
    queue_name: str = ""
    top_bit: bool = False
    """`print_topbitchars`."""


def arrival_lines(message: Message, facts: Arrival, log: Log) -> tuple[str, str]:
    """The `<=` line, and the `Received from` line of the message log."""
    session = message.session
    out = [message.sender_address or "<>"]
    if facts.reference:
        out.append(f"R={facts.reference}")
    _peer_fields(session, facts, log, out)
    if session.tls is not None:
        _tls_fields(session.tls, log, out, arrival=True, top_bit=facts.top_bit)
    if session.sender_host_authenticated:
        out.append(_authentication(session, log))
    if facts.prdr:
        out.append("PRDR")
    if session.proxy_session and log.selected("proxy"):
        out.append(f"PRX={session.proxy_local_address}")
    if facts.chunking:
        out.append("K")
    if message.extensions is not None:
        out += _extension_fields(message.extensions)
    if facts.spf and (field := spf_field(facts.spf, log)):
        out.append(field)
    out.append(f"S={facts.size}")
    _content_fields(facts, log, out)
    received = f"Received from {' '.join(out)}"
    if log.selected("received_sender"):
        out.append(f"from <{message.sender_address if facts.sender is None else facts.sender}>")
    if facts.recipients and log.selected("received_recipients"):
        out.append("for")
        out.extend(facts.recipients)
    return f"{'(=' if facts.fake_reject else '<='} {' '.join(out)}", received


def _extension_fields(wanted: Extensions) -> list[str]:
    """What FUTURERELEASE, DELIVERBY, MT-PRIORITY, REQUIRETLS ask for: `HOLD=<time> BY=<time>;R PRIO=3 RTLS`."""
    out = [f"HOLD={tod_iso_utc(wanted.release)}"] if wanted.release else []
    if wanted.by_mode:
        out.append(f"BY={tod_iso_utc(wanted.by)};{wanted.by_mode}{'T' if wanted.by_trace else ''}")
    if wanted.priority is not None:
        out.append(f"PRIO={wanted.priority}")
    if wanted.requiretls:
        out.append("RTLS")
    return out


def spf_field(result: str, log: Log) -> str:
    """`SPF=<result>` with `spf_verbose`, `SPF` for a pass with `spf`. Exim spec 53.9, 53.16"""
    if log.selected("spf_verbose"):
        return f"SPF={result}"
    return "SPF" if result == "pass" and log.selected("spf") else ""


def _peer_fields(session: Session, facts: Arrival, log: Log, out: list[str]) -> None:
    full = sender_fullhost(session, with_port=log.selected("incoming_port"))
    if full:
        if session.sender_host_dnssec and log.selected("dnssec"):
            out.append("DS")
        out.append(f"H={full}")
        interface = local_interface(session, log)
        if interface:
            out.append(interface)
    if facts.fast_open:
        out.append(facts.fast_open)
    if session.sender_ident:
        out.append(f"U={session.sender_ident}")
    if facts.connection_id and log.selected("connection_id"):
        out.append(f"Ci={facts.connection_id}")
    if session.protocol:
        out.append(f"P={session.protocol}")
    if facts.pipelining_advertised and log.selected("pipelining"):
        out.append(f"L{facts.early_pipe}{'' if facts.pipelining_used else '-'}")


def _authentication(session: Session, log: Log) -> str:
    text = f"A={session.sender_host_authenticated}"
    if session.authenticated_id:
        text += f":{session.authenticated_id}"
        if session.authenticated_sender and log.selected("smtp_mailauth"):
            text += f":{session.authenticated_sender}"
    return text


def _content_fields(facts: Arrival, log: Log, out: list[str]) -> None:
    if log.selected("8bitmime"):
        out.append(f"M8S={facts.body_declared}")
    if facts.dkim and log.selected("dkim"):
        out.append(f"DKIM={facts.dkim}")
    if facts.arc:
        out.append("ARC")
    if facts.dmarc and log.selected("dmarc_verbose"):
        out.append(f"DMARC={facts.dmarc}")
    elif facts.dmarc == "accept" and log.selected("dmarc"):
        out.append("DMARC")
    if log.selected("receive_time"):
        out.append(f"RT={duration_precise(facts.reception_seconds, millisec=log.selected('millisec'))}")
    if facts.queue_name:
        out.append(f"Q={facts.queue_name}")
    if facts.message_id_header:
        if facts.message_id_created:
            if log.selected("msg_id_created"):
                out.append(f"id*={printing(facts.message_id_header, top_bit=facts.top_bit)}")
        elif log.selected("msg_id"):
            out.append(f"id={printing(facts.message_id_header, top_bit=facts.top_bit)}")
    if facts.subject and log.selected("subject"):
        out.append(f"T={printing(quoted(facts.subject), top_bit=facts.top_bit)}")


def _tls_fields(tls: TlsFacts, log: Log, out: list[str], *, arrival: bool, top_bit: bool = False) -> None:
    if not tls.cipher:
        return
    if log.selected("tls_cipher"):
        star = "*" if tls.resumption & 16 and log.selected("tls_resumption") else ""
        out.append(f"X={tls.cipher}{star}")
    if log.selected("tls_certificate_verified") and (not arrival or tls.peer_certificate or tls.certificate_verified):
        verified = "dane" if tls.dane else "sts" if tls.sts else "yes"
        out.append(f"CV={verified if tls.certificate_verified or tls.dane else 'no'}")
    if tls.peer_dn and log.selected("tls_peerdn"):
        out.append(f'DN="{printing(tls.peer_dn, top_bit=top_bit)}"')
    if arrival and tls.sni and log.selected("tls_sni"):
        out.append(f"SNI={printing(tls.sni, top_bit=top_bit)}")


def tls_fields(session: Session, log: Log) -> str:
    """` X=... CV=... DN=...` for other lines about a connection; "" without TLS."""
    out = [""]
    if session.tls is not None:
        _tls_fields(session.tls, log, out, arrival=True)
    return " ".join(out)


# --- Deliveries --------------------------------------------------------------------------------------------------------


def address_text(delivery: Delivery, log: Log, *, success: bool, local: bool = False) -> str:
    """The address of a delivery line: where it went, `(parents)`, `<original>`.

    `local`: a local transport and `log_as_local` on the router; a successful line then shows the local part only."""
    discarded = str(delivery.extra.get("discarded", ""))
    if discarded:
        return f"{discarded} <{delivery.address}>"
    if delivery.is_autoreply:
        shown = delivery.address if delivery.address.startswith(">") else f">{delivery.address}"
    elif delivery.is_file and not delivery.address.startswith("/"):
        shown = f"save {delivery.address}"
    elif delivery.is_pipe or delivery.is_file or not delivery.domain:
        shown = delivery.address
    elif delivery.extra.get("include_affixes"):
        shown = delivery.address.rpartition("@")[0] if success and local else delivery.address
    elif success and local:
        shown = delivery.local_part
    else:
        shown = f"{delivery.local_part}@{delivery.domain}"
    top = delivery.root()
    out = shown
    parent = delivery.parent
    if parent is not None and parent is not top:
        odd = delivery.is_pipe or delivery.is_file or delivery.is_autoreply
        if log.selected("all_parents"):
            while parent is not None and parent is not top:
                out += f" ({parent.address})"
                parent = parent.parent
        elif odd:
            out += f" ({parent.address})"
    if delivery.onetime_parent:
        out += f" <{delivery.onetime_parent}>"
    elif not _same(shown, top.address):
        out += f" <{top.address}>"
    return out


def _same(shown: str, address: str) -> bool:
    """Whether the two are one address; the case of the domain does not count."""
    local, _, domain = address.rpartition("@")
    return shown == address or shown == f"{local}@{domain.lower()}"


def _host_fields(result: DeliveryResult, log: Log, out: list[str], *, attempt: int = 1) -> None:
    """`H=name DS [address]:port* I=[...]:port PRX=[...]:port TFO`."""
    host = result.host
    if host is None:
        return
    text = f"H={host.name}"
    if host.dnssec and log.selected("dnssec"):
        text += " DS"
    if host.address:
        text += f" [{host.address}]"
        if log.selected("outgoing_port"):
            text += f":{host.port}"
        if attempt > 1:
            text += "*"
    out.append(text)
    _interface_field(result, log, out)
    if result.proxy_address and log.selected("proxy"):
        out.append(f"PRX=[{result.proxy_address}]:{result.proxy_port}")
    if "tfo_data" in result.used:
        out.append("TFO*")
    elif "tfo" in result.used:
        out.append("TFO")


def _interface_field(result: DeliveryResult, log: Log, out: list[str]) -> None:
    if result.local_address and log.selected("incoming_interface") and log.selected("outgoing_interface"):
        text = f"I=[{result.local_address}]"
        if log.selected("outgoing_port"):
            text += f":{result.local_port}"
        out.append(text)


@dataclass(slots=True)
class Attempt:
    """What else delivery lines may tell."""

    shadow: str = ""
    """Name of the shadow transport that ran."""
    sequence: int = 1
    """Number of the message on its connection; from the second on an asterisk follows the host."""
    return_path: str | None = None
    """Used return path; None when nothing was transmitted."""
    dkim: str = ""
    """Signing `domain:selector` (with `dkim_verbose`)."""
    startup: str = ""
    """`PS=`: how the connection was set up (`protocol_detail`)."""
    now: float = 0.0
    top_bit: bool = False
    sender: str | None = None
    """Shown instead of the message's."""


def _common_fields(delivery: Delivery, message: Message, how: Attempt, log: Log, out: list[str]) -> None:
    discarded = out[0] != "**" and not delivery.transport  # `:blackhole:`: nothing was sent from anybody
    if not discarded and log.selected("sender_on_delivery"):
        out.append(f"F=<{message.sender_address if how.sender is None else how.sender}>")
    if message.queue_name:
        out.append(f"Q={message.queue_name}")
    if how.return_path is not None and log.selected("return_path_on_delivery"):
        out.append(f"P=<{how.return_path}>")
    if delivery.router:
        out.append(f"R={delivery.router}")
    if delivery.extra.get("bypassed"):
        out.append("T=**bypassed**")
    elif delivery.transport:
        out.append(f"T={delivery.transport}")


NOTHING_ELSE = Attempt()


def delivery_line(
    flag: str, delivery: Delivery, result: DeliveryResult, message: Message, log: Log, how: Attempt = NOTHING_ELSE
) -> str:
    """A `=>`, `->`, `>>` or `*>` line. `delivery.extra` may have `bypassed` (/dev/null) and `discarded` (`:blackhole:`)."""
    local = result.host is None
    out = [flag, address_text(delivery, log, success=True, local=bool(delivery.extra.get("log_local")))]
    _common_fields(delivery, message, how, log, out)
    if delivery.transport and log.selected("delivery_size"):
        out.append(f"S={result.size}")
    if local:
        if delivery.hosts:
            out.append(f"H={':'.join(host.name for host in delivery.hosts)}")
        _interface_field(result, log, out)
        if how.shadow:
            out.append(f"ST={how.shadow}{f' ({result.shadow_message})' if result.shadow_message else ''}")
    else:
        _remote_fields(result, how, log, out)
    if how.dkim and log.selected("dkim_verbose"):
        out.append(f"DKIM={how.dkim}")
    if result.smtp_response and log.selected("smtp_confirmation"):
        out.append(f"C={quoted(printing(result.smtp_response, top_bit=how.top_bit))}")
    if log.selected("queue_time"):
        out.append(f"QT={queue_time(message, how.now, log)}")
    _deliver_time(result, log, out)
    return " ".join(out)


def _remote_fields(result: DeliveryResult, how: Attempt, log: Log, out: list[str]) -> None:
    _host_fields(result, log, out, attempt=how.sequence)
    if how.startup and log.selected("protocol_detail"):
        out.append(f"PS={how.startup}")
    if result.tls is not None:
        _tls_fields(result.tls, log, out, arrival=False, top_bit=how.top_bit)
    if result.authenticator:
        out.append(_client_authentication(result, log))
    used = result.used
    if "pipelining" in used and log.selected("pipelining"):
        out.append("L*" if "early_pipe" in used else "L")
    if "prdr" in used:
        out.append("PRDR")
    if "requiretls" in used:
        out.append("RTLS")
    if "chunking" in used:
        out.append("K")


def _client_authentication(result: DeliveryResult, log: Log) -> str:
    text = f"A={result.authenticator}"
    if result.auth_id:
        text += f":{result.auth_id}"
        if result.auth_sender and log.selected("smtp_mailauth"):
            text += f":{result.auth_sender}"
    return text


def _deliver_time(result: DeliveryResult, log: Log, out: list[str]) -> None:
    if log.selected("deliver_time"):
        seconds = result.finished - result.started
        out.append(f"DT={duration_precise(seconds, millisec=log.selected('millisec'))}")


def queue_time(message: Message, now: float, log: Log) -> str:
    """Time in the queue so far; without the reception with `queue_time_exclusive`."""
    start = message.received_time
    if log.selected("queue_time_exclusive") and message.received_time_complete:
        start = message.received_time_complete
    return duration_precise(now - start, millisec=log.selected("millisec"))


def _one_line(result: DeliveryResult) -> str:
    """What a host said in several lines."""
    return result.message.replace("\n", "\\n") if result.host is not None else result.message


def failure_line(delivery: Delivery, result: DeliveryResult, message: Message, log: Log, how: Attempt = NOTHING_ELSE) -> str:
    """A `**` line."""
    out = ["**", address_text(delivery, log, success=False)]
    _common_fields(delivery, message, how, log, out)
    if result.host is not None:
        _host_fields(result, log, out, attempt=how.sequence)
        if how.startup and log.selected("protocol_detail"):
            out.append(f"PS={how.startup}")
    if result.tls is not None:
        _tls_fields(result.tls, log, out, arrival=False, top_bit=how.top_bit)
    text = " ".join(out)
    if result.basic_errno > 0:
        text += f" : {os.strerror(result.basic_errno)}"
    if result.message:
        text += f" : {_one_line(result)}"
    tail: list[str] = []
    _deliver_time(result, log, tail)
    return " ".join([text, *tail])


def defer_line(delivery: Delivery, result: DeliveryResult, message: Message, log: Log, how: Attempt = NOTHING_ELSE) -> str:
    """A `==` line. Below -51 (retry time not reached) it is subject to the selector `retry_defer`; see `defer_selector`."""
    out = ["==", address_text(delivery, log, success=False)]
    if message.queue_name:
        out.append(f"Q={message.queue_name}")
    if delivery.router:
        out.append(f"R={delivery.router}")
    if delivery.transport:
        out.append(f"T={delivery.transport}")
    reason = f"defer ({result.basic_errno})"
    if result.basic_errno > 0:
        reason += f": {os.strerror(result.basic_errno)}"
    out.append(reason)
    if result.host is not None:
        host = result.host
        text = f"H={host.name}"
        if host.address:
            text += f" [{host.address}]"
            if log.selected("outgoing_port"):
                text += f":{host.port or 25}"
            if how.sequence > 1:
                text += "*"
        out.append(text)
        _interface_field(result, log, out)
    _deliver_time(result, log, out)
    text = " ".join(out)
    return f"{text}: {_one_line(result)}" if result.message else text


RETRY_BASE = -51
"""Errors below this mean that nothing was tried because it is not yet time."""


def defer_selector(result: DeliveryResult) -> str:
    """Log selector of a `==` line."""
    return "retry_defer" if result.basic_errno < RETRY_BASE else ""


def completed_line(message: Message, now: float, log: Log) -> str:
    """`Completed`, with `QT=` when `queue_time_overall` is on."""
    if log.selected("queue_time_overall"):
        return f"Completed QT={queue_time(message, now, log)}"
    return "Completed"
