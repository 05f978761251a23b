"""What delivery tells the smtp transport about the attempt that a call belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.model.message import Message


def _no_log(text: str) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Attempt:
    """One attempt to deliver a message, as far as a remote transport cares."""

    message: Message
    return_path: str
    """Envelope sender of this copy (of `errors_to`, before the transport's own `return_path`)."""
    lock: Any = None
    """SpoolLock of the message, for reading the body; None: read `message.body_path`."""
    forced: bool = False
    """Retry times do not count (-M, -qf)."""
    queue_run: bool = False
    continued: bool = False
    """Goes over the connection that the message before it has left open, or not at all."""
    first: bool = False
    """The attempt that follows reception."""
    two_stage_first: bool = False
    """First pass of a two-stage queue run (-qq): hosts are noted as waiting, nothing is sent."""
    queue_smtp: bool = False
    """-odqs, `control = queue`: do not send now."""
    log_both: Callable[[str], None] = _no_log
    """Write a line to the main log and to the message log."""
    log_message: Callable[[str], None] = _no_log
    """Write a line to the message log only."""
    sender_of: Callable[[str], str] | None = None
    """Envelope sender of another message in the queue; raises OSError, SpoolFormatError."""
    may_continue: Callable[[str], bool] | None = None
    """Whether a message (id) that waits for the same host can be delivered now; None: connections are not kept for others."""
