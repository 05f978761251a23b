"""All router drivers: one greppable row each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from angaros.model.errors import ConfigError
from angaros.routers.router import Driver

if TYPE_CHECKING:
    from angaros.config.config import Config, DriverInstance

DRIVERS: dict[str, str] = {
    "accept": "angaros.routers.accept",
    "dnslookup": "angaros.routers.dnslookup",
    "ipliteral": "angaros.routers.ipliteral",
    "iplookup": "angaros.routers.iplookup",
    "manualroute": "angaros.routers.manualroute",
    "queryprogram": "angaros.routers.queryprogram",
    "redirect": "angaros.routers.redirect",
}
"""Driver name and module; loaded when a configuration uses it."""

NEEDS_TRANSPORT = frozenset({"accept", "dnslookup", "ipliteral"})
"""Drivers that do nothing useful without `transport` (unless `verify_only`)."""


def make(instance: DriverInstance[Any]) -> Driver:
    """The driver object of a configured router."""
    driver: Driver = import_module(DRIVERS[instance.driver]).Router(instance)
    return driver


def check_routers(config: Config) -> None:
    """Errors that can be told when the configuration is read, in Exim's words. Raises ConfigError."""
    names = [router.name for router in config.routers]
    for index, instance in enumerate(config.routers):
        options: Any = instance.options
        _check_targets(instance, names, index)
        if instance.driver in NEEDS_TRANSPORT and not options.verify_only and options.transport is None:
            raise _error(instance, "a transport is required for this router")
        _check_transport(instance, config)
        module = import_module(DRIVERS[instance.driver])
        check = getattr(module, "check", None)
        if check is not None:
            check(instance, config)


def _check_targets(instance: DriverInstance[Any], names: list[str], index: int) -> None:
    options = instance.options
    for option in ("redirect_router", "pass_router"):
        target = options.get(option)
        if target is None:
            continue
        if target not in names:
            raise _error(instance, f'{option} "{target}" not found')
        if option == "pass_router" and names.index(target) <= index:
            raise _error(instance, f'pass_router "{target}" does not follow "{instance.name}"')


def _check_transport(instance: DriverInstance[Any], config: Config) -> None:
    name = instance.options.get("transport")
    if name and "$" not in name and name not in config.transports:
        raise _error(instance, f'transport "{name}" not found')


def _error(instance: DriverInstance[Any], text: str) -> ConfigError:
    position = instance.position
    return ConfigError(f"{instance.name} router:\n  {text}", file=position.file, line=position.line)
