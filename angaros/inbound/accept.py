"""From "all has come" to "it is ours": content policy, local_scan, the spool, the log, and what happens next.

The steps are the same for SMTP and local messages; what differs (texts, replies) is in the owner: `data`, `submission`.
Crash states are those of `docs/spool-states.md`: before `commit` returns nothing is ours, after it everything is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.inbound.fixups import apply_acl_headers
from angaros.lists.parse import split_list
from angaros.logs.lines import Arrival, arrival_lines
from angaros.logs.times import tod_full, tod_log
from angaros.model.errors import AngarosError
from angaros.model.scope import Scope
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.inbound.receive import Reception
    from angaros.model.interfaces import Services
    from angaros.model.message import Message
    from angaros.model.outcome import Verdict

QUEUE, DELIVER_BACKGROUND, DELIVER_FOREGROUND = "queue", "background", "foreground"


@dataclass(slots=True)
class Facts:
    """What the arrival line needs beyond message and session."""

    connection_id: str = ""
    pipelining_advertised: bool = False
    pipelining_used: bool = False
    early_pipe: str = ""
    fast_open: str = ""
    chunking: bool = False
    prdr: bool = False
    reference: str = ""


def merge_headers(reception: Reception) -> None:
    """Header lines that ACLs have asked for so far go into the message."""
    effects = reception.message.effects
    if effects.added_headers or effects.removed_headers:
        apply_acl_headers(reception.message)


def needs_mime_acl(reception: Reception) -> bool:
    """Whether the message is MIME at all. Exim spec 45.4"""
    return any(h.name.lower() == "content-type" and h.kind != "*" for h in reception.message.headers)


def run_mime_acl(reception: Reception, acl: str | None, scope: Scope) -> Verdict | None:
    """The MIME ACL on each part; None when all was accepted or there is nothing to check."""
    if acl is None or not needs_mime_acl(reception):
        return None
    from angaros.scan.mime import run_mime_acl as run

    verdict: Verdict = run(acl, scope)
    return None if verdict.accepted else verdict


def make_safe(reception: Reception) -> Any:
    """S2 to S4: the message is on disk when this returns. The spool lock is held; OSError: it is not ours."""
    services, message = reception.services, reception.message
    now = services.clock.now()
    message.received_time_complete = now
    header = reception.received_header
    if header is not None and message.headers and header.kind != "*":
        head, semicolon, _ = str(header.text).rpartition(";\n\t")
        if semicolon:
            header.text = concat([header.text[: len(head)], f";\n\t{tod_full(now)}\n"])
    message.deliver_firsttime = True
    message.effects.caches.pop("received_linecount", None)  # from now on lines are counted as they are kept
    return services.store.commit(message, reception.writer)


def log_arrival(reception: Reception, facts: Facts) -> None:
    """The `<=` line, in the main log and the message's own."""
    services, message = reception.services, reception.message
    log = services.log
    fixups = reception.fixups
    found = fixups.found.get("I") if fixups is not None else None
    subject = ""
    if log.selected("subject"):
        subject = _subject(message, services)
    caches = message.effects.caches
    arrival = Arrival(
        size=message.message_size,
        fake_reject=message.effects.fake_response.startswith("5"),
        reference=facts.reference,
        message_id_header=_message_id(found.value) if found is not None else "",
        message_id_created=fixups is not None and fixups.message_id_created,
        subject=subject,
        sender=message.raw_sender if message.raw_sender else None,
        recipients=reception.accepted or [recipient.address for recipient in message.recipients],
        reception_seconds=message.received_time_complete - message.received_time,
        connection_id=facts.connection_id,
        pipelining_advertised=facts.pipelining_advertised,
        pipelining_used=facts.pipelining_used,
        early_pipe=facts.early_pipe,
        fast_open=facts.fast_open,
        prdr=facts.prdr,
        chunking=facts.chunking,
        spf=message.effects.mailauth.spf.result if message.effects.mailauth.spf is not None else "",
        dkim=caches.get("dkim_log", ""),
        arc=bool(caches.get("arc_log")),
        dmarc=message.effects.mailauth.dmarc.status if message.effects.mailauth.dmarc is not None else "",
        body_declared=message.body_declared,
        queue_name=message.queue_name,
        top_bit=services.config.main.print_topbitchars,
    )
    _count(services, message, arrival)
    line, received = arrival_lines(message, arrival, log)
    log.write(line, message_id=message.id, echo=line.partition(" ")[0] + received.removeprefix("Received from"))
    if not reception.how.dry_run and services.config.main.message_logs:
        message_log = services.store.message_log(message.id, message.queue_name)
        message_log.append(received)
        message.effects.caches["message_log"] = message_log  # DELIVERY goes on with it; else `hand_over` writes it


def _count(services: Services, message: Message, arrival: Arrival) -> None:
    metrics = services.metrics
    metrics.add("messages_received_total", message.session.protocol)
    metrics.add("messages_received_bytes_total", amount=message.message_size)
    if arrival.spf:
        metrics.add("authentication_results_total", "spf", arrival.spf)
    if arrival.dmarc:
        metrics.add("authentication_results_total", "dmarc", arrival.dmarc)
    for one in message.effects.mailauth.dkim:
        metrics.add("authentication_results_total", "dkim", one.status)


def _message_id(value: str) -> str:
    """The id, without its angle brackets; "" for what cannot be one. # RFC 5322 3.6.4"""
    text = value.strip()
    if text.startswith("<") and text.endswith(">"):
        return text[1:-1]
    return "" if " " in text else text


def _subject(message: Message, services: Services) -> str:
    for header in message.headers_named("subject"):
        from angaros.mime.encoded import CharsetError, decode_2047

        text = header.value.strip()
        try:
            return decode_2047(text, services.config.main.headers_charset or "UTF-8", check_length=False)
        except CharsetError:
            return text
    return ""


def note_policy(reception: Reception) -> None:
    """What comes last before the spool is written: Brightmail's verdicts, the frozen state."""
    message = reception.message
    if reception.services.config.main.bmi_config_file is not None:
        from angaros.scan.brightmail import scan_message

        scan_message(Scope(reception.services, message.session, message))
    if reception.services.config.main.mua_wrapper:
        message.effects.freeze = message.effects.queue_only = message.effects.queue_smtp = False
    if message.effects.freeze:
        message.frozen = True
        message.frozen_time = reception.services.clock.now()


def log_policy(services: Services, message: Message) -> None:
    """`frozen by ACL`, `no immediate delivery: queued by ACL`."""
    if message.frozen:
        by = message.effects.caches.get("frozen_by", "ACL")
        services.log.write(f"frozen by {by}", message_id=message.id)
        message_log = message.effects.caches.get("message_log")
        if message_log is not None:
            message_log.append(f"frozen by {by}")
        _tell_frozen(services, message, by)
    elif message.effects.queue_only:
        by = message.effects.caches.get("queued_by", "ACL")
        services.log.write(f"no immediate delivery: queued by {by}", message_id=message.id, selector="delay_delivery")


def _tell_frozen(services: Services, message: Message, by: str) -> None:
    """`freeze_tell` hears of a message that policy has frozen. Exim spec 14"""
    main = services.config.main
    if not main.freeze_tell or message.effects.freeze_no_tell or services.submitter is None:
        return
    scope = Scope(services, message.session, message)
    parts = ["Auto-Submitted: auto-replied\n", f"From: {scope.expand(main.dsn_from)}\n", f"To: {main.freeze_tell}\n"]
    ids = message.headers_named("message-id")
    if ids:
        parts.append(f"References: {ids[0].value.strip()}\n")
    parts.append(f"Subject: Message frozen on arrival\n\nMessage {message.id} was frozen on arrival by {by}.\n")
    parts.append(f"The sender is <{message.sender_address}>.\n")
    try:
        services.submitter.submit("".join(parts).encode("latin-1", "replace"), scope, reference=message.id)
    except AngarosError as error:
        services.log.write(f"failed to send a notice to {main.freeze_tell}: {error}", message_id=message.id, panic=True)


def discard_all(reception: Reception, by: str, log_text: str) -> None:
    """All recipients were discarded: logged as delivered to nowhere, and gone. Exim spec 44.16"""
    services, message = reception.services, reception.message
    tail = f": {log_text}" if log_text else ""
    services.log.write(concat([f"=> blackhole ({by} discarded recipients)", tail]), message_id=message.id)
    services.log.write("Completed", message_id=message.id)
    reception.abandon()


# --- What next ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Circumstances:
    """What a decision about immediate delivery depends on besides the message."""

    delivery: str = ""
    """From the command line: `background`, `foreground`, `queue`, `queue-smtp`, ""."""
    accept_queue_exceeded: int = 0
    """Connections, when there are more than `smtp_accept_queue`."""
    received_in_session: int = 0
    """Messages of this SMTP session with this one; 0 for a local message."""
    latched: int | None = None
    """The load for which an earlier message of the session was queued, when `queue_only_load_latch` is set."""


def decide(services: Services, message: Message, circumstances: Circumstances) -> tuple[str, int | None]:
    """Deliver now or queue (`QUEUE`, ...), and the load when that decided. Exim spec 14, queue_only and its company"""
    main = services.config.main
    wanted = circumstances.delivery
    if main.mua_wrapper:  # nothing is ever queued. Exim spec 52
        return DELIVER_FOREGROUND, None
    if message.extensions is not None and message.extensions.release > services.clock.now():  # RFC 4865 4
        until = tod_log(message.extensions.release, with_zone=True)
        services.log.write(f"no immediate delivery: held until {until}", message_id=message.id, selector="delay_delivery")
        return QUEUE, None
    if wanted == "queue-smtp" or _file_says(services, "smtp"):
        message.effects.queue_smtp = True
    if _file_says(services, ""):  # queue_only_override does not reach this
        return QUEUE, None
    if not main.queue_only_override and wanted in ("background", "foreground") and main.queue_only:
        wanted = "queue"
    if wanted == "queue" or (not wanted and main.queue_only) or message.effects.queue_only or message.frozen:
        return QUEUE, None
    forced = wanted in ("foreground", "background") and main.queue_only_override
    if not forced or circumstances.received_in_session:
        reason, by_load = _why_not_now(services, circumstances)
        if reason:
            services.log.write(f"no immediate delivery: {reason}", message_id=message.id, selector="delay_delivery")
            return QUEUE, by_load
    return (DELIVER_FOREGROUND if wanted == "foreground" else DELIVER_BACKGROUND), None


def queue_by_option(services: Services) -> bool:
    """`queue_only`, or a file of `queue_only_file` is there."""
    return bool(services.config.main.queue_only) or _file_says(services, "")


def _file_says(services: Services, prefix: str) -> bool:
    """Whether one of the paths of `queue_only_file` with this prefix (`smtp` or none) exists."""
    text = services.config.main.queue_only_file
    if not text:
        return False
    from os.path import exists

    for item in split_list(text):
        path = item.removeprefix("smtp")
        if path.startswith("/") and item == prefix + path and exists(path):
            return True
    return False


def _why_not_now(services: Services, circumstances: Circumstances) -> tuple[str, int | None]:
    main = services.config.main
    if circumstances.accept_queue_exceeded:
        return f"too many connections ({circumstances.accept_queue_exceeded}, max {main.smtp_accept_queue})", None
    limit = main.smtp_accept_queue_per_connection
    if 0 < limit < circumstances.received_in_session:
        return f"more than {limit} messages received in one connection", None
    if main.queue_only_load >= 0:
        from angaros.inbound.limits import load_average

        load = load_average(services) if circumstances.latched is None else circumstances.latched
        if circumstances.latched is not None or load > main.queue_only_load:
            return f"load average {load / 1000:.2f}", load
    return "", None


def hand_over(services: Services, message: Message, lock: Any, decision: str) -> None:
    """Start the delivery, or leave the message in the queue."""
    start = services.hooks.start_delivery
    if message.effects.cutthrough_connection is not None:
        from angaros.delivery.cutthrough import hand_on

        hand_on(message, delivered_now=decision != QUEUE and start is not None)
    if decision == QUEUE or start is None:
        message_log = message.effects.caches.get("message_log")
        if message_log is not None:
            message_log.flush()
        lock.release()
        return
    message.first_delivery = True
    start(message, lock, decision == DELIVER_FOREGROUND)
