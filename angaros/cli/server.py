"""-bd, -bdf, and -q with an interval: start the daemon."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING

from angaros.cli.context import Context, door_path, notifier_path
from angaros.config.config import Config
from angaros.daemon import listen
from angaros.daemon.control import Channel
from angaros.daemon.master import Hooks, Master
from angaros.daemon.shared import SharedCounters
from angaros.lists.parse import split_list
from angaros.model.errors import ConfigError
from angaros.model.interfaces import Log

if TYPE_CHECKING:
    from angaros.net.tls import ContextCache

COURIER_SOCKET = "courier.sock"
"""In the spool directory, for the Exim user alone."""
NO_DAEMON = "Daemon cannot be run when mua_wrapper is set"
"""Exim spec 52."""


class Server:
    """One daemon: what the master's hooks need."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.call = context.call
        self.listeners: list[listen.Listener] = []
        self.by_fd: dict[int, listen.Listener] = {}
        self.open: dict[listen.Listener, socket.socket] = {}
        self.courier_listener: socket.socket | None = None
        self.door_listener: socket.socket | None = None
        self.notifier: socket.socket | None = None
        self.tls: ContextCache | None = None
        self.metrics: socket.socket | None = None
        self.metrics_address: str | None = None

    # --- Sockets ------------------------------------------------------------------------------------------------------

    def bind(self, config: Config) -> list[socket.socket]:
        """Listening sockets for a configuration; those that stay are kept open."""
        wanted = listen.listeners(config, self.call.listen_override, self.call.tls_on_connect) if self.call.listen else []
        missing = [listener for listener in wanted if listener not in self.open]
        log = self.context.services.log
        for listener, channel in listen.open_all(missing, config, time.sleep, lambda text: log.write(text)):
            self.open[listener] = channel
        self.open = {listener: channel for listener, channel in self.open.items() if listener in wanted}
        self.listeners = wanted
        self.by_fd = {channel.fileno(): listener for listener, channel in self.open.items()}
        self.bind_metrics(config)
        return list(self.open.values())

    def bind_metrics(self, config: Config) -> None:
        """`metrics_address`: a socket that stays while its address does. That nobody can watch is no reason not to serve."""
        wanted = config.main.metrics_address
        if wanted == self.metrics_address:
            return
        from angaros.daemon.metrics import open_metrics

        if self.metrics is not None:
            self.metrics.close()
        self.metrics, self.metrics_address = None, wanted
        if wanted:
            try:
                self.metrics = open_metrics(wanted, config.exim_uid, config.exim_gid)
            except (OSError, ConfigError) as error:
                self.metrics_address = None
                self.context.services.log.write(f"cannot listen on metrics_address {wanted}: {error}", panic=True)

    def adopt(self, passed: list[socket.socket]) -> list[socket.socket]:
        """Socket activation: take the sockets as they are."""
        tls_ports = {listen.port_number(p) for p in split_list(self.context.config.main.tls_on_connect_ports or "")}
        for channel in passed:
            address, port = channel.getsockname()[:2]
            listener = listen.Listener(address, port, self.call.tls_on_connect or port in tls_ports)
            channel.setblocking(False)
            self.open[listener] = channel
        self.listeners = list(self.open)
        self.by_fd = {channel.fileno(): listener for listener, channel in self.open.items()}
        return list(self.open.values())

    # --- Hooks --------------------------------------------------------------------------------------------------------

    def read_config(self) -> Config:
        """Again, for SIGHUP."""
        from angaros.assembly.process import read_configuration

        config = read_configuration(self.call.config_files, self.call.macros, self.context.site, self.context.harness)
        self.prepare_tls(config)
        return config

    def prepare_tls(self, config: Config) -> None:
        """Contexts that all workers share, made before they are forked."""
        main = config.main
        if not self.call.listen or not (main.tls_advertise_hosts or main.tls_on_connect_ports):
            return
        from angaros.assembly.process import blocking_services
        from angaros.net.tls_config import context_cache, prepare

        context = self.context
        services = blocking_services(config, context.site, context.harness, self.make_log(config))
        prepare(services)
        self.tls = context_cache(services)

    def make_log(self, config: Config) -> Log:
        """The log of a configuration; errors are repeated on standard error in Exim's test mode, where it stays open."""
        return make_quiet_log(self.context, config, stderr=self.context.harness is not None)

    def courier_path(self, config: Config) -> str:
        return f"{config.main.spool_directory}/{COURIER_SOCKET}"

    def run_courier(self, config: Config) -> None:
        """In the courier process."""
        from angaros.daemon.courier import Courier

        assert self.courier_listener is not None
        if self.metrics is not None:
            self.metrics.close()
        door = None
        if self.door_listener is not None:
            from angaros.cli.main import run
            from angaros.daemon.door import SubmissionDoor

            door = SubmissionDoor(self.door_listener, config.exim_uid, config.exim_gid, run)
        Courier(self.courier_listener, config.exim_uid, config.never_uids, door).serve()

    def run_worker(
        self, config: Config, slot: int, channel: Channel, sockets: list[socket.socket], counters: SharedCounters
    ) -> None:
        """In a worker process."""
        from angaros.daemon.worker import Place, run_worker

        for listener in (self.courier_listener, self.door_listener):
            if listener is not None:
                listener.close()
        pairs = [(self.by_fd[channel_.fileno()], channel_) for channel_ in sockets]
        context = self.context
        run_worker(
            Place(
                config=config,
                site=context.site,
                harness=context.harness,
                log=self.make_log(config),
                slot=slot,
                channel=channel,
                sockets=pairs,
                counters=counters,
                courier_path=self.courier_path(config),
                delivery_mode=self.call.delivery,
                notifier=self.notifier,
                tls=self.tls,
                metrics=self.metrics,
            )
        )

    # --- Start --------------------------------------------------------------------------------------------------------

    def started_text(self) -> str:
        """`daemon started: ...` (Exim's words; tools look for them)."""
        from angaros import EXIM_VERSION

        if self.call.inetd_wait:
            return f"exim {EXIM_VERSION} daemon started: pid={os.getpid()}, launched with listening socket, {self._wait_text()}"
        runs = [run_text(run) for run in self.call.queue_runs]
        queue = ", ".join(runs) if runs else "no queue runs"
        return f"exim {EXIM_VERSION} daemon started: pid={os.getpid()}, {queue}, {listen.describe(self.listeners)}"

    def _wait_text(self) -> str:
        from angaros.config.values import show_time

        seconds = self.call.inetd_wait_timeout
        return f"with {show_time(seconds)} wait timeout" if seconds else "with no wait timeout"

    def process_text(self) -> str:
        """For `exiwhat`: `daemon(4.99): -q30m, listening ...`."""
        from angaros import EXIM_VERSION

        runs = [run_text(run) for run in self.call.queue_runs]
        return f"daemon({EXIM_VERSION}): {', '.join(runs) if runs else 'no queue runs'}, {listen.describe(self.listeners)}"


NO_CERTIFICATE = (
    "Warning: No server certificate defined; will use a selfsigned one.\n"
    " Suggested action: either install a certificate or change tls_advertise_hosts option"
)
"""# Exim spec 14, tls_certificate"""


def run_text(run: object) -> str:
    """A periodic queue run as on the command line: `-q30m`, `-qGname/5m`."""
    from angaros.config.values import show_time
    from angaros.model.queue_run import QueueRun

    assert isinstance(run, QueueRun)
    flags = ("q" if run.two_stage else "") + ("i" if run.first_only else "")
    flags += ("ff" if run.force_frozen else "f" if run.force else "") + ("l" if run.local_only else "")
    interval = show_time(run.interval) if run.interval else ""
    if run.queue_name:
        return f"-q{flags}G{run.queue_name}" + (f"/{interval}" if interval else "")
    return f"-q{flags}{interval}"


def worker_count(config: Config) -> int:
    """`daemon_workers`, by default one a processor."""
    return config.main.daemon_workers or len(os.sched_getaffinity(0))


def write_pid(path: str) -> None:
    """The pid file, as Exim writes it."""
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")


def make_quiet_log(context: Context, config: Config, *, stderr: bool = False) -> Log:
    """A log that repeats nothing on standard error."""
    from angaros.assembly.process import make_log
    from angaros.logs.writer import LogModes

    return make_log(config, context.site, context.harness, LogModes(stderr=stderr))


def start_daemon(context: Context) -> int:
    """Bind, detach, log, serve."""
    from angaros.daemon import supervisor
    from angaros.daemon.courier import open_socket
    from angaros.daemon.preload import preload
    from angaros.daemon.privilege import become_root

    become_root()
    call, config = context.call, context.config
    server = Server(context)
    log = server.make_log(config)
    if config.main.mua_wrapper:
        make_quiet_log(context, config).write(NO_DAEMON, panic=True)
        print(NO_DAEMON, file=sys.stderr)
        return 1
    try:
        passed = supervisor.inherited_socket() if call.inetd_wait else supervisor.passed_sockets()
        sockets = server.adopt(passed) if passed else server.bind(config)
        server.bind_metrics(config)
    except ConfigError as error:
        make_quiet_log(context, config).write(str(error), panic=True)
        print(f"exim: {error}", file=sys.stderr)
        return 1
    prepare_directories(context)
    server.prepare_tls(config)
    from angaros.spool.orphans import remove_orphans

    remove_orphans(config.main.spool_directory or context.site.spool_directory)
    ready = -1
    if not call.foreground and not call.inetd_wait:
        ready = _background()
    path = server.courier_path(config)
    server.courier_listener = open_socket(path, config.exim_uid, config.exim_gid)
    open_local_sockets(server, context)
    master = Master(
        config=config,
        log=log,
        hooks=Hooks(server.run_worker, server.run_courier, server.read_config, server.bind, server.make_log, preload),
        sockets=sockets,
        workers=worker_count(config),
        queue_runs=call.queue_runs,
        describe=server.process_text,
        idle_limit=(call.inetd_wait_timeout or 0) if call.inetd_wait else 0,
    )
    pid_path = pid_file(context, config)

    def started() -> None:
        if config.main.tls_advertise_hosts and not config.main.tls_certificate:
            log.write(NO_CERTIFICATE)
        log.write(server.started_text())
        for warning in config.warnings:
            log.write(warning)
        try:
            if pid_path:
                write_pid(pid_path)
        except OSError as error:
            log.write(f"failed to open pid file {pid_path}: {error.strerror}", panic=True)
        if ready >= 0:
            os.write(ready, b"1")
            os.close(ready)

    status = master.serve(started)
    if pid_path:
        remove_own_pid(pid_path)
    return status


def pid_file(context: Context, config: Config) -> str:
    """Where the daemon's process id is written: what -oP says, else `pid_file_path` of a daemon that listens at the usual places;
    "" for none. Exim spec 5.3, -oP"""
    call, harness = context.call, context.harness
    if call.pid_file:
        return call.pid_file
    if harness is not None and not call.inetd_wait:
        return f"{config.main.spool_directory}/{harness.writes_pid_file}"
    if not call.listen or call.listen_override is not None or call.inetd_wait:
        return ""
    return config.main.pid_file_path or f"{config.main.spool_directory}/exim-daemon.pid"


def open_local_sockets(server: Server, context: Context) -> None:
    """The door for local users (only for the system's own configuration, and with root's power) and the notifier."""
    from angaros.daemon.door import open_door
    from angaros.daemon.notifier import open_notifier

    config, log = context.config, context.services.log
    try:
        if os.geteuid() == 0 and context.call.config_files is None:
            server.door_listener = open_door(door_path(context.site))
        path = notifier_path(context)
        if path and not context.call.no_notifier:
            server.notifier = open_notifier(path, config.exim_uid, config.exim_gid)
    except OSError as error:
        log.write(f"cannot listen on {error.filename or 'a local socket'}: {error.strerror}", panic=True)


def remove_own_pid(path: str) -> None:
    """The pid file goes when we go, unless it is another daemon's by now."""
    try:
        with open(path, encoding="ascii") as file:
            ours = file.read().strip() == str(os.getpid())
        if ours:
            os.unlink(path)
    except OSError:
        pass


def _background() -> int:
    """Leave the caller's session; the caller's process ends when one octet comes through the returned pipe."""
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        os._exit(0 if os.read(read, 1) else 1)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(read)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    return write


def prepare_directories(context: Context) -> None:
    """The spool directory, for the Exim user."""
    config, site = context.config, context.site
    directory = config.main.spool_directory or site.spool_directory
    for path in (directory, f"{directory}/input", f"{directory}/msglog", f"{directory}/db"):
        if not os.path.isdir(path):
            os.makedirs(path, site.spool_directory_mode)
            if os.geteuid() == 0:
                os.chown(path, config.exim_uid, config.exim_gid)
