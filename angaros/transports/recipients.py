"""The address that goes into RCPT (Exim spec 24: rcpt_include_affixes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.model.text import like

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Delivery


def envelope_recipient(delivery: Delivery, instance: DriverInstance[Any]) -> str:
    """The delivery's address without the affixes that its router took off, unless the transport keeps them (the log then shows
    them too)."""
    one = delivery
    while (one.is_pipe or one.is_file or one.is_autoreply) and one.parent is not None:
        one = one.parent
    address = one.address
    if instance.options.rcpt_include_affixes:
        delivery.extra["include_affixes"] = True  # for the log
        return address
    if not (one.prefix or one.suffix):
        return address
    local, at, domain = str(address).rpartition("@")
    local = local[len(one.prefix) : len(local) - len(one.suffix)]
    return like(local + at + domain, address)
