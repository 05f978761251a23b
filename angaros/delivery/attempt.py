"""One delivery attempt of one message: what it knows and what has become of its addresses so far.

Laws:
- `Attempt` is the only changing thing; the functions of this room take it as their first argument.
- Lists of addresses are kept with the newest first, as Exim's are: it decides the order of log lines and of bounces.
- A delivered address is recorded (`nonrecipients`, journal) before anything else is tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from angaros.delivery.options import DeliverOptions
from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.interfaces import Services
from angaros.model.message import Message
from angaros.model.scope import Scope

if TYPE_CHECKING:
    from angaros.spool.journal import Journal, MessageLog
    from angaros.spool.locks import SpoolLock


@dataclass(slots=True)
class Fate:
    """An address that is settled for this attempt."""

    delivery: Delivery
    result: DeliveryResult


@dataclass(slots=True)
class Attempt:
    """One attempt."""

    services: Services
    message: Message
    lock: SpoolLock | None
    options: DeliverOptions
    scope: Scope
    msglog: MessageLog
    journal: Journal | None = None
    started: float = 0.0

    new: list[Delivery] = field(default_factory=list)
    """Waiting for routing."""
    local: list[Delivery] = field(default_factory=list)
    remote: list[Delivery] = field(default_factory=list)
    succeeded: list[Fate] = field(default_factory=list)
    failed: list[Fate] = field(default_factory=list)
    deferred: list[Fate] = field(default_factory=list)
    seen: dict[str, Delivery] = field(default_factory=dict)
    """Addresses that have a transport in this attempt, by what makes them the same: others are duplicates."""
    duplicates: dict[str, list[Delivery]] = field(default_factory=dict)
    """By that key: they are done when the first is."""

    update_spool: bool = False
    """The -H file has to be rewritten."""
    frozen_now: bool = False
    """Freeze at the end of this attempt."""
    freeze_reason: str = ""
    open_count: int = 0
    """Addresses at a transport, not settled yet."""
    next_messages: list[str] = field(default_factory=list)
    """Messages waiting for a host that a connection is open to."""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def log_id(self) -> str:
        """Message id for log lines."""
        return self.message.id

    def log(self, text: str, *, panic: bool = False, selector: str = "") -> None:
        """Main log entry of this message."""
        self.services.log.write(text, message_id=self.message.id, panic=panic, selector=selector)

    def log_both(self, text: str, *, now: bool = False) -> None:
        """Main log and message log."""
        self.log(text)
        self.msglog.append(text, now=now)


def done_key(delivery: Delivery) -> str:
    """What is recorded when this address is done (Exim's non-recipients, see docs/spool-states.md): a copy of one of its own
    ancestors has its transport in the key."""
    if delivery.extra.get("homonym") and delivery.transport:
        return f"{delivery.unique}/{delivery.transport}"
    return str(delivery.unique)


def sameness(delivery: Delivery) -> str:
    """Addresses with the same value are duplicates of each other. A copy of its own ancestor is not the same as the ancestor."""
    return f"\\{delivery.unique}" if delivery.extra.get("homonym") else str(delivery.unique)


def mark_homonym(delivery: Delivery) -> None:
    """Note whether the address is the same as one of its ancestors."""
    lowered = delivery.address.lower()
    node = delivery.parent
    while node is not None:
        if node.address.lower() == lowered:
            delivery.extra["homonym"] = True
            return
        node = node.parent
