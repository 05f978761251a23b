"""What routing answers: to the caller (`RouteOutcome`) and from a driver to the chain (`Answer`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from angaros.model.delivery import Delivery


class Mode(Enum):
    """Why an address is routed. Exim spec 3.12: it decides which routers take part."""

    DELIVER = "deliver"
    VERIFY_RECIPIENT = "verify_recipient"
    """ACLs, -bv, cutthrough delivery."""
    VERIFY_SENDER = "verify_sender"
    """ACLs, -bvs, `errors_to`."""
    ADDRESS_TEST = "address_test"
    """-bt."""
    EXPN = "expn"
    """SMTP EXPN."""

    @property
    def verifying(self) -> bool:
        """Whether `verify_only` routers run."""
        return self in (Mode.VERIFY_RECIPIENT, Mode.VERIFY_SENDER)


class Answer(Enum):
    """A driver's answer. Exim spec 3.10."""

    ACCEPT = "accept"
    """Assigned to a transport (`run.assign`) or children generated (`run.outcome.new`)."""
    REROUTED = "rerouted"
    """Replaced by a child with another domain."""
    PASS = "pass"
    DECLINE = "decline"
    FAIL = "fail"
    DEFER = "defer"
    DISCARD = "discard"
    """Thrown away on purpose (`:blackhole:`, `seen finish`)."""


@dataclass(slots=True)
class RouteOutcome:
    """Result of routing one address. Defaults to defer: when in doubt, never lose."""

    status: str = "defer"
    """`ok`, `rerouted`, `fail`, `defer`, `discard`. Texts for fail and defer are in the delivery."""
    routed: list[Delivery] = field(default_factory=list)
    """Assigned to a transport; remote ones have `hosts`."""
    new: list[Delivery] = field(default_factory=list)
    """To be routed in turn, in order; pipes, files and autoreplies (already with a transport) among them."""
