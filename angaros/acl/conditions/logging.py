"""`logwrite` and `log_reject_target`. Exim spec 44.21."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.lists.parse import split_list
from angaros.logs.text import printing
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame

_LOGS = ("main", "panic", "reject")


def logwrite(frame: Frame, argument: str) -> Outcome:
    """Write a line at once; `:main,reject: text` chooses the logs."""
    targets: list[str] = []
    text = argument
    if argument.startswith(":"):
        names, colon, rest = argument[1:].partition(":")
        words = names.split(",") if names else []
        if not colon or any(word not in _LOGS for word in words):
            frame.panic(f'unknown log name in "{argument}" in "logwrite" in {frame.point} ACL')
            return Outcome.ACCEPT
        targets, text = words, rest
    frame.scope.services.log.write(
        printing(text.lstrip(" \t\n")),
        message_id=frame.message.id,
        main="main" in targets or not targets,
        reject="reject" in targets,
        panic="panic" in targets,
    )
    return Outcome.ACCEPT


def log_reject_target(frame: Frame, argument: str) -> Outcome:
    """Logs that a rejection by the rest of this ACL goes to."""
    targets: list[str] = []
    for word in split_list(argument):
        if word in _LOGS:
            targets.append(word)
        elif word:
            frame.panic(f'unknown log name "{word}" in "log_reject_target" in {frame.point} ACL')
    frame.state.log_targets = tuple(targets)
    return Outcome.ACCEPT
