"""`verify = csa`: Client SMTP Authorization. Exim spec 44.52; draft-ietf-marid-csv-csa.

An SRV record at `_client._smtp.<domain>`: priority is the version (1), weight says whether the name is authorized (2: yes,
1: no, 3: unknown), the port's lowest bit that all names below must be authorized explicitly, the target has the addresses.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame
    from angaros.model.interfaces import DnsAnswer

_VERSION = 1
_NOT_AUTHORIZED, _AUTHORIZED = 1, 2
_SUBDOMAINS = 1

_STATUS = {
    "unknown": "unknown",
    "ok": "ok",
    "deferred (SRV lookup failed)": "defer",
    "deferred (target address lookup failed)": "defer",
    "failed (explicit authorization required)": "fail",
    "failed (host name not authorized)": "fail",
    "failed (no authorized addresses)": "fail",
    "failed (client address mismatch)": "fail",
}
"""Reason as it is told: `$csa_status`."""


def csa(frame: Frame, words: tuple[str, ...]) -> Outcome:
    """True unless the client is not authorized; sets `$csa_status`."""
    session = frame.session
    if not session.is_remote:
        return Outcome.ACCEPT
    domain = words[0] if words and words[0] else session.sender_helo_name or session.sender_host_address
    cache: dict[str, str] = frame.connection.caches.setdefault("csa", {})
    reason = cache.get(domain)
    if reason is None:
        reason = cache[domain] = _check(frame, domain)
    status = _STATUS[reason]
    frame.scope.state["csa_status"] = status
    frame.user_message = frame.log_message = f"client SMTP authorization {reason}"
    return Outcome.DENY if status == "fail" else Outcome.ACCEPT


def _check(frame: Frame, domain: str) -> str:
    name = _query_name(frame, domain)
    if not name:
        return "unknown"
    found, answer = _search(frame, name)
    if answer is None or answer.status in ("nomatch", "nodata"):
        return "unknown"
    if answer.status != "ok":
        return "deferred (SRV lookup failed)"
    for _, (priority, weight, port, target) in answer.records:
        if priority != _VERSION:
            continue
        if found != name:
            return "failed (explicit authorization required)" if port & _SUBDOMAINS else "unknown"
        if weight == _NOT_AUTHORIZED:
            return "failed (host name not authorized)"
        if weight == _AUTHORIZED:
            return _check_target(frame, target)
    return "unknown"


def _query_name(frame: Frame, domain: str) -> str:
    """The domain; for an address (literal) the name in the reverse zones if `dns_csa_use_reverse` allows it."""
    text = domain.removeprefix("[").removesuffix("]")
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return domain.rstrip(".")
    return address.reverse_pointer if frame.scope.services.config.main.dns_csa_use_reverse else ""


def _search(frame: Frame, name: str) -> tuple[str, DnsAnswer | None]:
    """The record of the name, else of the nearest parent that has one; never of a top level domain."""
    limit = frame.scope.services.config.main.dns_csa_search_limit
    dns = frame.scope.services.dns
    answer = dns.query(f"_client._smtp.{name}", "SRV")
    labels = name.split(".")
    for skipped in range(1, limit + 1):
        if answer.status not in ("nomatch", "nodata"):
            return ".".join(labels[skipped - 1 :]), answer
        if len(labels) - skipped < 2:
            break
        answer = dns.query(f"_client._smtp.{'.'.join(labels[skipped:])}", "SRV")
    else:
        skipped = limit + 1
    return ".".join(labels[skipped - 1 :]), answer


def _check_target(frame: Frame, target: str) -> str:
    """Whether one of the target's addresses is that of the client."""
    client = frame.session.sender_host_address
    kind = "AAAA" if ":" in client else "A"
    answer = frame.scope.services.dns.query(target, kind)
    if answer.status in ("nomatch", "nodata"):
        return "failed (no authorized addresses)"
    if answer.status != "ok":
        return "deferred (target address lookup failed)"
    wanted = ipaddress.ip_address(client)
    if any(ipaddress.ip_address(str(data)) == wanted for _, data in answer.records):
        return "ok"
    return "failed (client address mismatch)"
