"""Aggregate reports: the XML and the mail around it. RFC 7489 7.2, appendix C. No I/O."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from angaros.mailauth import daily
from angaros.mailauth.daily import DAY


@dataclass(frozen=True, slots=True)
class Report:
    """What one domain is told about one day."""

    domain: str
    """Where the policy was found."""
    begin: int
    """First second (UTC); it ends a day later."""
    host: str
    """Who reports."""
    organization: str
    contact: str
    rows: list[dict[str, Any]]
    """As `dmarc_aggregate.note` keeps them, with `count`."""

    @property
    def report_id(self) -> str:
        """Unique among our reports."""
        return f"{self.begin}.{self.domain}@{self.host}"

    @property
    def file_name(self) -> str:
        """RFC 7489 7.2.1.1"""
        return f"{self.host}!{self.domain}!{self.begin}!{self.begin + DAY - 1}.xml.gz"


def _tag(name: str, *content: str) -> str:
    return f"<{name}>{''.join(content)}</{name}>\n"


def _leaf(name: str, value: object) -> str:
    return _tag(name, escape("".join(char for char in str(value) if char >= " ")))


def _leaves(names: Iterable[str], values: dict[str, Any]) -> str:
    return "".join(_leaf(name, values[name]) for name in names if values.get(name) not in (None, ""))


def document(report: Report) -> str:
    """The XML. RFC 7489 appendix C"""
    dates = _tag("date_range", _leaf("begin", report.begin), _leaf("end", report.begin + DAY - 1))
    metadata = _tag(
        "report_metadata",
        _leaf("org_name", report.organization),
        _leaf("email", report.contact),
        _leaf("report_id", report.report_id),
        dates,
    )
    published = report.rows[-1]["published"]
    policy = _tag(
        "policy_published",
        _leaf("domain", report.domain),
        _leaves(("adkim", "aspf", "p", "sp", "pct", "fo"), published),
    )
    head = '<?xml version="1.0" encoding="UTF-8" ?>\n'
    return head + _tag("feedback", _leaf("version", "1.0"), metadata, policy, *(_record(row) for row in report.rows))


def _record(row: dict[str, Any]) -> str:
    reason = _tag("reason", _leaf("type", row["reason"])) if row.get("reason") else ""
    evaluated = _tag("policy_evaluated", _leaves(("disposition", "dkim", "spf"), row), reason)
    results = [_tag("dkim", _leaves(("domain", "selector", "result"), found)) for found in row["dkim_results"]]
    if row.get("spf_result"):
        results.append(_tag("spf", _leaves(("domain", "scope", "result"), row["spf_result"])))
    return _tag(
        "record",
        _tag("row", _leaf("source_ip", row["source_ip"]), _leaf("count", row["count"]), evaluated),
        _tag("identifiers", _leaves(("envelope_from", "header_from"), row)),
        _tag("auth_results", *results),
    )


def mail(report: Report, author: str, recipients: list[str], now: float) -> bytes:
    """The whole message, with LF line ends."""
    text = document(report).encode("latin-1", "replace").decode("latin-1")
    day = time.strftime("%Y-%m-%d", time.gmtime(report.begin))
    boundary = f"dmarc-{report.begin}-{int(now)}"
    fields = {
        "From": author,
        "To": ", ".join(recipients),
        "Subject": f"Report Domain: {report.domain} Submitter: {report.host} Report-ID: <{report.report_id}>",
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/mixed; boundary="{boundary}"',
    }
    said = f"This is the DMARC aggregate report of {report.host} for {report.domain} and {day} (UTC)."
    return daily.mail(fields, boundary, said, daily.packed(text), "application/gzip", report.file_name)
