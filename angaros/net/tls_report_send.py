"""TLS reports: sending those of the days that are over. RFC 8460 5. Called by queue runs; off unless `tls_reports` is set.

Laws:
- Only domains that ask (`_smtp._tls`) get a report. Nothing goes about or to domains of `tls_report_exclude`.
- Each report is stored before it is sent, and tried again each hour for a day where the DNS or a web server fails (5.5). By mail
  it is sent once: the queue does the rest.
- DKIM signs it as the transport says, like all mail; the transport does not let MTA-STS or DANE hold it up.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from angaros.mailauth import daily
from angaros.mailauth.daily import DAY, MAX_REPORT
from angaros.model.errors import AngarosError
from angaros.model.scope import Scope
from angaros.net import http
from angaros.net.tls_report import DATABASE
from angaros.net.tls_report_text import MEDIA_TYPE, TlsReport, destinations, document, mail, mail_address

if TYPE_CHECKING:
    from angaros.model.interfaces import Services

SPREAD = 4 * 3600
"""Seconds after midnight UTC within which reports go out, so that not all the world does it at once. RFC 8460 4.1"""
RETRY = 3600.0
GIVE_UP = 86400.0
"""RFC 8460 5.5"""
POST_SECONDS = 60.0
MAX_ANSWER = 1 << 20
"""Octets of the answer to a POST: nobody reads it."""
WAITING = "tlsrpt_waiting"
"""Database of reports that wait to be sent: small, as it is looked through by each queue run."""


def send_due(services: Services) -> int:
    """How many reports were sent."""
    if not services.config.main.tls_reports:
        return 0
    scope = Scope(services)
    now = services.clock.now()
    today = int(now // DAY)
    if now >= today * DAY + _delay(services) and daily.claim(services, DATABASE, today):
        _store(scope, today, now)
    return sum(_try(scope, key, now) for key in [key for key, _, _ in services.hints.items(WAITING)])


def _delay(services: Services) -> int:
    """Always the same for a host."""
    name = str(services.config.main.primary_hostname)
    return int.from_bytes(hashlib.sha256(name.encode("latin-1")).digest()[:4], "big") % SPREAD


def _store(scope: Scope, today: int, now: float) -> None:
    """Make the reports."""
    services = scope.services
    for (day, domain), rows in daily.take(services, DATABASE, today).items():
        try:
            text = document(_report(scope, domain, day * DAY), rows)
        except AngarosError as error:
            scope.log(f"TLS report for {domain} not made: {error}", panic=True)
            continue
        packed = base64.b64encode(daily.packed(text)).decode("ascii")
        record = {"begin": day * DAY, "packed": packed, "until": now + GIVE_UP, "next": now, "left": None}
        services.hints.put(WAITING, f"{day}:{domain}", record)


def _report(scope: Scope, domain: str, begin: int) -> TlsReport:
    main = scope.services.config.main
    contact = daily.author(scope, main.tls_report_sender)[0]
    return TlsReport(domain, begin, str(main.primary_hostname), daily.organization(scope, main.tls_report_org), contact)


def _try(scope: Scope, key: str, now: float) -> int:
    """Send one report where it is still to go; 1 if something went out."""
    record = _take(scope.services, key, now)
    if record is None:
        return 0
    domain = key.partition(":")[2]
    try:
        uris = record["left"] if record["left"] is not None else _destinations(scope, domain)
        sent, left = _send(scope, domain, record, uris) if uris is not None else (0, None)
    except AngarosError as error:
        scope.log(f"TLS report for {domain} not sent: {error}")
        sent, left = 0, []
    if left == []:
        scope.services.hints.delete(WAITING, key)
    elif now + RETRY >= record["until"]:
        scope.log(f"TLS report for {domain} given up after a day")
        scope.services.hints.delete(WAITING, key)
    else:
        scope.services.hints.put(WAITING, key, {**record, "left": left})
    return sent


def _take(services: Services, key: str, now: float) -> dict[str, Any] | None:
    """The record, if it is due; no other process takes it before its next time."""
    mine: list[dict[str, Any]] = []

    def change(known: dict[str, Any] | None) -> dict[str, Any] | None:
        if known is not None and known["next"] <= now:
            known["next"] = now + RETRY
            mine.append(known)
        return known

    services.hints.update(WAITING, key, change)
    return mine[0] if mine else None


def _destinations(scope: Scope, domain: str) -> list[str] | None:
    """Where the report is wanted; None: the DNS does not say now."""
    main, lists = scope.services.config.main, scope.services.lists
    answer = scope.services.dns.query(f"_smtp._tls.{domain}", "TXT")
    if answer.status in ("again", "fail"):
        return None
    uris = destinations(str(text) for _, text in answer.records) if answer.status == "ok" else []
    if not uris:
        return []

    def excluded(name: str) -> bool:
        return bool(lists.match_domain(name, main.tls_report_exclude, scope, option="tls_report_exclude"))

    if excluded(domain):
        return []
    return [uri for uri in uris if not (mail_address(uri) and excluded(mail_address(uri).rpartition("@")[2].lower()))]


def _send(scope: Scope, domain: str, record: dict[str, Any], uris: list[str]) -> tuple[int, list[str]]:
    """Whether something went out, and the URIs that are to be tried again."""
    packed = base64.b64decode(record["packed"])
    addresses = [address for uri in uris if (address := mail_address(uri))]
    sent = [*addresses] if addresses and _mail(scope, _report(scope, domain, record["begin"]), packed, addresses) else []
    left = []
    for uri in uris:
        if mail_address(uri):
            continue
        problem = _post(scope, uri, packed)
        if problem:
            scope.log(f"TLS report for {domain} not sent to {uri}: {problem}")
            left.append(uri)
        else:
            sent.append(uri)
    if sent:
        scope.log(f"TLS report for {domain} sent to {', '.join(sent)}")
    return int(bool(sent)), left


def _mail(scope: Scope, report: TlsReport, packed: bytes, addresses: list[str]) -> bool:
    text = mail(report, packed, addresses)
    if len(text) > MAX_REPORT or scope.services.submitter is None:
        scope.log(f"TLS report for {report.domain} not sent: {len(text)} octets are too many")
        return False
    sender = daily.author(scope, scope.services.config.main.tls_report_sender)[1]
    scope.services.submitter.submit(text, scope, sender=sender, recipients=addresses)
    return True


def _post(scope: Scope, uri: str, packed: bytes) -> str:
    """RFC 8460 5.4. "" or what went wrong."""
    request = http.Request(uri, POST_SECONDS, MAX_ANSWER, packed, {"Content-Type": MEDIA_TYPE})
    try:
        status = http.fetch(request, scope.services).status
    except http.HttpError as error:
        return str(error)
    return "" if 200 <= status < 300 else f"HTTP status {status}"
