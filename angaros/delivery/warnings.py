"""Delay warnings: the sender is told that a message waits. Exim spec 14 (delay_warning), 50.2."""

from __future__ import annotations

from collections.abc import Iterator

from angaros.config.values import parse_time
from angaros.delivery import report
from angaros.delivery.attempt import Attempt, Fate
from angaros.delivery.bounces import errors_address
from angaros.delivery.deliver_by import LATE_STATUS, is_late
from angaros.delivery.templates import Template, read_template
from angaros.delivery.wording import describe, explain
from angaros.lists.parse import split_list
from angaros.model.errors import AngarosError, ExpansionError, ForcedFailure, Why
from angaros.model.message import DSN_NOTIFY_DELAY, DSN_NOTIFY_FAILURE, DSN_NOTIFY_NEVER, DSN_NOTIFY_SUCCESS
from angaros.model.text import octets

_ANY_DSN = DSN_NOTIFY_NEVER | DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY
_FALSE = frozenset({"", "0", "no", "false"})


def warn_of_delay(attempt: Attempt) -> None:
    """Send a warning if one is due."""
    message = attempt.message
    if message.extensions is not None and is_late(attempt):
        _tell_late(attempt)
    if message.is_bounce or attempt.options.first_pass or attempt.frozen_now or message.frozen:
        return
    count, shown = due(attempt)
    if count <= message.warning_count:
        return
    waiting = [fate for fate in attempt.deferred if _wanted(fate)]
    if all(fate.result.basic_errno == Why.LOCAL_RETRY for fate in waiting):  # nothing was tried, as observed with Exim
        return
    recipients = list(dict.fromkeys(address for fate in waiting if (address := errors_address(attempt, fate.delivery))))
    if not recipients or not _condition(attempt, waiting):
        return
    if _send(attempt, recipients, waiting, shown):
        message.warning_count = count
        attempt.update_spool = True


def _tell_late(attempt: Attempt) -> None:
    """DELIVERBY with N: once, and whatever the retry times are, the sender hears that the time is over. # RFC 2852 4.2"""
    message = attempt.message
    waiting = [fate for fate in attempt.deferred if _wanted(fate)]
    recipients = list(dict.fromkeys(address for fate in waiting if (address := errors_address(attempt, fate.delivery))))
    waited = int(attempt.services.clock.now() - message.received_time)
    if not recipients or _send(attempt, recipients, waiting, waited, LATE_STATUS):
        message.extend().by_told = True
        attempt.update_spool = True


def due(attempt: Attempt) -> tuple[int, int]:
    """(number of warnings that should have been sent by now, time to show)."""
    text = attempt.services.config.main.delay_warning
    times = [parse_time(item) for item in split_list(text)] if text else []
    if not times:
        return 0, 0
    waited = int(attempt.services.clock.now() - attempt.message.queued_since)
    count = sum(1 for one in times if one <= waited)
    if count == 0 or times[0] <= 0:
        return 0, 0
    shown = times[count - 1]
    if count == len(times):
        gap = shown - times[count - 2] if count > 1 else shown
        extra = (waited - shown) // gap if gap > 0 else 0
        shown += gap * extra
        count += extra
    return count, shown


def _wanted(fate: Fate) -> bool:
    """NOTIFY with DELAY, or none at all. RFC 3461 4.1."""
    flags = fate.delivery.dsn_flags
    return not flags & _ANY_DSN or bool(flags & DSN_NOTIFY_DELAY)


def _condition(attempt: Attempt, waiting: list[Fate]) -> bool:
    """`delay_warning_condition`, with `$domain` when all addresses that wait have one domain. Exim spec 14."""
    text = attempt.services.config.main.delay_warning_condition
    if not text:
        return True
    try:
        domains = {fate.delivery.root().domain for fate in waiting}
        scope = attempt.scope.child(domain=domains.pop() if len(domains) == 1 else "")
        return scope.expand(text).strip().lower() not in _FALSE
    except ForcedFailure:
        return False
    except ExpansionError as error:
        attempt.log(f'failed to expand delay_warning_condition "{text}": {error}', panic=True)
        return False


def _send(attempt: Attempt, recipients: list[str], waiting: list[Fate], shown: int, status: str = "4.0.0") -> bool:
    submitter = attempt.services.submitter
    if submitter is None:
        return False
    text = b"".join(_warning(attempt, ", ".join(recipients), waiting, shown, status))
    try:
        submitter.submit(text, attempt.scope, reference=attempt.message.id)
    except (AngarosError, OSError) as error:
        attempt.log(f"failed to send a delay warning: {error}", panic=True)
        return False
    return True


def _warning(attempt: Attempt, recipients: str, waiting: list[Fate], shown: int, status: str) -> Iterator[bytes]:
    message, main = attempt.message, attempt.services.config.main
    delay = f"{shown // 60} minutes" if shown < 120 * 60 else f"{shown // 3600} hours"
    scope = attempt.scope.child(warn_message_delay=delay, warn_message_recipients=recipients)
    template = read_template(attempt, "warn_message_file", scope)
    boundary = report.new_boundary(attempt)
    out = []
    if main.errors_reply_to is not None:
        out.append(f"Reply-To: {main.errors_reply_to}\n")
    out.append(f"Auto-Submitted: auto-replied\nFrom: {report.sender_of_reports(attempt)}\nTo: {recipients}\n")
    out += [report.references(attempt), report.mime_headers(boundary)]
    out.append(template.item(1) or f"Subject: Warning: message {message.id} delayed {delay}\n")
    out.append(f"\n--{boundary}\nContent-type: text/plain; charset=us-ascii\n\n")
    out.append(template.item(2) or _introduction(attempt, recipients, waiting, delay))
    out.append("\n")
    for fate in waiting:
        out.append(describe(fate.delivery, "  ", "\n    ", "\n") + explain(fate.delivery, fate.result, "Delay reason: "))
    out.append("\n" + _end(template))
    yield octets("".join(out))
    yield octets(report.status_part(attempt, waiting, boundary, action="delayed", status=status))
    yield from report.returned_message(attempt, boundary, headers_only=True)


def _introduction(attempt: Attempt, recipients: str, waiting: list[Fate], delay: str) -> str:
    message = attempt.message
    whose = "that you sent " if recipients == message.sender_address else f"sent by\n\n  <{message.sender_address}>\n\n"
    out = [
        "This message was created automatically by mail delivery software.\n"
        f"A message {whose}has not yet been delivered to one or more of its\n"
        f"recipients after more than {delay} on the queue on {attempt.services.config.main.primary_hostname}.\n\n"
        f"The message identifier is:     {message.id}\n"
    ]
    for name, lead in (("subject", "The subject of the message is: "), ("date", "The date of the message is:    ")):
        found = message.headers_named(name)
        if found:
            out.append(f"{lead}{found[0].value.strip()}\n")
    many = len(waiting) > 1
    out.append(
        f"\nThe address{'es' if many else ''} to which the message has not yet been delivered {'are' if many else 'is'}:\n"
    )
    return "".join(out)


def _end(template: Template) -> str:
    text = template.item(3) or (
        "No action is required on your part. Delivery attempts will continue for\n"
        "some time, and this warning may be repeated at intervals if the message\n"
        "remains undelivered. Eventually the mail delivery software will give up,\n"
        "and when that happens, the message will be returned to you.\n"
    )
    return f"{text}\n"
