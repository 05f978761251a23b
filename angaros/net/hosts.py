"""Finding hosts: by name as the system does (/etc/hosts, then the DNS), or by MX, SRV and address records.

Laws:
- The result says what the caller must know to word its message; nothing is logged here.
- Hosts of equal preference come in random order (`services.random`); every step that draws a number draws it in record order.
- What is refused (`ignore_target_hosts`) or not resolvable leaves the list; a host that cannot be resolved now stays, unusable.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from angaros.config.settings import split_list
from angaros.logs.peer import sender_fullhost
from angaros.model.delivery import Host
from angaros.model.text import Tainted
from angaros.net.interfaces import is_local_address

if TYPE_CHECKING:
    from angaros.model.scope import Scope

HOSTS_FILE = "/etc/hosts"
FOUND, FOUND_LOCAL, FAILED, AGAIN, IGNORED, SECURITY = "found", "found_local", "failed", "again", "ignored", "security"


@dataclass(frozen=True, slots=True)
class HostQuery:
    """How to look for hosts. Lists are raw option texts."""

    mx: bool = False
    """Look for MX records."""
    srv: str = ""
    """Services to look for in SRV records first, a list: `smtp`."""
    addresses: bool = False
    """`find_by_dns`: with no MX or SRV record, the domain itself may have addresses."""
    needs_mx: Callable[[], bool] | None = None
    """With no MX or SRV record, asked whether there has to be one after all (`mx_domains`); may raise ListDefer."""
    aaaa_only: bool = False
    """`check_mx`-like limits of a dnslookup router: only AAAA counts for the domain itself."""
    qualify_single: bool = True
    search_parents: bool = False
    ignore: str | None = None
    """`ignore_target_hosts`."""
    srv_fail_domains: str | None = None
    mx_fail_domains: str | None = None
    dnssec_request: str | None = None
    dnssec_require: str | None = None
    ipv4_only: bool = False
    ipv4_prefer: bool = False
    local_check: bool = True
    """Look whether a host is this one."""
    events: bool = True
    """`dns:fail` is raised."""
    dnssec_lists: str = ""
    """`options`: the DNSSEC lists are a router's options (debugging lines name them); `none`: there are none."""


@dataclass(slots=True)
class HostSearch:
    """What was found."""

    status: str
    """`found`, `found_local` (the first host is this one), `failed`, `again`, `ignored`, `security` (DNSSEC was required)."""
    hosts: list[Host] = field(default_factory=list)
    name: str = ""
    """Fully qualified name, when the lookup completed or changed it."""
    removed: bool = False
    """This host was in the MX list; it and those of no better preference were taken out."""
    message: str = ""
    """Why it failed, in Exim's words, where there is more to say than that it did."""
    again_type: str = ""
    """`again`: type of the record that could not be looked up."""
    dnssec: bool = False
    bad_name: bool = False
    """`failed`: the domain does not match dns_check_names_pattern."""
    ignored_mx: str = ""
    """`ignored`: name of the last of the MX hosts, none of which counts."""


def build_host_list(text: str, randomize: bool, scope: Scope) -> list[Host]:
    """Expanded text of `hosts` or `fallback_hosts` -> hosts without addresses. `+` separates groups that are shuffled each for
    itself; `name:port` with the colon doubled gives a port; `name/MX` asks for its MX hosts (Exim spec 20.5, 30.1). The groups
    of a shuffled list can be told apart by `mx`: -1, -2, ..."""
    groups: list[list[Host]] = [[]]
    for item in split_list(text):
        item = Tainted(item) if isinstance(text, Tainted) else item
        if item == "+":
            groups.append([])
        elif item:
            groups[-1].append(_host_item(item))
    hosts: list[Host] = []
    for number, group in enumerate(groups):
        if randomize:
            for host in group:
                host.mx = -1 - number
            group = shuffled(group, scope)
        hosts += group
    return hosts


def shuffled(hosts: list[Host], scope: Scope) -> list[Host]:
    """In random order, as Exim draws it: a key below 1000 for each, equal ones in order."""
    keys = [(scope.services.random.below(1000), number) for number in range(len(hosts))]
    return [hosts[number] for _, number in sorted(keys)]


def _host_item(item: str) -> Host:
    name, port = item, 0
    found = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", item)
    if found:
        name, port = found[1], int(found[2] or 0)
    elif not _is_address(item) and re.search(r":\d+\Z", item):
        name, _, digits = item.rpartition(":")
        port = int(digits)
    elif re.fullmatch(r"\d+\.\d+\.\d+\.\d+\.\d+", item):
        name, _, digits = item.rpartition(".")
        port = int(digits)
    return Host(Tainted(name) if isinstance(item, Tainted) else name, port=port)


def _is_address(text: str) -> bool:
    if not text or text[0] not in "0123456789abcdefABCDEF:":
        return False
    try:
        ipaddress.ip_address(str(text).partition("%")[0])
    except ValueError:
        return False
    return True


# --- By name -----------------------------------------------------------------------------------------------------------


def find_by_name(name: str, scope: Scope, query: HostQuery) -> HostSearch:
    """As getaddrinfo() with `hosts: files dns`: an IP literal, /etc/hosts, AAAA and A records. The hosts all have the canonical
    name. Also tells whether it is this host."""
    host = name if isinstance(name, str) else str(name)
    if _is_address(host):
        canonical, addresses, secure = host, [host], False
    else:
        listed = hosts_file().by_name.get(host.lower().rstrip("."))
        if listed:
            canonical, addresses, secure = listed[0], [a for a in listed[1] if _family_wanted(a, host, scope, query)], False
        else:
            outcome = _addresses_from_dns(host, scope, query)
            if isinstance(outcome, HostSearch):
                _report_unknown(host, outcome, scope)
                return outcome
            canonical, addresses, secure = outcome
    wanted = [a for a in addresses if not ignored(a, canonical, query.ignore, scope)]
    if not wanted:
        return HostSearch(IGNORED if addresses else FAILED, name=canonical)
    if query.ipv4_prefer:
        wanted.sort(key=lambda a: ":" in a)
    hosts = [Host(canonical, address=a, dnssec=secure) for a in wanted]
    local = query.local_check and scan_for_local(hosts, scope) == FOUND_LOCAL
    if scope.tracing("host_lookup"):
        _trace_found(host, hosts, query, scope)
    return HostSearch(FOUND_LOCAL if local else FOUND, hosts, canonical, dnssec=secure)


def _trace_found(name: str, hosts: list[Host], query: HostQuery, scope: Scope) -> None:
    if query.local_check and not _is_address(name):
        scope.trace("host_lookup", f"fully qualified name = {hosts[0].name}")
    scope.trace("host_lookup", "gethostbyname2 looked up these IP addresses:")
    for host in hosts:
        scope.trace("host_lookup", f"  name={host.name} address={host.address}")


def _report_unknown(name: str, search: HostSearch, scope: Scope) -> None:
    """Exim spec 53.15, host_lookup_failed; not for an address that is only tried out (-bt, -bv)."""
    text = f"no IP address found for host {name}"
    session = scope.session
    remote = session is not None and bool(session.sender_host_address)
    if session is not None and remote and scope.where:
        text += f" (during SMTP connection from {sender_fullhost(session)})"
    scope.trace("host_lookup", text)
    message_id = scope.message.id if scope.message is not None else ""
    if search.status == FAILED and (message_id or remote):
        scope.services.log.write(text, message_id=message_id, selector="host_lookup_failed")


def _addresses_from_dns(name: str, scope: Scope, query: HostQuery) -> HostSearch | tuple[str, list[str], bool]:
    """Both address types; one may fail when the other has something."""
    addresses: list[str] = []
    canonical, secure, again = name, True, ""
    for kind in address_kinds(name, scope, query):
        answer = scope.services.dns.query(
            name,
            kind,
            qualify_single=query.qualify_single,
            search_parents=query.search_parents,
            dnssec=wants_dnssec(name, query, scope),
            scope=scope,
        )
        if answer.status == "ok":
            canonical = answer.records[0][0]
            addresses += [str(data) for _, data in answer.records]
            secure = secure and answer.authenticated
        elif answer.status in ("again", "fail"):
            again = kind
    if addresses:
        return canonical, addresses, secure
    return HostSearch(AGAIN if again else FAILED, again_type=again)


def address_kinds(name: str, scope: Scope, query: HostQuery) -> tuple[str, ...]:
    """Types to ask for: AAAA first, not at all when IPv6 is off or the name is in `dns_ipv4_lookup`."""
    main = scope.services.config.main
    if main.disable_ipv6 or query.ipv4_only or in_domain_list(name, main.dns_ipv4_lookup, scope, "dns_ipv4_lookup"):
        return ("A",)
    return ("AAAA", "A")


def _family_wanted(address: str, name: str, scope: Scope, query: HostQuery) -> bool:
    return ":" not in address or "AAAA" in address_kinds(name, scope, query)


def in_domain_list(name: str, items: str | None, scope: Scope, option: str = "") -> bool:
    """Whether a domain-list option (raw text) has `name`."""
    if not items:
        return False
    if items == "*":
        return True
    return bool(scope.services.lists.match_domain(name.lower(), items, scope, option=option))


def wants_dnssec(name: str, query: HostQuery, scope: Scope) -> bool:
    """Whether to ask for DNSSEC data for this name."""
    return in_domain_list(name, query.dnssec_require, scope, "dnssec_require_domains") or in_domain_list(
        name, query.dnssec_request, scope, "dnssec_request_domains"
    )


def ignored(address: str, name: str, items: str | None, scope: Scope) -> bool:
    """Whether `ignore_target_hosts` has this address."""
    if not items:
        return False
    inner = scope.child(host_address=address, host=name) if "$" in items else scope
    return bool(scope.services.lists.match_host(items, inner, name=name, address=address))


def scan_for_local(hosts: list[Host], scope: Scope) -> str:
    """`found_local` when the first host is this one. Otherwise this host, those of the same preference, and all after are taken
    out of the list (in place), if it is in there. Exim spec 13.8, RFC 5321 5.1."""
    treat = scope.services.config.main.hosts_treat_as_local
    for host in hosts:
        if not host.address:
            continue
        if is_local_address(host.address, scope.services) or in_domain_list(host.name, treat, scope, "hosts_treat_as_local"):
            if host.mx < 0:
                scope.trace("host_lookup", "local host found for non-MX address")
                return FOUND_LOCAL if host is hosts[0] else _cut(hosts, hosts.index(host))
            first = next(i for i, other in enumerate(hosts) if other.mx == host.mx)
            usable_before = [h for h in hosts[:first] if h.address]
            if not usable_before:
                scope.trace("host_lookup", "local host has lowest MX")
                return FOUND_LOCAL
            scope.trace("host_lookup", "local host in host list - removed hosts:")
            for gone in hosts[first:]:
                scope.trace("host_lookup", f"  {gone.name} {gone.address} {gone.mx}")
            return _cut(hosts, first)
    return FOUND


def _cut(hosts: list[Host], position: int) -> str:
    del hosts[position:]
    return FOUND


@dataclass(frozen=True, slots=True)
class HostsFile:
    """/etc/hosts both ways."""

    by_name: dict[str, tuple[str, tuple[str, ...]]]
    """Lower-case name or alias -> (canonical name, addresses)."""
    by_address: dict[str, tuple[str, ...]]
    """Address -> canonical name and aliases."""


def hosts_file(path: str = HOSTS_FILE) -> HostsFile:
    """Read /etc/hosts; it is short, and may change any time."""
    by_name: dict[str, tuple[str, tuple[str, ...]]] = {}
    by_address: dict[str, tuple[str, ...]] = {}
    try:
        with open(path, encoding="latin-1") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    for line in lines:
        fields = line.partition("#")[0].split()
        if len(fields) < 2 or not _is_address(fields[0]):
            continue
        address = str(ipaddress.ip_address(fields[0].partition("%")[0]))
        names = tuple(fields[1:])
        by_address[address] = by_address.get(address, ()) + names
        for name in names:
            key = name.lower()
            known = by_name.get(key)
            by_name[key] = (names[0], (address,)) if known is None else (known[0], (*known[1], address))
    return HostsFile(by_name, by_address)


# --- By the DNS ---------------------------------------------------------------------------------------------------------


def find_by_dns(name: str, scope: Scope, query: HostQuery) -> HostSearch:
    """SRV records, MX records, then addresses of the name itself, as far as `query` wants them. Exim spec 17, RFC 5321 5.1."""
    from angaros.net.host_records import search

    return search(name, scope, query)


def with_addresses(query: HostQuery) -> HostQuery:
    """The same, for address records of the name itself only."""
    return replace(query, mx=False, srv="", addresses=True)
