"""`delay`. Exim spec 44.21."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.config.values import parse_time
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


def delay(frame: Frame, argument: str) -> Outcome:
    """Wait, after sending what is buffered (unless `control = no_delay_flush`)."""
    text = argument.rstrip(" \t\n")
    seconds = parse_time(text) if text[-1:].isalpha() else -1
    if seconds < 0:
        return frame.error(f'syntax error in argument for "delay" modifier: "{argument}" is not a time value')
    frame.trace(f"delay modifier requests {seconds}-second delay")
    if frame.session.host_checking:
        frame.trace("delay skipped in -bh checking mode")
        return Outcome.ACCEPT
    if frame.session.smtp and not frame.connection.no_delay_flush and frame.connection.flush is not None:
        frame.connection.flush()
    if seconds:
        frame.scope.services.waiter.sleep(seconds)
    return Outcome.ACCEPT
