"""TLS reports: the TXT record that asks for them, the JSON, and the mail around it. RFC 8460 3, 4.4, 5.3. No I/O."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from angaros.mailauth import daily
from angaros.mailauth.daily import DAY

MAX_DESTINATIONS = 8
"""URIs of one record that are used: a record is no means to multiply traffic."""
MEDIA_TYPE = "application/tlsrpt+gzip"

_MAILTO = re.compile(r"mailto:([A-Za-z0-9._%+=/~#$&'*^`{|}-]{1,128}@[A-Za-z0-9.-]{1,253})(?:\?.*)?", re.IGNORECASE)
_HTTPS = re.compile(r"https://[\x21-\x7e]{1,1000}", re.IGNORECASE)


def destinations(texts: Iterable[str]) -> list[str]:
    """`mailto:` and `https:` URIs of the record among these TXT records of `_smtp._tls`; [] when no report is wanted."""
    records = [text for text in texts if re.match(r"v=TLSRPTv1[ \t]*;", text)]
    if len(records) != 1:  # RFC 8460 3
        return []
    for part in records[0].split(";"):
        name, _, value = part.partition("=")
        if name.strip() == "rua":
            uris = [uri.strip() for uri in value.split(",")]
            return [uri for uri in uris if _MAILTO.fullmatch(uri) or _HTTPS.fullmatch(uri)][:MAX_DESTINATIONS]
    return []


def mail_address(uri: str) -> str:
    """Of a `mailto:` URI; "" for others."""
    found = _MAILTO.fullmatch(uri)
    address = unquote(found[1], "latin-1") if found else ""
    return address if re.fullmatch(r"[^\s,:;<>()\"\\@]+@[A-Za-z0-9.-]+", address) and address.isascii() else ""


@dataclass(frozen=True, slots=True)
class TlsReport:
    """What one domain is told about one day."""

    domain: str
    begin: int
    """First second (UTC); it ends a day later."""
    host: str
    organization: str
    contact: str

    @property
    def report_id(self) -> str:
        """Unique among our reports."""
        return f"{self.begin}.{self.domain}@{self.host}"

    @property
    def file_name(self) -> str:
        """RFC 8460 5.1"""
        return f"{self.host}!{self.domain}!{self.begin}!{self.begin + DAY - 1}.json.gz"


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def document(report: TlsReport, rows: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """The JSON. `rows` are (`policy-type:policy-domain`, record of `tls_report.note`). RFC 8460 4.4"""
    return json.dumps(
        {
            "organization-name": report.organization,
            "date-range": {
                "start-datetime": _moment(report.begin),
                "end-datetime": _moment(report.begin + DAY - 1),
            },
            "contact-info": report.contact,
            "report-id": report.report_id,
            "policies": [_policy(key, record) for key, record in sorted(rows, key=lambda row: row[0])],
        },
        indent=1,
    )


def _policy(key: str, record: dict[str, Any]) -> dict[str, Any]:
    kind, _, domain = key.partition(":")
    policy: dict[str, Any] = {"policy-type": kind, "policy-domain": domain}
    if record["lines"]:
        policy["policy-string"] = record["lines"]
    if record["mx"]:
        policy["mx-host"] = record["mx"]
    found: dict[str, Any] = {
        "policy": policy,
        "summary": {"total-successful-session-count": record["good"], "total-failure-session-count": record["bad"]},
    }
    if record["failures"]:
        found["failure-details"] = [{**kind["fields"], "failed-session-count": kind["count"]} for kind in record["failures"]]
    return found


def mail(report: TlsReport, packed: bytes, recipients: list[str]) -> bytes:
    """The whole message, with LF line ends. RFC 8460 5.3"""
    boundary = f"tlsrpt-{report.begin}"
    fields = {
        "From": report.contact,
        "To": ", ".join(recipients),
        "Subject": f"Report Domain: {report.domain} Submitter: {report.host} Report-ID: <{report.report_id}>",
        "TLS-Report-Domain": report.domain,
        "TLS-Report-Submitter": report.host,
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/report; report-type="tlsrpt"; boundary="{boundary}"',
    }
    day = _moment(report.begin)[:10]
    said = f"This is the aggregate TLS report of {report.host} for {report.domain} and {day} (UTC)."
    return daily.mail(fields, boundary, said, packed, MEDIA_TYPE, report.file_name)
