"""What one queue run is asked to do."""

from __future__ import annotations

from typing import Any

from angaros.model.record import dataclass


@dataclass(slots=True)
class QueueRun:
    """One `-q...` request (spec 5.3, -q)."""

    interval: int | None = None
    """Seconds between runs; None: once, now."""
    two_stage: bool = False
    first_only: bool = False
    force: bool = False
    force_frozen: bool = False
    local_only: bool = False
    queue_name: str = ""
    start_id: str = ""
    stop_id: str = ""
    select_recipient: str = ""
    select_recipient_regex: bool = False
    select_sender: str = ""
    select_sender_regex: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For the control channel."""
        from dataclasses import asdict

        return asdict(self)
