"""What ETRN starts: a queue run, or the administrator's command. The session does not wait for it. Exim spec 49.8"""

from __future__ import annotations

import os
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

    def run() -> None:
        try:
            if selection is None:
                _command(services, words)
            else:
                _queue_run(services, selection)
        finally:
            if key:
                leave(services, key)

    services.waiter.spawn(run)
    return True


def _command(services: Services, words: Sequence[str]) -> None:
    try:
        services.waiter.run_command([str(word) for word in words], env=dict(os.environ))
    except OSError as error:
        services.log.write(f'exec of "{words[0]}" (ETRN) failed: {error.strerror}', panic=True)


def _queue_run(services: Services, selection: str) -> None:
    from angaros.delivery.runner import run_queue
    from angaros.model.queue_run import QueueRun

    run_queue(services, QueueRun(select_recipient=selection))
