"""Delivery after a message was accepted on the command line: here (-odi), in the background (-odb, default), or later (-odq)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from angaros.cli.context import Context
from angaros.model.interfaces import Services
from angaros.model.message import Message


def install(context: Context) -> None:
    """Let `services.hooks.start_delivery` do it."""
    services = context.services

    def start(message: Message, lock: Any, foreground: bool) -> None:
        from angaros.delivery.deliver import deliver_held
        from angaros.delivery.options import DeliverOptions, DeliverStatus

        unprivileged = services.config.main.deliver_drop_privilege  # then nobody has to be root
        if os.geteuid() not in (os.getuid(), 0) and not unprivileged:  # we came through the daemon's door: it delivers
            _leave_to_daemon(context, message, lock)
            return
        if foreground:
            options = DeliverOptions(immediate=True, mua_wrapper=services.config.main.mua_wrapper)
            if options.mua_wrapper and hasattr(services.log, "modes"):
                services.log.modes.stderr = False  # the caller's standard error gets one line about it all
            if deliver_held(services, message, lock, options) is DeliverStatus.MUA_FAILED:
                services.run.mua_failed = True
            return
        _in_background(lambda: deliver_held(services, message, lock), lock)
        if message.effects.open_transaction is not None:
            from angaros.transports.smtp_held import disown

            disown(message)

    services.hooks.start_delivery = start
    services.hooks.side_by_side = _side_by_side


def _side_by_side(services: Services, calls: Sequence[Callable[[], Any]], limit: int) -> list[Any]:
    """Remote deliveries of one message."""
    from angaros.daemon.looped import side_by_side

    return side_by_side(services, calls, limit)


def _leave_to_daemon(context: Context, message: Message, lock: Any) -> None:
    from angaros.cli.context import notifier_path
    from angaros.daemon.notifier import tell

    lock.release()
    if message.effects.open_transaction is not None:
        from angaros.transports.smtp_held import release

        release(message)
    path = notifier_path(context)
    if path:
        tell(path, {"deliver": message.id, "queue": message.queue_name})


def _in_background(deliver: Any, lock: Any) -> None:
    """In a grandchild that init adopts: the caller goes on at once. The lock belongs to the open file: the child has it too."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        lock.release()  # closes our descriptor; the child has the lock through its own
        return
    status = 1
    try:
        if os.fork() == 0:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1):
                os.dup2(null, fd)
            deliver()
        status = 0
    finally:
        os._exit(status)
