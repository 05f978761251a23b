"""All router drivers: one greppable row each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from angaros.routers.router import Driver

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance

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


def make(instance: DriverInstance[Any]) -> Driver:
    """The driver object of a configured router."""
    driver: Driver = import_module(DRIVERS[instance.driver]).Router(instance)
    return driver
