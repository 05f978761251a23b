"""Success notices (DSN). RFC 3461 4.1, 5.2; RFC 3464."""

from __future__ import annotations

from collections.abc import Iterator

from angaros.delivery import report
from angaros.delivery.attempt import Attempt, Fate
from angaros.delivery.wording import top_address
from angaros.model.errors import AngarosError
from angaros.model.message import DSN_NOTIFY_NEVER, DSN_NOTIFY_SUCCESS
from angaros.model.text import octets


def send_success_notices(attempt: Attempt) -> None:
    """Tell the sender of deliveries that NOTIFY=SUCCESS asked for, unless the next host does."""
    if attempt.message.is_bounce:
        return
    wanted: dict[str, Fate] = {}
    for fate in reversed(attempt.succeeded):
        if fate.delivery.dsn_flags & DSN_NOTIFY_SUCCESS and not fate.result.dsn_passed_on:
            wanted.setdefault(top_address(fate.delivery), fate)
    if not wanted:
        return
    _send(attempt, list(wanted.values()), "delivered")


def send_relayed_notices(attempt: Attempt) -> None:
    """DELIVERBY: tell the sender that the message has gone on, where the sender or the next host's ignorance asks for it; not
    twice, and not who asked for silence. # RFC 2852 4.1.4"""
    if attempt.message.is_bounce or attempt.message.extensions is None:
        return
    wanted: dict[str, Fate] = {}
    for fate in reversed(attempt.succeeded):
        flags = fate.delivery.dsn_flags
        told = flags & DSN_NOTIFY_SUCCESS and not fate.result.dsn_passed_on
        if fate.result.detail.get("relayed") and not told and not flags & DSN_NOTIFY_NEVER:
            wanted.setdefault(top_address(fate.delivery), fate)
    if wanted:
        _send(attempt, list(wanted.values()), "relayed")


def _send(attempt: Attempt, fates: list[Fate], action: str) -> None:
    submitter = attempt.services.submitter
    if submitter is None:
        return
    text = b"".join(_notice(attempt, fates, action))
    try:
        submitter.submit(text, attempt.scope, reference=attempt.message.id)
    except (AngarosError, OSError) as error:
        attempt.log(f"failed to send a success notice: {error}", panic=True)


def _notice(attempt: Attempt, fates: list[Fate], action: str) -> Iterator[bytes]:
    message, boundary = attempt.message, report.new_boundary(attempt)
    out = [
        f"From: {report.sender_of_reports(attempt)}\nAuto-Submitted: auto-generated\nTo: {message.sender_address}\n"
        "Subject: Delivery Status Notification\n",
        report.references(attempt),
        report.mime_headers(boundary),
        f"\n--{boundary}\nContent-type: text/plain; charset=us-ascii\n\n"
        "This message was created automatically by mail delivery software.\n"
        " ----- The following addresses had successful delivery notifications -----\n",
    ]
    out += [f"<{top_address(fate.delivery)}> (relayed {_how(attempt, fate)})\n\n" for fate in fates]
    kind = "global-delivery-status" if message.smtputf8 else "delivery-status"
    name = attempt.services.config.main.primary_hostname
    out.append(f"--{boundary}\nContent-type: message/{kind}\n\nReporting-MTA: dns; {name}\n")
    if message.dsn_envid:
        out.append(f"Original-Envelope-ID: {message.dsn_envid}\n")
    out.append(report.deliver_by_date(attempt) + "\n")
    out += [_fields(fate, action) + "\n" for fate in fates]
    yield octets("".join(out))
    yield from report.returned_message(attempt, boundary, headers_only=True)


def _how(attempt: Attempt, fate: Fate) -> str:
    if fate.delivery.dsn_lasthop:
        return "via non DSN router"
    return "to non-DSN-aware mailer" if fate.result.host is not None else 'via non "Remote SMTP" router'


def _fields(fate: Fate, action: str) -> str:
    delivery, host = fate.delivery, fate.result.host
    out = [f"Original-Recipient: {delivery.root().orcpt}\n"] if delivery.root().orcpt else []
    out.append(f"Action: {action}\nFinal-Recipient: rfc822;{top_address(delivery)}\nStatus: 2.0.0\n")
    if host is not None and host.name:
        out.append(f"Remote-MTA: dns; {host.name}\nDiagnostic-Code: smtp; 250 Ok\n")
    else:
        out.append(f"Diagnostic-Code: X-Exim; relayed via non {'DSN' if delivery.dsn_lasthop else 'SMTP'} router\n")
    return "".join(out)
