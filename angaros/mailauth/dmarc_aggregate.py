"""Aggregate reports: counted in the hints database `dmarc` (SQLite), sent once a day. RFC 7489 7.2.

Off unless `dmarc_aggregate_reports` is set.

Laws:
- Only domains that ask (`rua`) are counted; a destination outside the domain must have agreed (7.1).
- Nothing is sent to excluded domains, nor where a mail host of the destination is on one of `dmarc_aggregate_dnslists`.
- The day's counts, their claim and the mail are those of `daily`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from angaros.mailauth import daily
from angaros.mailauth.daily import DAY, MAX_REPORT
from angaros.mailauth.dmarc import DnsProblem, Finder, Verdict
from angaros.mailauth.dmarc_destinations import permitted
from angaros.mailauth.dmarc_record import ReportUri, parse_uris
from angaros.mailauth.dmarc_xml import Report, mail
from angaros.mailauth.reverse import reversed_labels
from angaros.model.errors import AngarosError, ExpansionError, ListDefer
from angaros.model.scope import Scope

if TYPE_CHECKING:
    from angaros.model.interfaces import Services

DATABASE = "dmarc"


def note(scope: Scope, verdict: Verdict, *, accepted: bool) -> None:
    """Count one message, when its fate is known."""
    policy = verdict.policy
    if policy is None or not policy.record.report_uris():
        return
    services = scope.services
    day = int(services.clock.now() // DAY)
    row = _row(scope, verdict, accepted)
    text = json.dumps(row, sort_keys=True)
    key = f"{day}:{policy.domain}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def change(known: dict[str, Any] | None) -> dict[str, Any]:
        return {**row, "count": (known["count"] if known else 0) + 1}

    services.hints.update(DATABASE, key, change)


def _row(scope: Scope, verdict: Verdict, accepted: bool) -> dict[str, Any]:
    message, session, policy = scope.message, scope.session, verdict.policy
    assert message is not None and session is not None and policy is not None
    auth, record = message.effects.mailauth, policy.record
    disposition = verdict.status if verdict.status in ("quarantine", "reject") else "none"
    reason = "sampled_out" if verdict.sampled_out else ""
    if disposition == "reject" and accepted:
        disposition, reason = "none", "local_policy"
    spf = auth.spf
    scopes = {"mailfrom": "mfrom", "helo": "helo"}
    return {
        "source_ip": str(session.sender_host_address),
        "disposition": disposition,
        "reason": reason,
        "dkim": "pass" if verdict.dkim_aligned else "fail",
        "spf": "pass" if verdict.spf_aligned else "fail",
        "header_from": verdict.domain,
        "envelope_from": str(message.sender_address).rpartition("@")[2].lower(),
        "dkim_results": [
            {"domain": str(found.domain), "selector": str(found.selector), "result": str(found.result or found.status)}
            for found in auth.dkim
        ],
        "spf_result": None
        if spf is None
        else {"domain": str(spf.domain), "scope": scopes[spf.identity], "result": spf.result},
        "published": {
            "adkim": record.adkim, "aspf": record.aspf, "p": record.p, "sp": record.sp or record.p, "pct": record.pct,
            "fo": ":".join(record.fo), "rua": list(record.rua),
        },
    }  # fmt: skip


def send_due(services: Services, finder: Finder | None = None) -> int:
    """Send the reports of all days that are over; how many were sent. Called by queue runs."""
    if not services.config.main.dmarc_aggregate_reports:
        return 0
    today = int(services.clock.now() // DAY)
    if not daily.claim(services, DATABASE, today):
        return 0
    from angaros.mailauth.dmarc_session import finder_of

    scope = Scope(services)
    finder = finder or finder_of(scope)
    if finder is None:
        return 0
    return sum(_send(scope, report, finder) for report in _reports(services, today))


def _reports(services: Services, today: int) -> Iterator[Report]:
    """Reports of the days before; their rows are taken out of the database."""
    main = services.config.main
    scope = Scope(services)
    organization, contact = daily.organization(scope, main.dmarc_aggregate_org), _author(scope)[0]
    # Latest last: its `published` is what the report shows.
    for (day, domain), rows in sorted(daily.take(services, DATABASE, today).items(), key=lambda item: item[0]):
        yield Report(domain, day * DAY, str(main.primary_hostname), organization, contact, [row for _, row in rows])


def _author(scope: Scope) -> tuple[str, str]:
    """From: and the envelope sender."""
    return daily.author(scope, scope.services.config.main.dmarc_aggregate_sender)


def _send(scope: Scope, report: Report, finder: Finder) -> int:
    services = scope.services
    uris = parse_uris(tuple(report.rows[-1]["published"]["rua"]))
    try:
        wanted = [uri for uri in permitted(uris, report.domain, finder, services.dns) if _may_send(scope, report, uri)]
        author, sender = _author(scope)
        text = mail(report, author, [uri.address for uri in wanted], services.clock.now())
        fitting = [uri.address for uri in wanted if len(text) <= min(uri.limit or MAX_REPORT, MAX_REPORT)]
        if not fitting or services.submitter is None:
            if wanted:
                scope.log(f"DMARC aggregate report for {report.domain} not sent: {len(text)} octets are too many")
            return 0
        services.submitter.submit(text, scope, sender=sender, recipients=fitting)
    except (DnsProblem, ExpansionError, ListDefer, AngarosError) as error:
        scope.log(f"DMARC aggregate report for {report.domain} not sent: {error}")
        return 0
    scope.log(f"DMARC aggregate report for {report.domain} sent to {', '.join(fitting)}")
    return 1


def _may_send(scope: Scope, report: Report, uri: ReportUri) -> bool:
    """Neither excluded nor on a block list."""
    main, lists = scope.services.config.main, scope.services.lists
    excluded = main.dmarc_aggregate_exclude
    for domain in (report.domain, uri.domain):
        if lists.match_domain(domain, excluded, scope, option="dmarc_aggregate_exclude"):
            return False
    block_lists = [name for item in scope.expand(main.dmarc_aggregate_dnslists or "").split(":") if (name := str(item).strip())]
    listed = next((host for host in _hosts(scope, uri.domain) if _is_listed(scope, host, block_lists)), "") if block_lists else ""
    if listed:
        scope.log(f"DMARC aggregate report for {report.domain} not sent to {uri.address}: {listed} is on a block list")
    return not listed


def _hosts(scope: Scope, domain: str) -> Iterator[str]:
    """Addresses of the domain's mail hosts."""
    dns = scope.services.dns
    answer = dns.query(domain, "MX")
    names = [str(name) for _, (_, name) in answer.records] if answer.status == "ok" else [domain]
    for name in names:
        for kind in ("A", "AAAA"):
            found = dns.query(name, kind)
            if found.status == "ok":
                yield from (str(data) for _, data in found.records)


def _is_listed(scope: Scope, address: str, block_lists: list[str]) -> bool:
    dns = scope.services.dns
    for block_list in block_lists:
        answer = dns.query(f"{reversed_labels(address)}.{block_list}", "A")
        if answer.status == "ok" and any(str(data).startswith("127.") for _, data in answer.records):
            return True
    return False
