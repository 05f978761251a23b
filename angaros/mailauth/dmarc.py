"""DMARC: whether the domain that a message shows as its author's stands behind it. RFC 7489 6.6; DMARCbis as an option.

DNS, the Public Suffix List and chance are passed in; nothing here knows of sessions.

Laws:
- More than one record at a name, or one that cannot be used, is none.
- A temporary DNS error is `temperror`: the sender may try again, nothing is decided on half of the facts.
- An unaligned pass is no pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from angaros.mailauth.dmarc_record import DmarcRecord, is_dmarc, parse_record
from angaros.mailauth.spf import is_domain

if TYPE_CHECKING:
    from angaros.mailauth.public_suffixes import PublicSuffixes
    from angaros.model.interfaces import Resolver

MAX_WALK = 8
"""Names that a tree walk asks. DMARCbis 4.10"""

_ABSENT = ("nomatch", "nodata")
_WEAKER = {"reject": "quarantine", "quarantine": "none", "none": "none"}


class DnsProblem(Exception):
    """A name server could not answer."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The record that speaks for an author's domain."""

    domain: str
    """Where it was found."""
    record: DmarcRecord
    wanted: str
    """What it wants for this author: `none`, `quarantine`, `reject`."""
    used: str = "p"
    """The tag that says so: `p`, `sp`, `np`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What SPF and DKIM found: domains that passed."""

    spf: str = ""
    """The domain that SPF passed; "" none did."""
    dkim: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one author's domain."""

    domain: str
    status: str
    """`accept`, `none`, `quarantine`, `reject`, `norecord`, `temperror`."""
    policy: Policy | None = None
    spf_aligned: bool = False
    dkim_aligned: bool = False
    sampled_out: bool = False
    """`pct` or `t` made it milder."""


class Finder(Protocol):
    """Finds policies and organizational domains; raises `DnsProblem`."""

    def policy(self, domain: str) -> Policy | None: ...

    def organizational_domain(self, domain: str) -> str: ...


def judge(domain: str, evidence: Evidence, finder: Finder, percent: Callable[[], int]) -> Verdict:
    """RFC 7489 6.6.2. `percent` gives a random number below 100."""
    try:
        policy = finder.policy(domain)
        if policy is None:
            return Verdict(domain, "norecord")
        spf = bool(evidence.spf) and _aligned(evidence.spf, domain, policy.record.aspf, finder)
        dkim = any(_aligned(signer, domain, policy.record.adkim, finder) for signer in evidence.dkim)
    except DnsProblem:
        return Verdict(domain, "temperror")
    if spf or dkim:
        return Verdict(domain, "accept", policy, spf, dkim)
    wanted = policy.wanted
    # RFC 7489 6.6.4: messages that are not sampled get the next weaker policy.
    spared = wanted != "none" and (policy.record.testing or (policy.record.pct < 100 and percent() >= policy.record.pct))
    return Verdict(domain, _WEAKER[wanted] if spared else wanted, policy, sampled_out=spared)


def _aligned(found: str, author: str, mode: str, finder: Finder) -> bool:
    """RFC 7489 3.1"""
    found = found.lower().rstrip(".")
    if found == author:
        return True
    return mode == "r" and finder.organizational_domain(found) == finder.organizational_domain(author)


def fetch(name: str, dns: Resolver) -> DmarcRecord | None:
    """The usable record at a name."""
    if not is_domain(name):
        return None
    answer = dns.query(name, "TXT")
    if answer.status not in ("ok", *_ABSENT):
        raise DnsProblem(name)
    texts = [str(text) for _, text in answer.records if is_dmarc(str(text))] if answer.status == "ok" else []
    return parse_record(texts[0]) if len(texts) == 1 else None


class ListFinder:
    """With the Public Suffix List. RFC 7489 3.2, 6.6.3"""

    def __init__(self, suffixes: PublicSuffixes, dns: Resolver) -> None:
        self._suffixes = suffixes
        self._dns = dns

    def organizational_domain(self, domain: str) -> str:
        """See RFC 7489 3.2."""
        return self._suffixes.organizational_domain(domain)

    def policy(self, domain: str) -> Policy | None:
        """The domain's own record, else that of the organizational domain."""
        record = fetch(f"_dmarc.{domain}", self._dns)
        if record is not None:
            return Policy(domain, record, record.p)
        parent = self.organizational_domain(domain)
        record = fetch(f"_dmarc.{parent}", self._dns) if parent != domain else None
        if record is None:
            return None
        return Policy(parent, record, record.sp or record.p, "sp" if record.sp else "p")


class TreeFinder:
    """With a walk up the tree, without any list. DMARCbis 4.10"""

    def __init__(self, dns: Resolver) -> None:
        self._dns = dns
        self._walked: dict[str, list[tuple[str, DmarcRecord]]] = {}

    def _walk(self, domain: str) -> list[tuple[str, DmarcRecord]]:
        """The records on the way up, own one first."""
        known = self._walked.get(domain)
        if known is not None:
            return known
        found: list[tuple[str, DmarcRecord]] = []
        for name in _walk_names(domain):
            record = fetch(f"_dmarc.{name}", self._dns)
            if record is None:
                continue
            found.append((name, record))
            if record.psd == "n" or (record.psd == "y" and name != domain):
                break
        self._walked[domain] = found
        return found

    def organizational_domain(self, domain: str) -> str:
        """DMARCbis 4.10.2"""
        found = self._walk(domain)
        if not found:
            return domain
        name, record = found[-1]
        if record.psd == "y" and name != domain:
            extra = domain.count(".") - name.count(".") - 1
            return domain.split(".", extra)[-1]
        return name

    def policy(self, domain: str) -> Policy | None:
        """DMARCbis 4.10.1: of the domain, of its organizational domain, of the public suffix above."""
        found = dict(self._walk(domain))
        if domain in found:
            return Policy(domain, found[domain], found[domain].p)
        above = self.organizational_domain(domain)
        for name in (above, *found):
            if name in found:
                return self._inherited(domain, name, found[name])
        return None

    def _inherited(self, domain: str, name: str, record: DmarcRecord) -> Policy:
        if record.np and not self._exists(domain):
            return Policy(name, record, record.np, "np")
        return Policy(name, record, record.sp or record.p, "sp" if record.sp else "p")

    def _exists(self, domain: str) -> bool:
        """Whether any of A, AAAA, MX is there (RFC 9091 2.7)."""
        return any(self._dns.query(domain, kind).status not in _ABSENT for kind in ("A", "AAAA", "MX"))


def _walk_names(domain: str) -> Sequence[str]:
    labels = domain.split(".")
    names = [domain]
    rest = labels[1:] if len(labels) < MAX_WALK else labels[-(MAX_WALK - 1) :]
    while rest:
        names.append(".".join(rest))
        rest = rest[1:]
    return names
