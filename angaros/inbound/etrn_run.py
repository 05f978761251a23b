"""What ETRN starts: a queue run, or the administrator's command. The session does not wait for it. Exim spec 49.8"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from angaros.delivery.parallel import enter, leave

if TYPE_CHECKING:
    from angaros.model.interfaces import Services


def start(services: Services, words: Sequence[str], key: str, selection: str | None) -> bool:
    """Start it; False: the same is running already (`key`, of `smtp_etrn_serialize`; "" for no limit).

    `selection`: what `exim -R` is to look for; None: run `words`, without a shell. Raises OSError when nothing can be started."""
    if key and not enter(services, key, 1):
        return False
    if selection is None:
        services.waiter.in_thread(lambda: _command(services, words, key))
        return True

    def run() -> None:
        try:
            _queue_run(services, selection)
        finally:
            if key:
                leave(services, key)

    services.waiter.spawn(run)
    return True


def _command(services: Services, words: Sequence[str], key: str) -> None:
    """In a process that outlives us. The client is told nothing of a program that is not there, as with Exim."""
    program = str(words[0])
    if not os.access(program, os.X_OK):
        if key:
            leave(services, key)
        why = "Permission denied" if os.path.exists(program) else "No such file or directory"
        services.log.write(f'exec of "{program}" (ETRN) failed: {why}', panic=True)
        return
    directory = getattr(services.hints, "directory", "")
    command = [sys.executable, "-m", "angaros.inbound.etrn_child", directory, key, *(str(word) for word in words)]
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _queue_run(services: Services, selection: str) -> None:
    from angaros.delivery.runner import run_queue
    from angaros.model.queue_run import QueueRun

    run_queue(services, QueueRun(select_recipient=selection))
