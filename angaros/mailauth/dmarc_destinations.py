"""Whether somebody else wants the reports about a domain. RFC 7489 7.1"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.mailauth.dmarc import DnsProblem, Finder
from angaros.mailauth.dmarc_record import ReportUri, is_dmarc, parse_record
from angaros.mailauth.spf import is_domain

if TYPE_CHECKING:
    from angaros.model.interfaces import Resolver


def permitted(uris: tuple[ReportUri, ...], domain: str, finder: Finder, dns: Resolver) -> list[ReportUri]:
    """The addresses that may get reports about the policy of `domain`; raises `DnsProblem`."""
    found: list[ReportUri] = []
    home = finder.organizational_domain(domain)
    for uri in uris:
        if finder.organizational_domain(uri.domain) == home:
            found.append(uri)
        else:
            found += _external(uri, domain, dns)
    return found


def _external(uri: ReportUri, domain: str, dns: Resolver) -> list[ReportUri]:
    name = f"{domain}._report._dmarc.{uri.domain}"
    if not is_domain(name):
        return []
    answer = dns.query(name, "TXT")
    if answer.status in ("again", "fail"):
        raise DnsProblem(name)
    texts = [str(text) for _, text in answer.records if is_dmarc(str(text))] if answer.status == "ok" else []
    if not texts:
        return []
    record = parse_record(texts[0])
    other = record.report_uris() if record is not None else ()
    # The destination may name other addresses of its own, no others.
    return [found for found in other if found.domain == uri.domain] or [uri]
