"""`@`, `@[]`, `@mx_any`, `@mx_primary`, `@mx_secondary`: domains that are this host's. # Exim spec 10.9"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.model.errors import ListDefer
from angaros.model.interfaces import ListMatch
from angaros.model.text import lower

if TYPE_CHECKING:
    from angaros.model.scope import Scope

_IGNORE = "/ignore="


def match_at(domain: str, item: str, scope: Scope) -> tuple[ListMatch | None, bool]:
    """The result for an item that begins with `@`, and whether it is one of the known forms."""
    if item == "@":
        host = scope.services.config.main.primary_hostname or ""
        return (ListMatch(True, host, domain) if domain == lower(host) else None), True
    if item == "@[]":
        return (ListMatch(True, item, domain) if _is_our_literal(domain, scope) else None), True
    name, _, ignore = item.partition(_IGNORE)
    if name.lower() in ("@mx_any", "@mx_primary", "@mx_secondary"):
        return (ListMatch(True, item, domain) if _mx_is_local(domain, name[4:].lower(), ignore or None, scope) else None), True
    return None, False


def _is_our_literal(domain: str, scope: Scope) -> bool:
    """`[1.2.3.4]`, `[IPv6:...]` with an address of this host."""
    if domain[:1] != "[" or domain[-1:] != "]":
        return False
    from angaros.net.interfaces import is_local_address

    address = domain[1:-1]
    if address[:5].lower() == "ipv6:":
        address = address[5:]
    return is_local_address(address, scope.services)


def _mx_is_local(domain: str, which: str, ignore: str | None, scope: Scope) -> bool:
    from angaros.net.hosts import HostQuery, find_by_dns

    search = find_by_dns(domain, scope, HostQuery(mx=True, ignore=ignore, qualify_single=False, dnssec_lists="none"))
    if search.status == "again":
        raise ListDefer(f'DNS lookup of "{domain}" deferred')
    primary = search.status == "found_local"
    if which == "primary":
        return primary
    secondary = search.status == "found" and search.removed
    return secondary if which == "secondary" else primary or secondary
