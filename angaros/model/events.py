"""Events: `event_action` of main and of transports. Exim spec 61.

`raise_event` expands the option with `$event_name`, `$event_data` and, where it is known, the delivery's own variables. What it
yields matters only for events that happen before something (`tcp:connect`, `smtp:connect`, `tls:cert`): a non-empty text means
no.
"""

from __future__ import annotations

from typing import Any

from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope

MAX_EVENT_DEPTH = 3
"""An event action that raises events (by a DNS lookup, say) must not do so for ever."""


def raise_event(action: str | None, name: str, data: str, scope: Scope, errno: int | None = None) -> str:
    """Expand `action` for the event; "" when there is none or it cannot be expanded (that is logged)."""
    if not action:
        return ""
    depth = int(scope.local.get("event_depth", "0"))
    if depth >= MAX_EVENT_DEPTH:
        return ""
    under = scope.child(event_name=name, event_data=data, event_depth=str(depth + 1))
    if errno is not None:
        under.local["event_defer_errno"] = str(errno)
    under.where = "delivery"
    log = scope.services.log
    if log.debugging("expand"):
        log.debug("expand", f"Event({name}): event_action={action}")
    try:
        return under.expand(action)
    except ExpansionError as error:
        if error.args and getattr(error, "forced", False):
            return ""
        where = scope.local.get("transport_name", "main")
        scope.log(f"failed to expand event_action {name} in {where}: {error}\n", panic=True)
        return ""


def delivery_scope(scope: Scope, delivery: Delivery, result: DeliveryResult | None = None) -> Scope:
    """A scope in which the variables tell of this delivery (`$router_name`, `$transport_name`, `$host`, ...)."""
    names = {"router_name": delivery.router, "transport_name": delivery.transport}
    if result is not None and result.host is not None:
        names |= {"host": result.host.name, "host_address": result.host.address, "host_port": str(result.host.port)}
    return scope.child(delivery, **{key: value for key, value in names.items() if value})


def delivery_event(name: str, data: str, scope: Scope, delivery: Delivery, result: DeliveryResult | None = None) -> None:
    """One of the `msg:` events after a delivery attempt: the transport's action if it has a transport, else main's."""
    action = action_of(scope, delivery.transport)
    if not action:
        return
    under = delivery_scope(scope, delivery, result)
    errno = result.basic_errno if result is not None else delivery.basic_errno
    raise_event(action, name, data, under, errno)


def action_of(scope: Scope, transport: str) -> str | None:
    """`event_action` of a transport; of main when `transport` is ""."""
    config = scope.services.config
    if not transport:
        action: str | None = config.main.event_action
        return action
    instance: Any = config.transports.get(transport)
    return instance.options.event_action if instance is not None else None
