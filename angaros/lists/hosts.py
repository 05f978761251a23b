"""Hosts as subjects. # Exim spec 10.10-10.19

Laws:
- Addresses are compared without any lookup; a plain name is looked up forward; `*.name`, `^regex` and lookups by name need the
  peer's name, which is looked up when the first such item is met.
- A name or address that does not exist is `HostUnknown`; one that cannot be known now is `ListDefer`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from angaros.lists.ip import in_net, key_text, parse_ip, parse_net, unmapped
from angaros.lists.pattern import look_up, match_pattern, split_lookup
from angaros.lists.subject import Store, Subject, store_in
from angaros.lists.walk import MATCH, HostUnknown
from angaros.model.errors import ListDefer
from angaros.model.interfaces import ListMatch
from angaros.model.text import lower

if TYPE_CHECKING:
    from angaros.model.scope import Scope

_NET = re.compile(r"net(\d*)-")


class HostSubject(Subject):
    """The peer of the connection, or a host given by name and address."""

    __slots__ = ("address", "name", "parsed")
    kind = "host"

    def __init__(self, address: str, name: str | None, keep: bool = False, label: str = "") -> None:
        self.address = unmapped(address)
        self.parsed = parse_ip(self.address) if address else None
        self.name = name
        """None: the session's, looked up when needed; "": may not be used (`match_ip`)."""
        super().__init__(label or "host", self.address, keep)

    def store(self, scope: Scope) -> Store | None:
        """With the connection."""
        return store_in(scope.session.extra) if self.keep and scope.session is not None else None

    def test(self, item: str, scope: Scope) -> ListMatch | None:
        """# Exim spec 10.11"""
        if not item:
            return None if self.address else ListMatch(True, "")
        if item == "*":
            return ListMatch(True, None, self.key)
        if not self.address:
            return None
        if item[0] == "@":
            if item == "@[]":
                return self._local(item, scope)
            if item == "@":
                item = scope.services.config.main.primary_hostname or ""
        net = parse_net(item)
        if net is not None:
            found = self.parsed is not None and in_net(self.parsed, net)
            return ListMatch(True, None, self.key) if found else None
        return self._not_address(item, scope)

    def _local(self, item: str, scope: Scope) -> ListMatch | None:
        from angaros.net.interfaces import is_local_address

        return ListMatch(True, None, self.key) if is_local_address(self.address, scope.services) else None

    def _not_address(self, item: str, scope: Scope) -> ListMatch | None:
        """A name, a pattern or a lookup."""
        if item[0] in "*^":
            return self._by_name(item, scope)
        if ";" in item:
            return self._lookup(item, scope)
        if not item.strip("0123456789./"):
            raise HostUnknown(f"malformed IPv4 address or address mask: {item.partition('/')[0]}")
        if ":" in item:
            raise HostUnknown(f"malformed IPv6 address or address mask: {item.partition('/')[0]}")
        if self.name == "":
            raise HostUnknown("cannot match host name in match_ip list")
        return self._forward(item, scope)

    def _forward(self, item: str, scope: Scope) -> ListMatch | None:
        """A plain name stands for its addresses. # Exim spec 10.12"""
        from angaros.net.hosts import HostQuery, find_by_name

        search = find_by_name(item, scope, HostQuery(local_check=False))
        if search.status == "again":  # the name server may know by now what the system could not say
            answer = scope.services.dns.query(item, "A", scope=scope)
            if answer.status != "ok":
                raise ListDefer("")
            found = any(parse_ip(str(address)) == self.parsed for _, address in answer.records)
            return MATCH if found else None
        if search.status not in ("found", "found_local"):
            raise HostUnknown(f"failed to find IP address for {item}")
        for host in search.hosts:
            if parse_ip(unmapped(host.address)) == self.parsed:
                return MATCH
        return None

    def _lookup(self, item: str, scope: Scope) -> ListMatch | None:
        """`type;file`, `net-type;file`, `net24-type;file`, `type;query`. # Exim spec 10.13, 10.18, 10.19"""
        kind, data = split_lookup(item)
        net = _NET.match(kind)
        plain = kind[net.end() :] if net else kind
        try:
            query = scope.services.lookups.is_query_style(plain)
        except KeyError as error:
            scope.log(f'{error.args[0]} in host list item "{item}"', panic=True)
            raise ListDefer(str(error.args[0])) from None
        by_address = net is not None or self.name == ""  # there is no name in match_ip: any lookup is by address
        if not by_address and not query:
            return self._by_name(item, scope)
        key = "" if query else self._net_key(net[1] if net else "", plain)
        result = look_up(plain, key, data, scope)
        return None if result.value is None else ListMatch(True, result.value, self.key)

    def _net_key(self, mask: str, kind: str) -> str:
        if self.parsed is None:
            return self.address
        separator = ":" if kind.partition(",")[0].rstrip("@*") == "iplsearch" else "."
        return key_text(self.parsed, int(mask) if mask else -1, separator)

    def _by_name(self, item: str, scope: Scope) -> ListMatch | None:
        """All names of the host are tried. # Exim spec 10.14"""
        numeric = scope.numeric
        try:
            for name in self._names(item, scope):
                found = match_pattern(name, item, scope)
                if found is not None:
                    return found
        finally:
            scope.numeric = numeric
        return None

    def _names(self, item: str, scope: Scope) -> list[str]:
        if self.name is not None:
            if not self.name:
                raise HostUnknown("cannot match host name in match_ip list")
            return [lower(self.name)]
        session = scope.session
        if session is None:
            return []
        if not session.sender_host_name:
            scope.trace("lists", f"sender host name required, to match against {item}")
            from angaros.net.peer import lookup_host_name

            scope.depth += 1
            known = lookup_host_name(scope)
            scope.depth -= 1
            if not known:
                if session.host_lookup_deferred:
                    raise ListDefer("")
                raise HostUnknown(f"failed to find host name for {self.address}")
        return [lower(session.sender_host_name), *(lower(alias) for alias in session.sender_host_aliases)]
