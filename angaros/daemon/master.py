"""The master: binds ports, starts and supervises workers and the courier, re-reads the configuration. Nothing else.

It never reads from the network. Laws:
- A worker or courier that dies is started again; one that dies at once again and again is started with a pause.
- SIGHUP: the new configuration is read first. When it is wrong, the error is logged and everything stays. When it is right, new
  workers start on it, then the old ones retire: they accept nothing more, finish their connections and deliveries, and exit.
- SIGTERM, SIGINT: listening stops, workers retire, the master leaves when they have (or after `GRACE` seconds).
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from angaros.config.config import Config
from angaros.daemon import process_info, supervisor
from angaros.daemon.control import Channel, pair
from angaros.daemon.shared import CONNECTIONS, SERIAL, SharedCounters
from angaros.model.errors import ConfigError
from angaros.model.interfaces import Log
from angaros.model.queue_run import QueueRun

GRACE = 120.0
"""Seconds that a stopping master waits for its workers; what is not finished then lies safely in the spool."""
RESTART_PAUSE = 1.0
"""A child that lived less than this long is started again only after as long, so that a fault at start-up does not spin."""


@dataclass(slots=True)
class Child:
    """A running process of ours."""

    pid: int
    kind: str
    """`worker` or `courier`."""
    slot: int = 0
    channel: Channel | None = None
    started: float = 0.0
    retired: bool = False


@dataclass(slots=True)
class Hooks:
    """What the master calls but does not know how to do."""

    run_worker: Callable[[Config, int, Channel, list[socket.socket], SharedCounters], None]
    run_courier: Callable[[Config], None] | None
    read_config: Callable[[], Config]
    bind: Callable[[Config], list[socket.socket]]
    make_log: Callable[[Config], Log]
    preload: Callable[[], None] = lambda: None
    """Called once before the first worker: what all workers need and can share."""


@dataclass(slots=True)
class Timetable:
    """When which queue run is due."""

    run: QueueRun
    due: float = 0.0


@dataclass
class Master:
    """State of the master. `serve()` returns the exit status."""

    config: Config
    log: Log
    hooks: Hooks
    sockets: list[socket.socket]
    workers: int
    queue_runs: list[QueueRun] = field(default_factory=list)
    children: dict[int, Child] = field(default_factory=dict)
    stopping: bool = False
    describe: Callable[[], str] = lambda: "daemon"
    """For `exiwhat`."""
    idle_limit: int = 0
    """-bw<time>: leave after so many seconds without a connection; 0 never."""

    def __post_init__(self) -> None:
        # Twice as many slots as workers: during a reload old and new ones live side by side.
        self.counters = SharedCounters(self.workers * 2 + 2)
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._timetable = [Timetable(run) for run in self.queue_runs]
        self._reload = False
        self._restart: list[tuple[float, str, int]] = []
        self._idle_since = time.monotonic()
        self._connections_seen = 0

    # --- Life ---------------------------------------------------------------------------------------------------------

    def serve(self, started: Callable[[], None] = lambda: None) -> int:
        """Run until told to stop. `started` is called when the workers are up."""
        self._catch_signals()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        if self.hooks.run_courier is not None:
            self._start("courier")
        self.hooks.preload()  # after the courier, which needs nothing of it and forks all the time
        for _ in range(self.workers):
            self._start("worker")
        started()
        supervisor.notify(f"READY=1\nMAINPID={os.getpid()}\nSTATUS=serving")
        while not self.stopping:
            self._turn()
        return self._stop()

    def _catch_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        process_info.answer(self.config, lambda: [self.describe()])

    def _on_signal(self, number: int, frame: object) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self.stopping = True
        elif number == signal.SIGHUP:
            self._reload = True

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._wait_time()):
            if key.fileobj == self._wake_read:
                self._drain_wakeups()
            else:
                self._hear(key.data)
        self._reap()
        if self._reload and not self.stopping:
            self._reload = False
            self.reload()
        self._start_due()
        self._run_queues()
        if self.idle_limit:
            self._leave_when_idle()

    def _leave_when_idle(self) -> None:
        """inetd will listen again. Exim spec 5.3, -bw"""
        seen, now = self.counters.total(SERIAL), time.monotonic()
        if self.counters.total(CONNECTIONS) or seen != self._connections_seen:
            self._connections_seen, self._idle_since = seen, now
        elif now - self._idle_since >= self.idle_limit:
            self.stopping = True

    def _drain_wakeups(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass

    def _wait_time(self) -> float:
        moments = [entry.due for entry in self._timetable] + [when for when, _, _ in self._restart]
        wait = max(0.0, min(moments) - time.monotonic()) if moments else 3600.0
        return min(wait, 1.0) if self.idle_limit else wait

    # --- Children -----------------------------------------------------------------------------------------------------

    def _free_slot(self) -> int:
        taken = {child.slot for child in self.children.values() if child.kind == "worker"}
        return next(slot for slot in range(self.counters.workers) if slot not in taken)

    def _start(self, kind: str) -> None:
        slot = self._free_slot() if kind == "worker" else 0
        ours, theirs = pair()
        pid = os.fork()
        if pid == 0:
            self._child(kind, slot, ours, theirs)
        theirs.close()
        child = Child(pid, kind, slot, ours, time.monotonic())
        self.children[pid] = child
        ours.connection.setblocking(True)
        self._selector.register(ours.connection, selectors.EVENT_READ, child)

    def _child(self, kind: str, slot: int, ours: Channel, theirs: Channel) -> None:
        """In the child: forget what is the master's, do the work, leave without its exit handlers."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            process_info.answer(self.config, lambda: [f"{kind} process"])  # a worker says more as soon as it can
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the master decides
            ours.close()
            self._selector.close()
            for child in self.children.values():
                if child.channel is not None:
                    child.channel.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            if kind == "courier":
                assert self.hooks.run_courier is not None
                for listener in self.sockets:
                    listener.close()
                self.hooks.run_courier(self.config)
            else:
                self.hooks.run_worker(self.config, slot, theirs, self.sockets, self.counters)
            status = 0
        except SystemExit as leave:
            status = leave.code if isinstance(leave.code, int) else 1
        except BaseException as error:
            self.log.write(f"{kind} failed: {type(error).__name__}: {error}", panic=True)
            if self.log.selected("all"):
                raise
        finally:
            os._exit(status)

    def _hear(self, child: Child) -> None:
        assert child.channel is not None
        messages = child.channel.receive()
        if messages is None:
            self._selector.unregister(child.channel.connection)
            child.channel.close()
            child.channel = None
            return
        for message in messages:
            if message.get("say") == "run_queue":
                self._send_to_one({"do": "run", "run": message.get("run", {})})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is None:
                continue
            self._bury(child, status)

    def _bury(self, child: Child, status: int) -> None:
        if child.channel is not None:
            self._selector.unregister(child.channel.connection)
            child.channel.close()
        if child.kind == "worker":
            self.counters.clear(child.slot)
        if child.retired or self.stopping:
            return
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.waitstatus_to_exitcode(status)}"
        self.log.write(f"{child.kind} process {child.pid} ended with {how}: starting another", panic=True)
        lived = time.monotonic() - child.started
        pause = 0.0 if lived > RESTART_PAUSE else RESTART_PAUSE
        self._restart.append((time.monotonic() + pause, child.kind, child.slot))

    def _start_due(self) -> None:
        now = time.monotonic()
        due = [entry for entry in self._restart if entry[0] <= now]
        self._restart = [entry for entry in self._restart if entry[0] > now]
        for _, kind, _ in due:
            self._start(kind)

    def _active(self, kind: str = "worker") -> list[Child]:
        return [child for child in self.children.values() if child.kind == kind and not child.retired]

    def _send_to_one(self, message: dict[str, object]) -> None:
        """To the worker that has the fewest deliveries in hand."""
        for child in sorted(self._active(), key=lambda c: c.started):
            if child.channel is not None and child.channel.send(message):
                return

    # --- Queue runs ---------------------------------------------------------------------------------------------------

    def _run_queues(self) -> None:
        now = time.monotonic()
        for entry in list(self._timetable):
            if entry.due > now:
                continue
            self._send_to_one({"do": "run", "run": entry.run.as_dict()})
            if entry.run.interval:
                entry.due = now + entry.run.interval
            else:
                self._timetable.remove(entry)

    # --- Reload and stop ----------------------------------------------------------------------------------------------

    def reload(self) -> bool:
        """Take over a new configuration; False (and a log line) when it is wrong or its ports cannot be had."""
        supervisor.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            config = self.hooks.read_config()
            sockets = self.hooks.bind(config)
        except (ConfigError, OSError) as error:
            self.log.write(f"SIGHUP received: the new configuration is not used: {error}", panic=True)
            supervisor.notify("READY=1")
            return False
        self.config = config
        self.log = self.hooks.make_log(config)
        self.log.write(f"pid {os.getpid()}: SIGHUP received: re-exec daemon")
        old = [child for child in self.children.values() if not child.retired]
        kept = {s.fileno() for s in sockets}
        gone = [s for s in self.sockets if s.fileno() not in kept]
        self.sockets = sockets
        if self.hooks.run_courier is not None:
            self._start("courier")
        for _ in range(self.workers):
            self._start("worker")
        for child in old:
            self._retire(child)
        for listener in gone:
            listener.close()
        supervisor.notify("READY=1")
        return True

    def _retire(self, child: Child) -> None:
        child.retired = True
        if child.kind == "courier":  # it finishes the request in hand, then leaves
            os.kill(child.pid, signal.SIGTERM)
        elif child.channel is not None:
            child.channel.send({"do": "retire"})

    def _stop(self) -> int:
        supervisor.notify("STOPPING=1")
        for listener in self.sockets:
            listener.close()
        for child in self._active("worker"):
            self._retire(child)
        end = time.monotonic() + GRACE
        while any(child.kind == "worker" for child in self.children.values()) and time.monotonic() < end:
            for key, _ in self._selector.select(0.5):
                if key.fileobj == self._wake_read:
                    self._drain_wakeups()
                else:
                    self._hear(key.data)
            self._reap()
        for child in list(self.children.values()):
            try:
                os.kill(child.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        end = time.monotonic() + 2.0
        while self.children and time.monotonic() < end:
            self._reap()
            time.sleep(0.01)
        return 0
