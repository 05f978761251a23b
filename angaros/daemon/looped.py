"""An event loop for a while, in a process that otherwise blocks: queue runs of the command line, remote deliveries side by side.

Laws:
- What was opened under the loop is closed before it ends: idle SMTP sessions, resolver sockets, threads.
- `run` forks its courier before there is any thread; local deliveries go through it as in the daemon, so that none costs a fork.
- A message that is accepted meanwhile (a bounce) is delivered on the same loop, and `run` returns after it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from angaros.model.interfaces import Services
from angaros.model.message import Message
from angaros.net.loop import LoopWaiter

T = TypeVar("T")

REBUILT = ("dns", "store")
"""Parts that hold the waiter."""

MOST_DESCRIPTORS = 1 << 16
"""Thousands of connections and messages in delivery; the soft limit is often 1024."""


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, or asyncio's where uvloop is not there; with as many descriptors as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        import uvloop

        return uvloop.new_event_loop()
    except ImportError:
        return asyncio.new_event_loop()


@contextmanager
def _looping(services: Services, rebuilt: Sequence[str]) -> Iterator[LoopWaiter]:
    """`services` wait on a loop inside."""
    from angaros.assembly.wiring import remake

    loop = new_loop()
    waiter = LoopWaiter(loop)
    before = services.waiter, {name: getattr(services, name) for name in rebuilt}, services.extra.pop("smtp_connections", None)
    services.waiter = waiter
    remake(services, rebuilt)
    try:
        yield waiter
    finally:
        waiter.close()
        loop.close()
        services.waiter = before[0]
        for name, part in before[1].items():
            setattr(services, name, part)
        services.extra.pop("smtp_connections", None)
        if before[2] is not None:
            services.extra["smtp_connections"] = before[2]


def _complete(services: Services, waiter: LoopWaiter, call: Callable[[], T]) -> T:
    def core() -> T:
        try:
            return call()
        finally:
            if "smtp_connections" in services.extra:
                from angaros.transports.smtp_cache import close_all

                close_all(services)

    return waiter.loop.run_until_complete(waiter.run(core))


def side_by_side(services: Services, calls: Sequence[Callable[[], T]], limit: int) -> list[T]:
    """`calls` together, at most `limit` at a time."""
    if hasattr(services.waiter, "start") or limit == 1 or len(calls) < 2:
        return services.waiter.gather(calls, limit)
    if services.harness is not None:
        calls = [_delayed(services, number * services.harness.head_start, call) for number, call in enumerate(calls)]
    with _looping(services, ("dns",)) as waiter:
        return _complete(services, waiter, lambda: waiter.gather(calls, limit))


def _delayed(services: Services, seconds: float, call: Callable[[], T]) -> Callable[[], T]:
    def later() -> T:
        services.waiter.sleep(seconds)
        return call()

    return later


class _Deliveries:
    """What was accepted under the loop and is being delivered."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.open = 0
        self.waiting: list[tuple[Any, int]] = []

    def start(self, message: Message, lock: Any, foreground: bool) -> None:
        """`services.hooks.start_delivery`."""
        from angaros.delivery.deliver import deliver_held

        if foreground:
            deliver_held(self.services, message, lock)
            return
        self.open += 1
        self.services.waiter.spawn(lambda: self._deliver(message, lock))

    def _deliver(self, message: Message, lock: Any) -> None:
        from angaros.delivery.deliver import deliver_held

        try:
            deliver_held(self.services, message, lock)
        finally:
            self.open -= 1
            if not self.open:
                for run, serial in self.waiting:
                    run.wake(serial)

    def finish(self) -> None:
        """Wait for all of them."""
        from angaros.net.loop import current_run

        while self.open:
            run = current_run()
            self.waiting.append((run, run.serial))
            run.park()


def run(services: Services, call: Callable[[], None]) -> None:
    """`call` on a loop, with a courier of its own for local deliveries."""
    from angaros.daemon.couriers import RemoteCourier

    with _courier(services) as path, _looping(services, REBUILT) as waiter:
        deliveries = _Deliveries(services)
        before = services.courier, services.hooks.start_delivery
        courier = RemoteCourier(path, waiter)
        services.courier, services.hooks.start_delivery = courier, deliveries.start

        def core() -> None:
            call()
            deliveries.finish()

        try:
            _complete(services, waiter, core)
        finally:
            courier.close()
            services.courier, services.hooks.start_delivery = before


@contextmanager
def _courier(services: Services) -> Iterator[str]:
    """A courier process and the path of its socket, in a directory that only we can enter."""
    import signal

    from angaros.daemon.courier import Courier, open_socket

    config = services.config
    directory = tempfile.mkdtemp(prefix="angaros-courier-")
    path = f"{directory}/socket"
    listener = open_socket(path, os.geteuid(), os.getegid())
    pid = os.fork()
    if pid == 0:
        try:
            Courier(listener, config.exim_uid, config.never_uids).serve()
        finally:
            os._exit(0)
    listener.close()
    try:
        yield path
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        shutil.rmtree(directory, ignore_errors=True)
