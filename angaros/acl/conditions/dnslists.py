"""`dnslists`: DNS block and allow lists. Exim spec 44.27 to 44.37.

Answers of a list are kept for the connection, within their TTL. Sets `$dnslist_domain`, `$dnslist_matched`, `$dnslist_value`,
`$dnslist_text` when a list says yes.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.lists.parse import split_list
from angaros.mailauth.reverse import reversed_labels
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame

MAX_QUERY = 255
"""RFC 1035 2.3.4."""
DEFAULT_TTL = 3600
"""For answers that say nothing about it."""

_DOMAIN = re.compile(r"[A-Za-z0-9_.-]*\Z")
_RESTRICTION = re.compile(r"(!?)(==|=&|=|&)")

_UNKNOWN = {"+include_unknown": Outcome.ACCEPT, "+exclude_unknown": Outcome.DENY, "+defer_unknown": Outcome.DEFER}
_ASSUMED = {
    Outcome.ACCEPT: "assumed in list",
    Outcome.DENY: "assumed not in list",
    Outcome.DEFER: "returned DEFER",
}


@dataclass(slots=True)
class _Answer:
    """What one name gave."""

    status: str
    addresses: list[str]
    expires: float
    text: str | None = None
    text_looked_up: bool = False


@dataclass(frozen=True, slots=True)
class _Restriction:
    """`=127.0.0.2,127.0.0.3` and its relatives. Exim spec 44.33 to 44.35."""

    listed: str
    negated: bool
    every: bool
    bits: bool

    def accepts(self, addresses: list[str]) -> bool:
        """Whether the addresses that a list returned count."""
        wanted = [item.strip() for item in self.listed.split(",")]
        matches = (any(self._one(address, item) for item in wanted) for address in addresses)
        return (all(matches) if self.every else any(matches)) != self.negated

    def _one(self, address: str, item: str) -> bool:
        if not self.bits:
            return address == item
        mask, value = _number(item), _number(address)
        return mask >= 0 and value >= 0 and value & mask == mask

    def refusal(self) -> str:
        """Why not, for the trace."""
        shown = f"{'=' if self.every else ''}{'&' if self.bits else '='}{self.listed}"
        if self.every:
            found = "were no IP addresses that did not match" if self.negated else "was an IP address that did not match"
        else:
            found = "was an exclude match" if self.negated else "was no match"
        return f"there {found} for {shown}"


@dataclass(frozen=True, slots=True)
class _Item:
    domain: str
    text_domain: str
    """Domain that is asked for the text, and named to the world (Exim spec 44.36)."""
    restriction: _Restriction | None
    keys: str | None


def dnslists(frame: Frame, argument: str) -> Outcome:
    """True when one of the lists has one of the keys."""
    unknown = Outcome.DENY
    result = Outcome.DENY
    try:
        items = frame.scope.expand(argument)
    except ForcedFailure:
        return Outcome.ACCEPT
    except ExpansionError as error:
        frame.log_message = f'failed to expand ACL string "{argument}": {error}'
        return Outcome.DEFER if error.temporary else Outcome.ERROR
    if items != argument:
        frame.trace(f"expanded list: {items}")
    for text in split_list(items):
        frame.trace(f"dnslists check: {text}")
        if text.startswith("+"):
            if text.lower() in _UNKNOWN:
                unknown = _UNKNOWN[text.lower()]
            else:
                frame.panic(f"unknown item in dnslist (ignored): {text}")
            continue
        item = _parse(frame, text)
        outcome = _check_item(frame, item, unknown)
        if outcome is Outcome.ACCEPT:
            return outcome
        if outcome is Outcome.DEFER:
            result = outcome
    return result


def _parse(frame: Frame, text: str) -> _Item:
    domains, slash, keys = text.partition("/")
    restriction = None
    found = _RESTRICTION.search(domains)
    if found is not None:
        sign = found.group(2)
        restriction = _Restriction(domains[found.end() :], bool(found.group(1)), len(sign) == 2, "&" in sign)
        domains = domains[: found.start()]
    text_domain, comma, domain = domains.partition(",")
    domain = domain if comma else text_domain
    for name in {text_domain: None, domain: None}:
        if not _DOMAIN.match(name):
            frame.panic(f'dnslists domain "{name}" contains strange characters - is this right?')
    return _Item(domain, text_domain, restriction, keys if slash else None)


def _check_item(frame: Frame, item: _Item, unknown: Outcome) -> Outcome:
    if item.keys is None:
        address = frame.session.sender_host_address
        return _check_key(frame, item, str(address), unknown) if address else Outcome.DENY
    result = Outcome.DENY
    for key in split_list(item.keys):
        outcome = _check_key(frame, item, str(key), unknown)
        if outcome is Outcome.ACCEPT:
            return outcome
        if outcome is Outcome.DEFER:
            result = outcome
    return result


def _check_key(frame: Frame, item: _Item, key: str, unknown: Outcome) -> Outcome:
    outcome = _check_name(frame, item.domain, key, item.restriction, unknown)
    if outcome is Outcome.ACCEPT and item.text_domain != item.domain:
        outcome = _check_name(frame, item.text_domain, key, None, unknown)
    if outcome is Outcome.ACCEPT:
        frame.trace(f"=> that means {key} is listed at {item.text_domain}")
    return outcome


def _check_name(frame: Frame, domain: str, key: str, restriction: _Restriction | None, unknown: Outcome) -> Outcome:
    """Ask one list for one key; on success set the variables."""
    prefix = reversed_labels(key)
    query = f"{prefix}.{domain}"
    if len(query) > MAX_QUERY:
        frame.log(f"dnslist query is too long (ignored): {query}...")
        return Outcome.DENY
    metrics = frame.scope.services.metrics
    answer = _look_up(frame, query, domain)
    if answer.status == "again":
        metrics.add("dnslist_checks_total", domain, "deferred")
        frame.log(f"DNS list lookup defer (probably timeout) for {query}: {_ASSUMED[unknown]}", "dnslist_defer")
        return unknown
    metrics.add("dnslist_checks_total", domain, "listed" if answer.addresses else "unlisted")
    if not answer.addresses:
        frame.trace(f"DNS lookup for {query} failed")
        frame.trace(f"=> that means {key} is not listed at {domain}")
        return Outcome.DENY
    frame.trace(f"DNS lookup for {query} succeeded (yielding {', '.join(answer.addresses)})")
    if restriction is not None:
        if not restriction.accepts(answer.addresses):
            frame.trace("=> but we are not accepting this block class because")
            frame.trace(f"=> {restriction.refusal()}")
            return Outcome.DENY
    elif not _in_loopback(frame, answer.addresses, key, domain):
        return Outcome.DENY
    state = frame.scope.state
    state.update(dnslist_domain=domain, dnslist_matched=key, dnslist_value=", ".join(answer.addresses))
    text = _text_of(frame, answer, query)
    if text is None:
        state.pop("dnslist_text", None)
    else:
        state["dnslist_text"] = text
    return Outcome.ACCEPT


def _in_loopback(frame: Frame, addresses: list[str], key: str, domain: str) -> bool:
    """Whether one of the addresses is in 127/8; others are no answer of a list that is alive."""
    good = False
    for address in addresses:
        if address.startswith("127."):
            good = True
        else:
            frame.log(f"DNS list lookup for {key} at {domain} returned {address}; not in 127.0/8 and discarded")
    return good


def _look_up(frame: Frame, query: str, domain: str) -> _Answer:
    cache: dict[str, _Answer] = frame.connection.caches.setdefault("dnslists", {})
    now = frame.scope.services.clock.now()
    kept = cache.get(query)
    if kept is not None and kept.expires > now:
        frame.trace("dnslists: using result of previous lookup")
        frame.scope.services.metrics.add("dnslist_cache_hits_total", domain)
        return kept
    stale = "cached data found but past valid time; " if kept is not None else ""
    frame.trace(f"{stale}new DNS lookup for {query}")
    found = frame.scope.services.dns.query(query, "A", scope=frame.scope)
    addresses = [str(data) for _, data in found.records] if found.status == "ok" else []
    ttl = (found.ttl if addresses else found.soa_ttl) or DEFAULT_TTL
    answer = cache[query] = _Answer(found.status, addresses, now + ttl)
    frame.trace(f"dnslists: wrote cache entry, ttl={ttl}")
    return answer


def _text_of(frame: Frame, answer: _Answer, query: str) -> str | None:
    """The first TXT record beside the address; looked up once."""
    if not answer.text_looked_up:
        answer.text_looked_up = True
        found = frame.scope.services.dns.query(query, "TXT", scope=frame.scope)
        if found.status == "ok" and found.records:
            answer.text = found.records[0][1]
    return answer.text


def _number(address: str) -> int:
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET, address), "big")
    except (OSError, UnicodeEncodeError, ValueError):
        return -1
