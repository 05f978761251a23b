"""TLS reports: counting what came of TLS towards each domain and day, in the hints database `tlsrpt`. RFC 8460 4.

Off unless `tls_reports` is set. `tls_report_send` makes the reports.

Laws:
- A session is counted once, when it is opened or fails to be; a kept one that takes another message is not counted again.
- The mail that carries a report is never counted: no report about a report.
- What peers say is cut to size, and so is the number of kinds of failure: a hostile server cannot fill the disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.mailauth.daily import DAY

if TYPE_CHECKING:
    from angaros.config.config import Config
    from angaros.model.interfaces import Services
    from angaros.model.message import Message

DATABASE = "tlsrpt"
POLICY_STS, POLICY_TLSA, NO_POLICY = "sts", "tlsa", "no-policy-found"
"""Policy types. RFC 8460 4.4"""
VALIDATION_FAILURE, NO_STARTTLS = "validation-failure", "starttls-not-supported"
MISMATCH, EXPIRED, NOT_TRUSTED = "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted"
"""Result types. RFC 8460 4.3"""
MAX_KINDS = 100
"""Different failures that are kept for one policy and day; more only count in the summary."""
MAX_TEXT = 200
"""Octets of one text in a report."""
HEADER = "TLS-Report-Domain"
"""RFC 8460 5.3"""


@dataclass(frozen=True, slots=True)
class Applied:
    """The policy under which a session was tried."""

    kind: str
    domain: str
    """Where the policy is: the recipients' domain, or the host for TLSA records."""
    lines: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail. RFC 8460 4.4"""

    result_type: str
    host: str = ""
    address: str = ""
    local_address: str = ""
    reason: str = ""
    detail: str = ""

    def fields(self) -> dict[str, str]:
        """As the report names them; empty ones left out."""
        named = {
            "result-type": self.result_type,
            "sending-mta-ip": self.local_address,
            "receiving-mx-hostname": self.host,
            "receiving-ip": self.address,
            "failure-reason-code": self.reason,
            "additional-information": self.detail,
        }
        return {name: _clean(value) for name, value in named.items() if value}


def _clean(text: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in str(text))[:MAX_TEXT]


def is_report(message: Message, config: Config) -> bool:
    """Whether a message is a report of ours: made by ourselves, with the header line that only reports have."""
    session = message.session
    ours = not session.sender_host_address and session.originator_uid in (0, config.exim_uid)
    return ours and bool(message.headers_named(HEADER))


def classify(problems: Iterable[str]) -> str:
    """The result type for what was wrong with a certificate, in OpenSSL's words."""
    text = "\n".join(problems)
    if "name mismatch" in text:
        return MISMATCH
    if "has expired" in text or "not yet valid" in text:
        return EXPIRED
    return NOT_TRUSTED if "verify error" in text else VALIDATION_FAILURE


def note(services: Services, domain: str, applied: Applied, failures: Iterable[Failure] = (), *, good: bool) -> None:
    """Count one session for `domain`. A good one may have failures too: a policy that could not be renewed, say."""
    day = int(services.clock.now() // DAY)

    def change(known: dict[str, Any] | None) -> dict[str, Any]:
        record = known or {"good": 0, "bad": 0, "failures": []}
        record |= {"lines": list(applied.lines), "mx": list(applied.mx)}
        record["good" if good else "bad"] += 1
        for failure in failures:
            _count(record["failures"], failure.fields())
        return record

    services.hints.update(DATABASE, f"{day}:{str(domain).lower()}:{applied.kind}:{str(applied.domain).lower()}", change)


def _count(kinds: list[dict[str, Any]], fields: dict[str, str]) -> None:
    for kind in kinds:
        if kind["fields"] == fields:
            kind["count"] += 1
            return
    if len(kinds) < MAX_KINDS:
        kinds.append({"fields": fields, "count": 1})
