"""The counts of all workers as Prometheus text, for whoever connects to `metrics_address`.

Each worker lays its counts into a row of shared memory, once a second when they have changed; any worker answers a request by
adding up the rows. The master adds the counts of a worker that has ended to the last row, so that sums never go back.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from angaros.daemon.board import Counts
from angaros.daemon.listen import parse_interface
from angaros.daemon.shared import CONNECTIONS, DELIVERIES, QUEUE_RUNS, SharedCounters
from angaros.model.errors import ConfigError
from angaros.model.metrics import METRICS, Key

if TYPE_CHECKING:
    from angaros.model.interfaces import Services

MAX_REQUEST = 8192
"""Octets of a request's header."""
PATIENCE = 10.0
"""Seconds for a request to be complete."""
PERIOD = 1.0
"""Seconds between two looks whether the counts have changed."""
BACKLOG = 16

_PREFIX = "angaros_"


# --- As text -----------------------------------------------------------------------------------------------------------


def render(counts: Counts) -> str:
    """Prometheus' text format 0.0.4."""
    by_name: dict[str, list[str]] = {name: [] for name in METRICS}
    for (name, labels), value in sorted(counts.items()):
        row = METRICS.get(name)
        if row is None:
            continue
        pairs = ",".join(f'{label}="{_quoted(text)}"' for label, text in zip(row.labels, labels, strict=False))
        by_name[name].append(f"{_PREFIX}{name}{f'{{{pairs}}}' if pairs else ''} {value}\n")
    out = []
    for name, lines in by_name.items():
        row = METRICS[name]
        if not lines and not row.labels:
            lines = [f"{_PREFIX}{name} 0\n"]
        if lines:
            out += [f"# HELP {_PREFIX}{name} {row.help}\n", f"# TYPE {_PREFIX}{name} {row.kind}\n", *lines]
    return "".join(out)


def _quoted(text: str) -> str:
    """Octets above ASCII as UTF-8 would have them, or as they can be shown."""
    shown = text.encode("latin-1", "replace").decode("utf-8", "replace")
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def gauges(counters: SharedCounters, queue_size: int) -> dict[Key, int]:
    """What is so now."""
    return {
        ("connections", ()): counters.total(CONNECTIONS),
        ("deliveries", ()): counters.total(DELIVERIES),
        ("queue_runs", ()): counters.total(QUEUE_RUNS),
        ("queue_size", ()): queue_size,
    }


# --- To whoever asks ---------------------------------------------------------------------------------------------------


def open_metrics(where: str, uid: int, gid: int) -> socket.socket:
    """Listen on a path (a Unix socket for the Exim user and group) or `[address]:port`. Raises ConfigError, OSError."""
    if where.startswith("/"):
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        _bind_path(channel, where, uid, gid)
    else:
        address, port = parse_interface(where)
        if not port:
            raise ConfigError(f"metrics_address: no port in {where}")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        channel = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _or_close(channel, lambda: channel.bind((address, port)))
    channel.listen(BACKLOG)
    channel.setblocking(False)
    return channel


def _bind_path(channel: socket.socket, path: str, uid: int, gid: int) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    old = os.umask(0o117)
    try:
        _or_close(channel, lambda: channel.bind(path))
    finally:
        os.umask(old)
    if os.geteuid() == 0:
        os.chown(path, uid, gid)


def _or_close(channel: socket.socket, bind: Callable[[], None]) -> None:
    try:
        bind()
    except OSError:
        channel.close()
        raise


class Exchange(asyncio.Protocol):
    """One HTTP request and its answer; then the connection ends."""

    def __init__(self, text: Callable[[], str]) -> None:
        self.text = text
        self.heard = b""
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]
        self.timer = asyncio.get_event_loop().call_later(PATIENCE, transport.close)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        assert self.transport is not None
        if b"\r\n\r\n" in self.heard or b"\n\n" in self.heard:
            self.transport.write(self.answer())
            self.transport.close()
        elif len(self.heard) > MAX_REQUEST:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def answer(self) -> bytes:
        """# RFC 9112 3, 4"""
        words = self.heard.split(b"\n", 1)[0].split()
        if len(words) < 2 or words[0] not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", "only GET\n")
        if words[1].partition(b"?")[0] not in (b"/metrics", b"/"):
            return _response("404 Not Found", "see /metrics\n")
        return _response("200 OK", self.text(), head=words[0] == b"HEAD")


def _response(status: str, text: str, *, head: bool = False) -> bytes:
    body = text.encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode("ascii") + (b"" if head else body)


class Shown:
    """A worker's part: its own counts into its row, all rows to whoever asks."""

    def __init__(self, services: Services, counters: SharedCounters, slot: int) -> None:
        self.services = services
        self.counters = counters
        self.slot = slot

    async def serve(self, loop: asyncio.AbstractEventLoop, channel: socket.socket) -> asyncio.AbstractServer:
        """Answer on this socket, and keep the row new."""
        self._again(loop)
        if channel.family == socket.AF_UNIX:
            return await loop.create_unix_server(lambda: Exchange(self.text), sock=channel)
        return await loop.create_server(lambda: Exchange(self.text), sock=channel, backlog=BACKLOG)

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.publish()
        loop.call_later(PERIOD, self._again, loop)

    def publish(self) -> None:
        """Lay the counts into the row, when there are new ones."""
        metrics = self.services.metrics
        if metrics.changed:
            metrics.changed = False
            self.counters.board.write(self.slot, metrics.counts)

    def text(self) -> str:
        """All there is to say."""
        self.publish()
        counts = self.counters.board.total()
        size = self.services.hooks.queue_size
        counts.update(gauges(self.counters, (size() or 0) if size is not None else 0))
        return render(counts)
