"""A worker: unprivileged, one event loop. Talks SMTP, routes, delivers, runs queues.

Laws:
- Before it reads anything from the network it has become the Exim user for good.
- To retire: accept nothing more, finish connections, deliveries and queue runs in hand, leave.
- `delivery.crowd` says how many messages are in delivery at once; up to `MAX_WAITING` more wait in memory, locked, then
  up to `MAX_NAMES` as names; beyond that one stays in the spool for the next queue run. Memory stays bounded, nothing is lost, no
  slow host holds up the others.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from angaros.assembly.wiring import Ports, QueueSize, build_services, warm
from angaros.config.config import Config
from angaros.config.harness import Harness
from angaros.config.site import Site
from angaros.daemon.control import Channel
from angaros.daemon.couriers import RemoteCourier
from angaros.daemon.listen import Listener, backlog_of
from angaros.daemon.looped import new_loop
from angaros.daemon.metrics import Shown
from angaros.daemon.privilege import become
from angaros.daemon.process_info import path_of, write_lines
from angaros.daemon.shared import CONNECTIONS, DELIVERIES, QUEUE_RUNS, SERIAL, SharedCounters
from angaros.delivery.crowd import Crowd
from angaros.model.errors import ExpansionError, PanicError
from angaros.model.interfaces import Log, Services
from angaros.model.message import Message
from angaros.model.queue_run import QueueRun
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.net.loop import LoopWaiter
from angaros.net.tls import ContextCache
from angaros.spool.glance import domains_in_spool

MAX_DELIVERIES = 100
"""Deliveries that make their way, at once in one worker: the disk and the peers are the bottleneck."""
MAX_WAITING = 1000
"""Accepted messages that wait in memory for their turn."""
MAX_NAMES = 100_000
"""Messages of which only the name waits: they are read again."""
TIDY_INTERVAL = 86400.0
"""Seconds between removals of unfinished spool files; they harm nothing but room."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is given by the master."""

    config: Config
    site: Site
    harness: Harness | None
    log: Log
    slot: int
    channel: Channel
    sockets: list[tuple[Listener, socket.socket]]
    counters: SharedCounters
    courier_path: str
    delivery_mode: str = ""
    """-odi, -odq, ... given to the daemon."""
    notifier: socket.socket | None = None
    tls: ContextCache | None = None
    """TLS contexts made before the fork."""
    metrics: socket.socket | None = None
    """Where the counts are asked for."""


class Worker:
    """State of a worker process."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.loop = new_loop()
        asyncio.set_event_loop(self.loop)
        self.waiter = LoopWaiter(self.loop)
        ports = Ports(self.waiter, place.log, self._courier)
        self.services: Services = build_services(place.config, place.site, ports, place.harness)
        self.services.hooks.start_delivery = self.start_delivery
        if place.tls is not None:
            self.services.extra["tls"] = place.tls
        self.servers: list[Any] = []
        self.retiring = False
        self.connections = 0
        self.deliveries = 0
        self.runs = 0
        self.tidied: dict[str, float] = {}
        """Queue -> when its rubbish was removed."""
        services = self.services
        services.hooks.queue_size = QueueSize(services, place.counters)
        self.crowd = Crowd(services.clock.monotonic, self._domains, services.run.trying.get, limit=MAX_DELIVERIES)
        self.held: dict[str, tuple[Message, Any] | str] = {}
        """What waits or is in delivery: a message with its lock, or the queue that one is to be read from."""
        self.timer: asyncio.TimerHandle | None = None
        self.shown: Shown | None = None
        """The counts, when somebody may ask for them."""
        self.activities: dict[object, str] = {}
        """What is in hand, for `exiwhat`."""

    def _courier(self, services: Services) -> RemoteCourier:
        return RemoteCourier(self.place.courier_path, self.waiter)

    # --- Life ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until retired."""
        place = self.place
        become(place.config.exim_uid, place.config.exim_gid)
        warm(self.services)
        self.waiter.on_error = self._report
        for listener, channel in place.sockets:
            factory = self.waiter.serve(self._session_of(listener))
            server = self.loop.run_until_complete(
                self.loop.create_server(factory, sock=channel, backlog=backlog_of(place.config.main))
            )
            self.servers.append(server)
        self.loop.add_signal_handler(signal.SIGUSR1, self._say_what)
        if place.metrics is not None:
            self.shown = Shown(self.services, place.counters, place.slot)
            self.servers.append(self.loop.run_until_complete(self.shown.serve(self.loop, place.metrics)))
        place.channel.connection.setblocking(False)
        self.loop.add_reader(place.channel.fileno(), self._hear)
        if place.notifier is not None:
            self.loop.add_reader(place.notifier.fileno(), self._notified)
        if place.config.main.tls_ocsp_fetch:
            from angaros.net.ocsp_fetch import keep_fresh

            self.waiter.spawn(lambda: keep_fresh(self.services))
        gc.collect()
        gc.freeze()
        place.channel.send({"say": "ready"})
        try:
            self.loop.run_forever()
        finally:
            if self.shown is not None:
                self.shown.publish()
            self.waiter.close()

    def _say_what(self) -> None:
        """SIGUSR1: a line for each thing in hand."""
        waiting = [f"{self.crowd.waiting} messages wait for their delivery"] if self.crowd.waiting else []
        write_lines(path_of(self.place.config), [*self.activities.values(), *waiting] or ["worker: nothing in hand"])

    def _report(self, error: BaseException) -> None:
        """An error that no caller took: it must be seen."""
        import traceback

        if isinstance(error, PanicError):
            self.place.log.write(str(error), panic=True)
            return
        frames = traceback.extract_tb(error.__traceback__)
        where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        self.place.log.write(f"internal error: {type(error).__name__}: {error}{where}", panic=True)
        self.place.log.debug("any", "".join(traceback.format_exception(error)))

    def _hear(self) -> None:
        messages = self.place.channel.receive()
        if messages is None:
            self.loop.remove_reader(self.place.channel.fileno())
            self.retire()
            return
        for message in messages:
            if message["do"] == "retire":
                self.retire()
            elif message["do"] == "run":
                self.run_queue(QueueRun(**message["run"]))

    def _notified(self) -> None:
        from angaros.daemon.notifier import answer, hear

        channel, count = self.place.notifier, self.services.hooks.queue_size
        assert channel is not None
        heard = hear(channel)
        if heard is None:
            return
        message, address = heard
        if message.get("ask") == "queue_size" and address and count is not None:
            answer(channel, address, "queue_size", count())
        elif isinstance(message.get("deliver"), str):
            self._begin(message["deliver"], str(message.get("queue", "")))

    def retire(self) -> None:
        """Accept nothing more; leave when nothing is in hand."""
        if not self.retiring:
            self.retiring = True
            for server in self.servers:
                server.close()
            if self.place.notifier is not None:
                self.loop.remove_reader(self.place.notifier.fileno())
            self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self.retiring and not (self.connections or self.deliveries or self.runs or self.held):
            self.loop.stop()

    # --- Connections --------------------------------------------------------------------------------------------------

    def _session_of(self, listener: Listener) -> Callable[[Any], None]:
        from angaros.inbound.conversation import Conversation
        from angaros.inbound.options import SessionOptions, Submission

        def serve(stream: Any) -> None:
            counters, slot, host = self.place.counters, self.place.slot, stream.peer_address
            self.connections += 1
            self.activities[stream] = f"handling incoming connection from [{host}]"
            counters.add(slot, CONNECTIONS)
            counters.add(slot, SERIAL)
            self.services.metrics.add("connections_total")
            counters.add_host(slot, host, 1)
            try:
                session = Session(
                    sender_host_address=host,
                    sender_host_port=stream.peer_port,
                    interface_address=stream.local_address,
                    interface_port=stream.local_port,
                    smtp=True,
                    connect_time=self.services.clock.now(),
                )
                options = SessionOptions(
                    tls_on_connect=listener.tls_on_connect,
                    submission=Submission(delivery=self.place.delivery_mode),
                    connection_count=counters.total(CONNECTIONS),
                    host_connections=counters.host_total(host),
                )
                Conversation(self.services, session, stream, options).serve()
            finally:
                self.connections -= 1
                self.activities.pop(stream, None)
                counters.add(slot, CONNECTIONS, -1)
                counters.add_host(slot, host, -1)
                self._leave_if_done()

        return serve

    # --- Deliveries ---------------------------------------------------------------------------------------------------

    def start_delivery(self, message: Message, lock: Any, foreground: bool) -> None:
        """A message was accepted and is safe on disk: deliver it, now or in turn."""
        if foreground:
            self._deliver(message, lock)
        elif self.crowd.waiting >= MAX_WAITING or not self._begin(message.id, (message, lock)):
            lock.release()
            if message.effects.open_transaction is not None:
                from angaros.transports.smtp_held import release

                release(message)
            self._begin(message.id, message.queue_name)

    def _begin(self, message_id: str, held: tuple[Message, Any] | str) -> bool:
        """Deliver it now or in turn; False when too many wait, or it is in hand already."""
        if self.crowd.waiting >= MAX_NAMES or message_id in self.held:
            return False
        self.held[message_id] = held
        self.crowd.add([message_id])
        self._start_more()
        return True

    def _start_more(self) -> None:
        """As many deliveries as may begin; look again when some of them have become slow."""
        while (message_id := self.crowd.take()) is not None:
            self.deliveries += 1
            self.place.counters.add(self.place.slot, DELIVERIES)
            self.waiter.spawn(partial(self._background, message_id))
        pause = self.crowd.pause()
        if pause is not None and self.timer is None:
            self.timer = self.loop.call_later(pause, self._look_again)

    def _look_again(self) -> None:
        self.timer = None
        self._start_more()

    def _domains(self, message_id: str) -> Collection[str]:
        """Of the recipients of a message that waits or is in delivery."""
        held = self.held[message_id]
        if isinstance(held, str):
            return domains_in_spool(self.services.store, message_id, held)
        return {recipient.address.rpartition("@")[2].lower() for recipient in held[0].recipients}

    def _background(self, message_id: str) -> None:
        held = self.held[message_id]
        try:
            if isinstance(held, str):
                self._deliver_from(held, message_id)
            else:
                self._deliver(*held)
        finally:
            self.crowd.done(message_id)
            del self.held[message_id]
            self.deliveries -= 1
            self.place.counters.add(self.place.slot, DELIVERIES, -1)
            self._start_more()
            self._leave_if_done()

    def _deliver(self, message: Message, lock: Any) -> None:
        from angaros.delivery.deliver import deliver_held

        self.activities[message.id] = f"delivering {message.id}"
        try:
            deliver_held(self.services, message, lock)
        finally:
            self.activities.pop(message.id, None)

    def _deliver_from(self, queue_name: str, message_id: str) -> None:
        from angaros.delivery.deliver import deliver_message
        from angaros.delivery.options import DeliverOptions

        if self.services.store.exists(message_id, queue_name):  # else a queue run was quicker
            deliver_message(self.services, message_id, DeliverOptions(immediate=True), queue_name=queue_name)

    # --- Queue runs ---------------------------------------------------------------------------------------------------

    def run_queue(self, request: QueueRun) -> None:
        """Start a queue run, unless this worker is leaving."""
        if self.retiring or self._enough_runs():
            return
        self.runs += 1
        self.place.counters.add(self.place.slot, QUEUE_RUNS)
        self.waiter.spawn(lambda: self._run_queue(request))

    def _enough_runs(self) -> bool:
        """`queue_run_max`: over all workers. Exim spec 14"""
        text = self.place.config.main.queue_run_max
        try:
            limit = int(Scope(self.services).expand(text))
        except (ExpansionError, ValueError):
            self.place.log.write(f"failed to expand queue_run_max: {text}", panic=True)
            return False
        return 0 < limit <= self.place.counters.total(QUEUE_RUNS)

    def _run_queue(self, request: QueueRun) -> None:
        from angaros.delivery.runner import run_queue

        self.activities[id(request)] = f"running queue {request.queue_name}".rstrip()
        try:
            self._tidy(request.queue_name)
            run_queue(self.services, request)
        finally:
            self.activities.pop(id(request), None)
            self.runs -= 1
            self.place.counters.add(self.place.slot, QUEUE_RUNS, -1)
            self._leave_if_done()

    def _tidy(self, queue_name: str) -> None:
        """Once a day: what crashes left in the spool (states S1, S2 of docs/spool-states.md)."""
        now = self.services.clock.now()
        if now - self.tidied.get(queue_name, 0.0) >= TIDY_INTERVAL:
            self.tidied[queue_name] = now
            removed = self.services.store.remove_rubbish(queue_name)
            if removed:
                self.place.log.write(f"{removed} unfinished spool files removed", selector="queue_run")


def run_worker(place: Place) -> None:
    """The worker process, from fork to end."""
    Worker(place).run()
