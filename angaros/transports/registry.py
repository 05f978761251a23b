"""The transport drivers: one row each. `build` makes the driver of an instance; remote ones are called by delivery directly."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Delivery, DeliveryResult
    from angaros.model.scope import Scope

LOCAL: dict[str, tuple[str, str]] = {
    "appendfile": ("angaros.transports.appendfile", "Appendfile"),
    "autoreply": ("angaros.transports.autoreply", "Autoreply"),
    "lmtp": ("angaros.transports.lmtp", "Lmtp"),
    "pipe": ("angaros.transports.pipe", "Pipe"),
    "queuefile": ("angaros.transports.queuefile", "Queuefile"),
}
"""Driver: module and class. They run as a user, for a batch of addresses."""

REMOTE = frozenset({"smtp"})
"""Drivers that take a host list."""


class LocalDriver(Protocol):
    """A local transport. Made for one instance, kept for the life of a configuration."""

    def deliver(self, deliveries: list[Delivery], scope: Scope) -> list[DeliveryResult]:
        """Deliver one copy for all of `deliveries` (a batch; usually one). Results in the same order and number."""
        ...


def is_remote(instance: DriverInstance[Any]) -> bool:
    """Whether the transport delivers to hosts."""
    return instance.driver in REMOTE


def build(instance: DriverInstance[Any]) -> LocalDriver:
    """The driver of a local transport. KeyError for a remote or unknown one."""
    module, name = LOCAL[instance.driver]
    driver: LocalDriver = getattr(importlib.import_module(module), name)(instance)
    return driver


def deliver_local(instance: DriverInstance[Any], deliveries: list[Delivery], scope: Scope) -> list[DeliveryResult]:
    """Deliver through a local transport; the driver is kept in `services.extra`."""
    return _kept(instance, scope).deliver(deliveries, scope)


def check_quota(instance: DriverInstance[Any], delivery: Delivery, scope: Scope, *, message_size: int) -> DeliveryResult:
    """Whether a message of that size (0: any) would fit into the mailbox (`verify = recipient/quota`): `ok`, `fail` with `Over
    quota`, `defer`. Drivers without quota: `ok`. `scope` is that of `delivery.environment.prepare`."""
    from angaros.model.delivery import DeliveryResult
    from angaros.transports.appendfile import Appendfile
    from angaros.transports.headers import TransportError
    from angaros.transports.local import failure, prepare

    driver = _kept(instance, scope) if instance.driver == "appendfile" else None
    if not isinstance(driver, Appendfile):
        return DeliveryResult("ok")
    try:
        return driver.check_quota(prepare(instance, [delivery], scope), message_size)
    except TransportError as error:
        result = failure(error, scope)
    except OSError as error:
        result = DeliveryResult(message=error.strerror or str(error), basic_errno=error.errno or 0)
    result.status = "defer"
    return result


def _kept(instance: DriverInstance[Any], scope: Scope) -> LocalDriver:
    """The instance's driver, made once."""
    drivers: dict[int, tuple[DriverInstance[Any], LocalDriver]] = scope.services.extra.setdefault("transports", {})
    kept = drivers.get(id(instance))
    if kept is None:
        kept = drivers[id(instance)] = (instance, build(instance))
    return kept[1]
