"""The hosts that a copy may go to: which list, which addresses, which port, and what the retry hints say of each."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from angaros.hints import retry
from angaros.model.delivery import Host
from angaros.model.errors import ExpansionError, ForcedFailure, Why
from angaros.net.hosts import AGAIN, FOUND, FOUND_LOCAL, IGNORED, HostQuery, build_host_list, find_by_dns, find_by_name, shuffled

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Delivery
    from angaros.model.scope import Scope

PROTOCOL_PORTS = {"smtp": 25, "lmtp": 24, "smtps": 465, "submissions": 465}
DEFAULT_PORT = 25
USABLE, UNUSABLE, EXPIRED = "usable", "unusable", "unusable_expired"


class SetupError(Exception):
    """The copy cannot be tried at all: all its addresses are deferred with this text and errno."""

    def __init__(self, text: str, number: int = -1, *, panic: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.number = number
        self.panic = panic


def expand_boolean(value: bool | str, name: str, scope: Scope) -> bool:
    """An option that may be written as an expression. Raises `SetupError`."""
    if isinstance(value, bool):
        return value
    try:
        text = scope.expand(value).strip().lower()
    except ExpansionError as error:
        raise SetupError(f'failed to expand "{name}": {error}', int(Why.EXPAND_FAIL)) from None
    if text in ("true", "yes", "1", ""):
        return text != ""
    return False


def host_list(instance: DriverInstance[Any], delivery: Delivery, scope: Scope) -> list[Host]:
    """The router's hosts, or the transport's (Exim spec 30.4: hosts, hosts_override, hosts_randomize). Fresh copies."""
    options = instance.options
    randomize = expand_boolean(options.hosts_randomize, "hosts_randomize", scope)
    if delivery.hosts and not (options.hosts and options.hosts_override):
        hosts = [replace(host) for host in delivery.hosts]
        if randomize and hosts[0].mx < 0 and not delivery.extra.get("hosts_randomized"):
            hosts = shuffled(hosts, scope)
        return hosts
    if not options.hosts:
        raise SetupError(f"{instance.name} transport called with no hosts set", panic=True)
    try:
        text = scope.expand(options.hosts)
    except ExpansionError as error:
        panic = not error.temporary
        raise SetupError(
            f'failed to expand list of hosts "{options.hosts}" in {instance.name} transport: {error}', panic=panic
        ) from None
    hosts = build_host_list(text, randomize, scope)
    if not hosts:
        raise SetupError(f"{instance.name} transport called with no valid hosts")
    return hosts


def fallback_list(instance: DriverInstance[Any], delivery: Delivery, scope: Scope) -> list[Host]:
    """The address's own fallback hosts, else the transport's."""
    if delivery.fallback_hosts:
        hosts = [replace(host) for host in delivery.fallback_hosts]
        randomize = expand_boolean(instance.options.hosts_randomize, "hosts_randomize", scope)
        return shuffled(hosts, scope) if randomize else hosts
    text = instance.options.fallback_hosts
    if not text:
        return []
    return build_host_list(text, expand_boolean(instance.options.hosts_randomize, "hosts_randomize", scope), scope)


def protocol_of(options: Any) -> str:
    """The `protocol` option: `smtp`, `lmtp`, `smtps`, `submissions`, in small letters."""
    return (options.protocol or "smtp").lower()


def default_port(instance: DriverInstance[Any], scope: Scope) -> int:
    """The `port` option, else the protocol's. Raises `SetupError`."""
    text = instance.options.port
    protocol = protocol_of(instance.options)
    if text is None:
        return PROTOCOL_PORTS.get(protocol, DEFAULT_PORT)
    try:
        port = scope.expand(text).strip()
    except ExpansionError as error:
        raise SetupError(f'failed to expand "{text}" in {instance.name} transport: {error}') from None
    if port[:1].isdigit():
        if not port.isdigit() or int(port) > 65535:
            raise SetupError(f'malformed port number "{port}" given for {instance.name} transport', panic=True)
        return int(port)
    try:
        return socket.getservbyname(port, "tcp")
    except (OSError, UnicodeError):
        raise SetupError(f'TCP port "{port}" is not defined for {instance.name} transport', panic=True) from None


def resolve(host: Host, instance: DriverInstance[Any], scope: Scope) -> list[Host]:
    """A host of the `hosts` option (or a fallback host) with its addresses; `status` unusable when it has none. Raises
    `SetupError` when it is this host (Exim spec 30.4: allow_localhost)."""
    options = instance.options
    query = HostQuery(
        addresses=True,
        qualify_single=options.dns_qualify_single,
        search_parents=options.dns_search_parents,
        dnssec_request=options.dnssec_request_domains,
        dnssec_require=options.dnssec_require_domains,
    )
    found = (
        find_by_name(host.name, scope, query)
        if options.gethostbyname or _literal(host.name)
        else find_by_dns(host.name, scope, query)
    )
    if found.status == "failed" and not options.gethostbyname:
        found = find_by_name(host.name, scope, query) if _in_hosts_file(host.name) else found
    if found.status in (FOUND, FOUND_LOCAL):
        if found.status == FOUND_LOCAL and not options.allow_localhost:
            raise SetupError(f"{instance.name} transport found host {host.name} to be local", int(Why.HOST_IS_LOCAL))
        return [replace(entry, port=host.port, mx=host.mx) for entry in found.hosts]
    why = "deferred" if found.status == AGAIN else "ignored" if found.status == IGNORED else "failed"
    return [replace(host, status=UNUSABLE, why=why)]


def _literal(name: str) -> bool:
    return name.replace(".", "").isdigit() or ":" in name


def _in_hosts_file(name: str) -> bool:
    from angaros.net.hosts import hosts_file

    return name.lower() in hosts_file().by_name


# --- Retry hints -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetryState:
    """What the hints say of one host."""

    host_key: str
    message_key: str
    status: str = USABLE
    host_known: bool = False
    message_known: bool = False
    """There are records: a success deletes them."""
    old: bool = False
    """Past the last cutoff: tries of it do not count for hosts_max_try."""


def retry_keys(host: Host, port: int, include_ip: bool, message_id: str, interface: str = "") -> tuple[str, str]:
    """`T:name:address[:port][/interface]`, and the same with the message id. A name that is an address is in brackets, so is an
    IPv6 address."""
    key = f"T:[{host.name}]" if _literal(host.name) else f"T:{host.name.lower()}"
    if include_ip and host.address:
        key += f":[{host.address}]" if ":" in host.address else f":{host.address}"
    if port != DEFAULT_PORT:
        key += f":{port}"
    if interface:
        key += f"/{interface}"
    return key, f"{key}:{message_id}"


def retry_state(host: Host, port: int, instance: DriverInstance[Any], scope: Scope, domain: str, *, forced: bool) -> RetryState:
    """Whether the host may be tried now (Exim spec 32.4, 32.10)."""
    services, message = scope.services, scope.message
    assert message is not None
    include_ip = expand_boolean(instance.options.retry_include_ip_address, "retry_include_ip_address", scope)
    host_key, message_key = retry_keys(host, port, include_ip, message.id, source_address(instance, host, scope))
    host_record = retry.find(services, host_key)
    message_record = retry.find(services, message_key)
    status, old, now = USABLE, False, services.clock.now()
    if host_record is not None:
        host.last_try = host_record.last_try
        too_old = retry.ultimate_timeout(scope, host_key, domain, host_record)
        old = host_record.expired or too_old
        if not forced and now < host_record.next_try and not (too_old and not host_record.expired):
            status = EXPIRED if host_record.expired else UNUSABLE
            host.why = "retry"
    if status == USABLE and message_record is not None and not forced and now < message_record.next_try:
        if not retry.ultimate_timeout(scope, message_key, domain, message_record):
            status = UNUSABLE
            host.why = "retry"
    host.status = status
    return RetryState(host_key, message_key, status, host_record is not None, message_record is not None, old)


def waiting_key(host: Host) -> str:
    """Under what messages wait for this host."""
    return str(host.name)


def expand_host_list_option(items: str | None, name: str, host: Host, scope: Scope, *, shown: bool = False) -> bool:
    """Whether a host-list option of the transport has this host. `shown`: debugging tells of an unset option too."""
    if not items:
        if shown:
            show_unset(items, name, host, scope)
        return False
    if items == "*":
        return True
    return bool(scope.services.lists.match_host(items, scope, name=host.name, address=host.address, option=name))


def show_unset(items: str | None, name: str, host: Host, scope: Scope) -> None:
    """The debugging line for a host list that is not set."""
    if items is None and scope.tracing("lists"):
        scope.trace("lists", f"{host.address} in {name}? no (option unset)")


def source_address(instance: DriverInstance[Any], host: Host, scope: Scope) -> str:
    """The `interface` option: the first address of the host's kind; "" for none. Raises `SetupError`."""
    text = instance.options.interface
    if not text:
        return ""
    try:
        value = scope.expand(text)
    except ForcedFailure:
        return ""
    except ExpansionError as error:
        raise SetupError(f'failed to expand "interface" option for {instance.name} transport: {error}', panic=True) from None
    from angaros.config.settings import split_list

    for item in split_list(value):
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in item else socket.AF_INET, item)
        except (OSError, UnicodeError):
            raise SetupError(
                f'"{item}" is not a valid IP address for the "interface" option for {instance.name} transport', panic=True
            ) from None
        if (":" in item) == (":" in host.address):
            return item
    return ""
