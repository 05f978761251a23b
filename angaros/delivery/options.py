"""How a delivery attempt was asked for, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from angaros.model.turned import Turned


@dataclass(frozen=True, slots=True)
class DeliverOptions:
    """One attempt. The defaults are those of the delivery that follows reception."""

    forced: bool = False
    """-M, -qf: retry times do not count."""
    thaw: bool = False
    """-M, -qff: a frozen message is unfrozen."""
    give_up: bool = False
    """-Mg: whatever cannot be delivered now fails."""
    actor: str = ""
    """Login of the administrator who gives up, for the log."""
    queue_run: bool = False
    """Part of a queue run: retry times of local deliveries and routing count."""
    first_pass: bool = False
    """First stage of -qq: nothing is sent over SMTP, hints are noted."""
    local_only: bool = False
    """-ql: remote deliveries are left for later."""
    queue_smtp: bool = False
    """-odqs."""
    immediate: bool = False
    """Follows reception (`$first_delivery` may hold, local retry times do not count)."""
    continued: bool = False
    """Goes over a connection that the message before it has left open."""
    mua_wrapper: bool = False
    turned: Turned | None = None
    """ATRN: the connection that SMTP goes over."""
    age: int = -1
    """Test mode: seconds that the message pretends to have waited; -1: as it is."""


class DeliverStatus(Enum):
    """How an attempt ended."""

    COMPLETED = "completed"
    """Nothing is left of the message."""
    KEPT = "kept"
    """Some addresses are deferred, or the message is frozen."""
    LOCKED = "locked"
    """Somebody else is at it."""
    SKIPPED = "skipped"
    """Frozen, and not to be thawed."""
    MISSING = "missing"
    ERROR = "error"
    """The spool files cannot be used."""
    MUA_FAILED = "mua_failed"
    """`mua_wrapper`: not all went well; the caller exits with an error."""
    MUA_SUCCEEDED = "mua_succeeded"
