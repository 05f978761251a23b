"""Hosts from MX, SRV and address records: order, addresses, this host in the list."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from angaros.config.settings import split_list
from angaros.model.delivery import Host
from angaros.net import hosts as found
from angaros.net.hosts import HostQuery, HostSearch

if TYPE_CHECKING:
    from angaros.model.interfaces import DnsAnswer
    from angaros.model.scope import Scope

NO_SERVICE = "an MX or SRV record indicated no SMTP service"
NO_HOSTS = "all relevant MX records point to non-existent hosts"
NO_HOSTS_OR_ADDRESSES = f"{NO_HOSTS} or (invalidly) to IP addresses"
INSECURE = "host lookup done insecurely"

PREFERENCE = 1000
"""Sort keys are preference * 1000 + a random number below 500, plus 500 for the address family that is not preferred."""
SPREAD = 500
MX_LIMIT = 500
"""Hosts taken from one answer: no honest domain has more."""


class Wish:
    """What one search asks of the DNS: DNSSEC data, and whether it insists on them."""

    __slots__ = ("query", "request", "require", "scope")

    def __init__(self, name: str, scope: Scope, query: HostQuery) -> None:
        self.scope = scope
        self.query = query
        self.require = self._listed(name, query.dnssec_require, "require")
        self.request = self.require or self._listed(name, query.dnssec_request, "request")

    def _listed(self, name: str, items: str | None, what: str) -> bool:
        scope = self.scope
        if not scope.tracing("dns"):
            return found.in_domain_list(name, items, scope)
        scope.trace("dns", f"check dnssec {what} list")
        if self.query.dnssec_lists == "none":
            return False
        inner = scope.child()
        inner.depth += 1
        option = f"dnssec_{what}_domains" if self.query.dnssec_lists == "options" else ""
        return bool(scope.services.lists.match_domain(name, items, inner, option=option))

    def ask(self, name: str, kind: str, *, extend: bool) -> DnsAnswer:
        """One lookup; `extend`: the name may be completed as the options say."""
        return self.scope.services.dns.query(
            name,
            kind,
            qualify_single=extend and self.query.qualify_single,
            search_parents=extend and self.query.search_parents,
            dnssec=self.request,
            scope=self.scope,
            events=self.query.events,
        )


def search(name: str, scope: Scope, query: HostQuery) -> HostSearch:
    """See `hosts.find_by_dns`."""
    wish = Wish(name, scope, query)
    steps = [("SRV", f"_{service}._tcp.{name}") for service in split_list(query.srv)] + ([("MX", name)] if query.mx else [])
    for kind, asked in steps:
        answer = wish.ask(asked, kind, extend=True)
        if answer.bad_name:
            return HostSearch(found.FAILED, bad_name=True)
        if answer.status == "ok" and wish.require and not answer.authenticated:
            return HostSearch(found.SECURITY, name=name, message=INSECURE)
        if answer.status == "ok":
            search = _from_records(kind, answer, name, wish)
            for host in search.hosts:
                host.smtps = asked.lower().startswith(SMTP_TLS)
            return search
        fail_domains = query.srv_fail_domains if kind == "SRV" else query.mx_fail_domains
        if answer.status in ("again", "fail") and not scope.services.lists.match_domain(name.lower(), fail_domains, scope):
            return HostSearch(found.AGAIN, again_type=kind)
    if not query.addresses or (query.needs_mx is not None and query.needs_mx()):
        return HostSearch(found.FAILED)
    return _addresses_only(name, wish)


SMTP_TLS = "_smtp-tls._tcp."
"""SRV service of hosts that speak TLS at once, whatever the transport's protocol and port say."""


def _addresses_only(name: str, wish: Wish) -> HostSearch:
    filled, status, full = addresses_of(Host(name, domain=name), wish)
    if status != found.FOUND:
        return HostSearch(status, filled, full, again_type="A" if status == found.AGAIN else "", message=_reason(status))
    local = wish.query.local_check and found.scan_for_local(filled, wish.scope) == found.FOUND_LOCAL
    return HostSearch(found.FOUND_LOCAL if local else found.FOUND, filled, full, dnssec=filled[0].dnssec)


def _reason(status: str) -> str:
    return INSECURE if status == found.SECURITY else ""


def _from_records(kind: str, answer: DnsAnswer, name: str, wish: Wish) -> HostSearch:
    """MX or SRV records exist: hosts, in order, with their addresses."""
    scope = wish.scope
    hosts = _order_srv(answer, scope) if kind == "SRV" else _order_mx(answer, scope)
    full = answer.qualified_name or name
    if kind == "SRV":
        full = full.split(".", 2)[2] if full.startswith("_") and full.count(".") >= 2 else name
    if not hosts or (len(hosts) == 1 and hosts[0].name in ("", ".")):
        return HostSearch(found.FAILED, name=full, message=NO_SERVICE)  # RFC 7505 3, RFC 2782
    for host in hosts:
        host.dnssec, host.domain = answer.authenticated, full
    search = HostSearch(found.FOUND, name=full, dnssec=answer.authenticated)
    search.hosts, problems = _fill_all(hosts, wish)
    _drop_duplicates(search.hosts)
    search.hosts.sort(key=lambda host: (host.mx, (":" in host.address) == wish.query.ipv4_prefer))
    if not any(host.address for host in search.hosts):
        return _none_usable(search, problems, hosts, scope)
    if wish.query.local_check:
        before = len(search.hosts)
        search.status = found.scan_for_local(search.hosts, scope)
        search.removed = len(search.hosts) < before
    return search


def _none_usable(search: HostSearch, problems: set[str], hosts: list[Host], scope: Scope) -> HostSearch:
    if "deferred" in problems:
        search.status, search.again_type = found.AGAIN, "A"
    elif "insecure" in problems:
        search.status, search.message = found.SECURITY, INSECURE
    elif "ignored" in problems:
        search.status, search.message, search.ignored_mx = found.IGNORED, NO_HOSTS, hosts[-1].name
    else:
        literal = any(found._is_address(host.name) for host in hosts) and not scope.services.config.main.allow_mx_to_ip
        search.status, search.message = found.FAILED, NO_HOSTS_OR_ADDRESSES if literal else NO_HOSTS
    return search


def _order_mx(answer: DnsAnswer, scope: Scope) -> list[Host]:
    """Each name once, with its best preference; equal ones shuffled."""
    best: dict[str, Host] = {}
    random = scope.services.random
    for _, (preference, name) in answer.records[:MX_LIMIT]:
        known = best.get(name.lower())
        sort_key = preference * PREFERENCE + random.below(SPREAD)
        if known is not None and known.mx <= preference:
            continue
        best[name.lower()] = Host(name, mx=preference, sort_key=sort_key)
    return sorted(best.values(), key=lambda host: host.sort_key)


def _order_srv(answer: DnsAnswer, scope: Scope) -> list[Host]:
    """By priority, then by weighted chance. RFC 2782."""
    random = scope.services.random
    groups: dict[int, list[tuple[int, Host]]] = {}
    for _, (priority, weight, port, name) in answer.records[:MX_LIMIT]:
        groups.setdefault(priority, []).append((weight, Host(name, port=port, mx=priority)))
    ordered: list[Host] = []
    for priority in sorted(groups):
        left = sorted(groups[priority], key=lambda entry: entry[0])
        while left:
            total = sum(weight for weight, _ in left)
            pick = random.below(total + 1) if len(left) > 1 else 0
            for position, (weight, host) in enumerate(left):
                pick -= weight
                if pick <= 0 or position == len(left) - 1:
                    ordered.append(host)
                    del left[position]
                    break
    for number, host in enumerate(ordered):
        host.sort_key = host.mx * PREFERENCE + number
    return ordered


def _fill_all(hosts: list[Host], wish: Wish) -> tuple[list[Host], set[str]]:
    """The hosts with an entry for each address; those that cannot be resolved now stay without one. Also what went wrong."""
    filled: list[Host] = []
    problems: set[str] = set()
    for host in hosts:
        entries, status, _ = addresses_of(host, wish)
        filled += entries
        if status != found.FOUND:
            why = {found.AGAIN: "deferred", found.IGNORED: "ignored", found.SECURITY: "insecure"}.get(status, "failed")
            problems.add(why)
            if status in (found.AGAIN, found.FAILED):
                filled.append(replace(host, status="unusable", why=why))
    return filled, problems


def addresses_of(host: Host, wish: Wish) -> tuple[list[Host], str, str]:
    """One entry for each address of a host, shuffled; the status; its full name."""
    scope = wish.scope
    if host.mx >= 0 and found._is_address(host.name):
        if not scope.services.config.main.allow_mx_to_ip:
            return [], found.FAILED, host.name
        if found.ignored(str(host.name), host.name, wish.query.ignore, scope):
            return [], found.IGNORED, host.name
        return [replace(host, address=str(host.name))], found.FOUND, host.name
    entries: list[Host] = []
    status, full = found.FAILED, host.name
    for kind in found.address_kinds(host.name, scope, wish.query):
        if wish.query.aaaa_only and kind == "A" and host.mx < 0:
            continue
        answer = wish.ask(host.name, kind, extend=host.mx < 0)
        status = _worse(status, answer.status)
        if answer.status != "ok":
            continue
        if wish.require and not answer.authenticated:
            status = found.SECURITY
            continue
        full = answer.qualified_name or full
        new, was_ignored = _entries(host, full, answer, scope, wish.query)
        entries += new
        if was_ignored and not entries:
            status = found.IGNORED
    if not entries:
        return [], status, full
    if len(entries) > 1:
        entries.sort(key=lambda entry: entry.sort_key)
    return entries, found.FOUND, full


def _worse(status: str, dns_status: str) -> str:
    return found.AGAIN if dns_status in ("again", "fail") else status


def _entries(host: Host, full: str, answer: DnsAnswer, scope: Scope, query: HostQuery) -> tuple[list[Host], bool]:
    """The addresses of one answer as hosts with sort keys."""
    random = scope.services.random
    entries = []
    was_ignored = False
    base = max(host.mx, 0) * PREFERENCE
    for _, address in answer.records:
        if found.ignored(address, host.name, query.ignore, scope):
            was_ignored = True
            continue
        late = SPREAD if (":" in address) == query.ipv4_prefer else 0
        key = base + late + random.below(SPREAD)
        dnssec = answer.authenticated and (host.mx < 0 or host.dnssec)
        owner = str(answer.records[0][0])  # an alias is replaced by what it stands for
        name = owner if host.mx < 0 and owner.lower() != full.lower() else full.lower() if host.mx < 0 else _target(host, owner)
        names = [str(host.name), str(name)] if dnssec and host.mx >= 0 else [str(host.name if host.mx >= 0 else name)]
        entries.append(replace(host, name=name, address=str(address), sort_key=key, dnssec=dnssec, certificate_names=names))
    return entries, was_ignored


def _target(host: Host, owner: str) -> str:
    """The name at the end of the chain when an MX host is an alias (RFC 7672 2.2.2), else its name as the MX record has it."""
    return host.name if owner.lower() == host.name.lower() else owner


def _drop_duplicates(hosts: list[Host]) -> None:
    """An address that comes twice (same port) stays where it comes first."""
    seen: set[tuple[str, int]] = set()
    kept = []
    for host in hosts:
        key = (host.address or host.name, host.port)
        if key in seen:
            continue
        seen.add(key)
        kept.append(host)
    hosts[:] = kept
