"""Streams on the loop: an asyncio Protocol on one side, the synchronous `Stream` on the other."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from angaros.net.loop import LoopWaiter, current_run, readable_now, timeout_error
from angaros.net.sockets import peer_uid, plain_address
from angaros.net.streams import BaseStream
from angaros.net.waiting import StreamClosed

if TYPE_CHECKING:
    from angaros.net.loop import Run

READ_AHEAD = 262144
"""Received octets that nobody has read yet: beyond, the peer is slowed down by TCP."""
LINGER = 60.0
"""Seconds that a closed connection may take to get its last octets to the peer."""
TURN = 0.02
"""Seconds within which the loop surely hands over what the kernel has already."""


class LoopStream(BaseStream, asyncio.Protocol):
    """A TCP or unix connection."""

    def __init__(self, waiter: LoopWaiter, on_connect: Callable[[LoopStream], object] | None = None) -> None:
        super().__init__()
        self._waiter = waiter
        self._on_connect = on_connect
        self._transport: Any = None
        self._raw = b""
        self._eof = False
        self._error: Exception | None = None
        self._reading_paused = False
        self._writing_paused = False
        self._parked: Run | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0

    # The loop's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = transport
        self.local_address, self.local_port = plain_address(transport.get_extra_info("sockname"))
        self.peer_address, self.peer_port = plain_address(transport.get_extra_info("peername"))
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family == socket.AF_UNIX:
            with socket.socket(fileno=os.dup(sock.fileno())) as real:
                self.peer_uid = peer_uid(real)
        if self._on_connect is not None:
            self._on_connect(self)

    def data_received(self, data: bytes) -> None:
        """Octets came."""
        self._raw = self._raw + data if self._raw else data
        if self._parked is not None:
            self._wake()
        elif len(self._raw) > READ_AHEAD and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The peer has half-closed; we may still write."""
        self._eof = True
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """No more octets in either direction."""
        self._eof = True
        self._error = exc
        self.closed = True
        self._stop_timer()
        self._wake()

    def pause_writing(self) -> None:
        """The peer is slow."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._writing_paused = False
        self._wake()

    def _wake(self) -> None:
        run = self._parked
        if run is not None:
            self._parked = None
            run.wake(run.serial)

    # The core's side.

    def _receive(self, timeout: float | None) -> bytes:
        if timeout is not None and timeout <= TURN and not self._raw and not self._eof and self._pending():
            timeout = TURN
        while not self._raw:
            if self._eof:
                if self._error is not None:
                    raise self._error
                return b""
            self._park(timeout)
        data = self._raw
        self._raw = b""
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    def _send(self, data: bytes, timeout: float | None) -> None:
        self._check_writable()
        self._transport.write(data)
        while self._writing_paused:
            self._park(timeout)
            self._check_writable()

    def _check_writable(self) -> None:
        if self.closed:
            if self._error is not None:
                raise self._error
            raise StreamClosed(32, os.strerror(32))

    def _pending(self) -> bool:
        if self._raw or self._eof:
            return True
        sock = self._transport.get_extra_info("socket")
        return sock is not None and not self.closed and readable_now(sock.fileno())

    def _park(self, timeout: float | None) -> None:
        """Wait until something happens on this stream. The timer stays set between waits: nearly all end long before it."""
        run = current_run()
        self._parked = run
        loop = self._waiter.loop
        if timeout is not None:
            self._deadline = loop.time() + timeout
            timer = self._timer
            if timer is None:
                self._timer = loop.call_at(self._deadline, self._on_timer)
            elif timer.when() > self._deadline + 0.001:
                timer.cancel()
                self._timer = loop.call_at(self._deadline, self._on_timer)
        else:
            self._deadline = 0.0
        try:
            run.park()
        finally:
            self._parked = None

    def _on_timer(self) -> None:
        self._timer = None
        run = self._parked
        if run is None or not self._deadline:
            return
        if self._deadline - self._waiter.loop.time() > 0.001:
            self._timer = self._waiter.loop.call_at(self._deadline, self._on_timer)
        else:
            self._parked = None
            run.fail(run.serial, timeout_error())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def fileno(self) -> int:
        """The descriptor."""
        return cast(int, self._transport.get_extra_info("socket").fileno())

    def shutdown_write(self) -> None:
        """Half-close."""
        if not self.closed and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close; what was written still goes out."""
        self._stop_timer()
        if self.closed:
            return
        self.stop_tls()
        self.closed = True
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._waiter.loop.call_later(LINGER, self._transport.abort)


class _WriteSide(asyncio.Protocol):
    """The write end of a pair of pipes; asyncio wants a protocol for each."""

    def __init__(self, stream: LoopPipes) -> None:
        self._stream = stream

    def pause_writing(self) -> None:
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        self._stream.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream.write_side_lost(exc)


class LoopPipes(LoopStream):
    """A pair of pipes, or other descriptors that the loop can watch."""

    _out: Any = None
    _out_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The read end stands."""
        self._transport = transport

    def connect_pipes(self, read_end: Any, write_end: Any) -> None:
        """Give both ends to the loop."""
        loop, waiter = self._waiter.loop, self._waiter
        waiter.wait(loop.connect_read_pipe(lambda: self, read_end))
        self._out, _ = waiter.wait(loop.connect_write_pipe(lambda: _WriteSide(self), write_end))

    def write_side_lost(self, exc: Exception | None) -> None:
        """The reader is gone; what it wrote before can still be read."""
        self._out_lost = True
        self.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The read end: end of input, no more."""
        self._eof = True
        self._error = exc
        self._wake()

    def _send(self, data: bytes, timeout: float | None) -> None:
        self._check_writable()
        self._out.write(data)
        while self._writing_paused:
            self._park(timeout)
            self._check_writable()

    def _check_writable(self) -> None:
        if self._out_lost or self.closed:
            raise StreamClosed(32, os.strerror(32))

    def _pending(self) -> bool:
        return bool(self._raw) or self._eof

    def shutdown_write(self) -> None:
        """Close the write end when all is written."""
        self._out.close()

    def close(self) -> None:
        """Close both ends."""
        self._stop_timer()
        if not self.closed:
            self.closed = True
            self._out.close()
            self._transport.close()


class LoopCommand(LoopPipes):
    """A running command."""

    def __init__(self, waiter: LoopWaiter, process: subprocess.Popen[bytes]) -> None:
        super().__init__(waiter)
        self._process = process

    def finish(self, timeout: float | None = None) -> int:
        """Close its input and wait for its end."""
        self.shutdown_write()
        if self._process.poll() is None:
            pidfd = os.pidfd_open(self._process.pid)
            try:
                if not self._waiter.wait_readable(pidfd, timeout):
                    raise timeout_error()
            finally:
                os.close(pidfd)
        return self._process.wait()

    def kill(self) -> None:
        """End it and its process group."""
        from angaros.net.commands import kill

        kill(self._process)

    def close(self) -> None:
        """Close both pipes; the command, if it still runs, is killed."""
        super().close()
        if self._process.poll() is None:
            self.kill()
            self._process.wait()
