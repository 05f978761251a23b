"""Who is calling: the peer's name from its address, checked forwards, and whether its HELO is true."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from angaros.config.settings import split_list
from angaros.model.delivery import Host
from angaros.model.text import Tainted
from angaros.net.hosts import FOUND, FOUND_LOCAL, HostQuery, HostSearch, find_by_dns, hosts_file

if TYPE_CHECKING:
    from angaros.model.scope import Scope
    from angaros.model.session import Session

ALIAS_LIMIT = 50
"""PTR records looked at: each costs two lookups, and the caller chooses how many there are."""


def lookup_host_name(scope: Scope) -> bool:
    """Find `$sender_host_name` from the address, as `host_lookup_order` says, and check that the name leads back to the address
    (Exim spec 14, host_lookup). Sets the session's name, aliases and failure flags; at most once for a connection."""
    session = scope.session
    assert session is not None
    if session.sender_host_name or session.host_lookup_failed or not session.sender_host_address:
        return bool(session.sender_host_name)
    session.host_name_looked_up = True
    session.host_lookup_deferred = False
    scope.trace("host_lookup", f"looking up host name for {session.sender_host_address}")
    harness = scope.services.harness
    if harness is not None and harness.defers_name(session.sender_host_address, lambda text: scope.trace("host_lookup", text)):
        return _no_names(session, scope, True)
    names, secure, deferred = _reverse(session, scope)
    if not names:
        return _no_names(session, scope, deferred)
    good, deferred = _confirm(names, session, scope)
    if good:
        session.sender_host_name = good[0]
        session.sender_host_aliases = good[1:]
        session.sender_host_dnssec = secure and session.sender_host_dnssec
        session.host_lookup_msg = ""
        return True
    if deferred:
        session.host_lookup_deferred = True
        session.host_lookup_msg = " (host lookup deferred: reverse lookup not checked)"
        return False
    session.host_lookup_failed = True
    _log_mismatch(names, session, scope)
    return False


def _log_mismatch(names: list[str], session: Session, scope: Scope) -> None:
    shown = names[0]
    text = f"{session.sender_host_address} does not match any IP address for {shown}"
    session.host_lookup_msg = f" ({text})"
    scope.services.log.write(text, selector="host_lookup_failed")


def _no_names(session: Session, scope: Scope, deferred: bool) -> bool:
    if deferred:
        session.host_lookup_deferred = True
        session.host_lookup_msg = " (host lookup deferred)"
        return False
    session.host_lookup_failed = True
    session.host_lookup_msg = " (failed to find host name from IP address)"
    scope.services.log.write(f"no host name found for IP address {session.sender_host_address}", selector="host_lookup_failed")
    return False


def reverse_name(address: str) -> str:
    """`4.3.2.1.in-addr.arpa`, nibbles under `ip6.arpa`."""
    return ipaddress.ip_address(address.partition("%")[0]).reverse_pointer


def _reverse(session: Session, scope: Scope) -> tuple[list[str], bool, bool]:
    """Names for the address, whether by DNSSEC, and whether it could not be found out now."""
    deferred = False
    address = session.sender_host_address
    for method in split_list(scope.services.config.main.host_lookup_order):
        if method == "bydns":
            answer = scope.services.dns.query(reverse_name(address), "PTR", dnssec=True, scope=scope)
            if answer.status == "ok":
                names = [Tainted(str(name).lower()) for _, name in answer.records[:ALIAS_LIMIT]]
                _trace_names(names, scope)
                names = [name for name in names if name]
                if names:
                    return list(names), answer.authenticated, False
            deferred = answer.status == "again"
            if deferred:
                break
        elif method == "byaddr":
            listed = hosts_file().by_address.get(str(ipaddress.ip_address(address.partition("%")[0])))
            if listed:
                _trace_names(listed, scope)
                return [Tainted(name) for name in listed], False, False
    return [], False, deferred


def _trace_names(names: list[Tainted] | tuple[str, ...], scope: Scope) -> None:
    for number, name in enumerate(names):
        if not name:
            scope.trace("host_lookup", " IP address lookup yielded an empty name: treated as non-existent host name")
        elif number:
            scope.trace("host_lookup", f'   alias "{name}"')
        else:
            scope.trace("host_lookup", f' IP address lookup yielded "{name}"')


def _confirm(names: list[str], session: Session, scope: Scope) -> tuple[list[str], bool]:
    """The names that have the caller's address (Exim spec 14, host_lookup), and whether one could not be looked up now."""
    good: list[str] = []
    deferred = False
    secure = True
    for name in names:
        found = _forward(name, scope, HostQuery(addresses=True, qualify_single=False, local_check=False, events=False))
        if found.status == "again":
            deferred = True
            scope.trace("host_lookup", " temporary error for host name lookup")
            continue
        if found.status not in (FOUND, FOUND_LOCAL):
            scope.trace("host_lookup", f" no IP addresses found for {name}")
            continue
        scope.trace("host_lookup", f" checking addresses for {name}")
        if any(_same_address(host.address, session.sender_host_address) for host in found.hosts):
            scope.trace("host_lookup", f"   {session.sender_host_address} OK")
            good.append(name)
            secure = secure and found.dnssec
        else:
            for host in found.hosts:
                scope.trace("host_lookup", f"   {host.address}")
            scope.trace("host_lookup", f" no IP address for {name} matched {session.sender_host_address}")
    session.sender_host_dnssec = secure
    return good, deferred and not good


def _forward(name: str, scope: Scope, query: HostQuery) -> HostSearch:
    """Addresses of a name: of the DNS, then of the system."""
    inner = scope.child()
    inner.depth += 1
    found = find_by_dns(name, inner, query)
    if found.status in (FOUND, FOUND_LOCAL, "again"):
        return found
    return _listed(name) or found


def _listed(name: str) -> HostSearch | None:
    """From /etc/hosts."""
    listed = hosts_file().by_name.get(name.lower())
    return HostSearch("found", [Host(name, address) for address in listed[1]], name) if listed else None


def _same_address(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        first, second = ipaddress.ip_address(one.partition("%")[0]), ipaddress.ip_address(other.partition("%")[0])
    except ValueError:
        return False
    return first == second


def verify_helo(scope: Scope) -> bool:
    """Whether the HELO name is the peer's (Exim spec 14, helo_try_verify_hosts): its address in brackets, the name of its reverse
    lookup, or a name with its address. Sets `helo_verified`, `helo_verify_failed`, `sender_helo_dnssec`."""
    session = scope.session
    assert session is not None
    if not session.sender_helo_name:
        scope.trace("receive", "verifying EHLO/HELO argument <NULL>")
        scope.trace("receive", "no EHLO/HELO command was issued")
        return False
    scope.trace("receive", f'verifying EHLO/HELO argument "{session.sender_helo_name}"')
    session.helo_verified = _helo_is_true(session, scope)
    session.helo_verify_failed = not session.helo_verified
    return session.helo_verified


def _helo_is_true(session: Session, scope: Scope) -> bool:
    helo = session.sender_helo_name
    address = session.sender_host_address
    if helo[0] == "[":
        literal = helo[1:].removesuffix("]")
        if literal[:5].lower() == "ipv6:":
            literal = literal[5:]
        if not _same_address(literal, address):
            return False
        scope.trace("receive", "matched host address")
        return True
    inner = scope.child()
    inner.depth += 1 if scope.where else 0
    if not session.sender_host_name and not session.host_lookup_failed:
        session.host_name_unshown = lookup_host_name(inner)
    if session.sender_host_name:
        for number, name in enumerate([session.sender_host_name, *session.sender_host_aliases]):
            if name.lower() == helo.lower():
                scope.trace("receive", f"matched alias {name}" if number else "matched host name")
                session.sender_helo_dnssec = session.sender_host_dnssec
                return True
    scope.trace("receive", f"getting IP address for {helo}")
    found = find_by_dns(helo, inner, HostQuery(addresses=True, dnssec_request="*", dnssec_require="", local_check=False))
    if found.status not in (FOUND, FOUND_LOCAL, "again"):
        found = _listed(helo) or found
    if found.status in (FOUND, FOUND_LOCAL) and any(_same_address(host.address, address) for host in found.hosts):
        scope.trace("receive", f"IP address for {helo} matches calling address")
        session.sender_helo_dnssec = found.dnssec
        scope.trace("receive", f"Forward DNS security status: {'verified' if found.dnssec else 'unverified'}")
        return True
    return False
