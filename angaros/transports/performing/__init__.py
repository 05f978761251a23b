"""The performing half of local transports: runs as the target user, knows only its plan (see `transports.plan`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from angaros.model.delivery import DeliveryResult
from angaros.transports.performing.outcome import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from angaros.transports.plan import Plan


def _performer(kind: str) -> Callable[[Any, list[int]], DeliveryResult]:
    """Imports only what this kind of delivery needs."""
    if kind == "maildir":
        from angaros.transports.performing.maildir import perform_maildir

        return perform_maildir
    if kind == "file":
        from angaros.transports.performing.files import perform_file

        return perform_file
    if kind == "pipe":
        from angaros.transports.performing.command import perform_pipe

        return perform_pipe
    if kind == "lmtp":
        from angaros.transports.performing.lmtp import perform_lmtp

        return perform_lmtp
    if kind in ("mailstore", "newfile", "rename"):
        from angaros.transports.performing import newfiles

        table: dict[str, Callable[[Any, list[int]], DeliveryResult]] = {
            "mailstore": newfiles.perform_mailstore,
            "newfile": newfiles.perform_newfile,
            "rename": newfiles.perform_rename,
        }
        return table[kind]
    if kind == "quota":
        from angaros.transports.performing.quota_check import perform_quota

        return perform_quota
    from angaros.transports.performing import small

    others: dict[str, Callable[[Any, list[int]], DeliveryResult]] = {
        "append_text": small.perform_append_text,
        "once": small.perform_once,
        "queuefile": small.perform_queuefile,
    }
    return others[kind]


def perform(plan: Plan, fds: list[int]) -> DeliveryResult:
    """Perform one plan in its directory."""
    try:
        os.chdir(plan.directory.encode("latin-1"))
    except OSError as error:
        return DeliveryResult("defer", basic_errno=error.errno or 0, message=f"failed to chdir to {plan.directory}")
    try:
        return _performer(plan.KIND)(plan, fds)
    except Failed as failure:
        return failure.result
