"""Whom a callout asks: the router's hosts, else those of the smtp transport. Exim spec 44.46."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Delivery, Host
    from angaros.model.scope import Scope


@dataclass(slots=True)
class Targets:
    """Hosts, or why there are none."""

    hosts: list[Host] = field(default_factory=list)
    message: str = ""
    """The transport's list could not be had: defer with this text."""
    unusable: str = ""
    """There are hosts but no transport to speak with them: text for the trace."""


def hosts_of(delivery: Delivery, scope: Scope) -> Targets:
    """Hosts with addresses; none for a local delivery."""
    transports: Any = scope.services.config.transports
    instance = transports.get(delivery.transport) if delivery.transport else None
    if instance is None:
        return Targets(delivery.hosts, unusable="cannot callout via null transport" if delivery.hosts else "")
    if instance.driver != "smtp":
        if not delivery.hosts:
            return Targets()
        text = f"callout transport '{instance.name}': {instance.driver} is non-smtp"
        scope.services.log.write(text, panic=True)
        return Targets(delivery.hosts, unusable=text)
    options = instance.options
    if delivery.hosts and not options.hosts_override:
        return Targets(delivery.hosts)
    if options.hosts is None:
        return Targets(delivery.hosts)
    return _from_transport(delivery, scope, instance)


def _from_transport(delivery: Delivery, scope: Scope, instance: DriverInstance[Any]) -> Targets:
    from angaros.transports.smtp_hosts import SetupError, host_list, resolve

    under = scope.child(delivery, transport_name=instance.name)
    found: list[Host] = []
    try:
        for host in host_list(instance, delivery, under):
            found.extend([host] if host.address else resolve(host, instance, under))
    except SetupError as error:
        scope.services.log.write(f"{error.text} for callout", panic=True)
        return Targets(message=error.text)
    return Targets(found)
