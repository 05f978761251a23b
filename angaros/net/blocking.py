"""Waiting by blocking: for one-shot commands. No asyncio here."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from angaros.model.interfaces import CommandRun
from angaros.net.sockets import family_of, peer_uid, plain_address, tcp_socket
from angaros.net.streams import BaseStream

T = TypeVar("T")

RECEIVE_SIZE = 65536
DATAGRAM_SIZE = 65535


def poll_fd(fd: int, event: int, timeout: float | None) -> bool:
    """Wait for one event; False when the time is over."""
    poller = select.poll()
    poller.register(fd, event)
    return bool(poller.poll(None if timeout is None else max(0, timeout) * 1000))


class BlockingStream(BaseStream):
    """Over one or two descriptors: a socket, a pair of pipes, a file."""

    def __init__(self, in_fd: int, out_fd: int, sock: socket.socket | None = None) -> None:
        super().__init__()
        self._in = in_fd
        self._out = out_fd
        self._sock = sock
        self._eof = False

    @classmethod
    def of_socket(cls, sock: socket.socket) -> BlockingStream:
        """A stream that owns `sock`."""
        sock.setblocking(False)
        fd = sock.fileno()
        stream = cls(fd, fd, sock)
        stream.local_address, stream.local_port = plain_address(sock.getsockname())
        stream.peer_address, stream.peer_port = plain_address(sock.getpeername())
        stream.peer_uid = peer_uid(sock)
        return stream

    def fileno(self) -> int:
        """The descriptor that is read."""
        return self._in

    def _receive(self, timeout: float | None) -> bytes:
        if self._eof:
            return b""
        try:
            if self._sock is None and (timeout is not None or not os.get_blocking(self._in)):
                self._wait(self._in, select.POLLIN, timeout)
            data = os.read(self._in, RECEIVE_SIZE)
        except BlockingIOError:
            self._wait(self._in, select.POLLIN, timeout)
            data = os.read(self._in, RECEIVE_SIZE)
        self._eof = not data
        return data

    def _send(self, data: bytes, timeout: float | None) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._send_some(view) :]
            except BlockingIOError:
                self._wait(self._out, select.POLLOUT, timeout)

    def _send_some(self, view: memoryview) -> int:
        if self._sock is not None:
            return self._sock.send(view, socket.MSG_NOSIGNAL)
        return os.write(self._out, view)

    def _wait(self, fd: int, event: int, timeout: float | None) -> None:
        if not poll_fd(fd, event, timeout):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    def _pending(self) -> bool:
        return self._eof or poll_fd(self._in, select.POLLIN, 0)

    def shutdown_write(self) -> None:
        """Half-close."""
        if self._sock is not None:
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close what the stream owns."""
        if self.closed:
            return
        self.closed = True
        self.stop_tls()
        if self._sock is not None:
            self._sock.close()


class BlockingCommand(BlockingStream):
    """A running command."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        super().__init__(process.stdout.fileno(), process.stdin.fileno())
        os.set_blocking(self._out, False)
        self._process = process

    def shutdown_write(self) -> None:
        """Close its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def finish(self, timeout: float | None = None) -> int:
        """Close its input and wait for its end."""
        self.shutdown_write()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None

    def kill(self) -> None:
        """End it and its process group."""
        from angaros.net.commands import kill

        kill(self._process)

    def close(self) -> None:
        """Close both pipes; the command, if it still runs, is killed."""
        if self.closed:
            return
        self.closed = True
        process = self._process
        if process.poll() is None:
            self.kill()
        with process:
            pass


class BlockingWaiter:
    """The `Waiter` of a process that does one thing."""

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, seconds))

    def connect(
        self, address: str, port: int, *, timeout: float, source: tuple[str, int] | None = None, options: Mapping[str, Any] = {}
    ) -> BlockingStream:
        """TCP."""
        sock = tcp_socket(address, source, options)
        return self._connect(sock, (address, port), timeout)

    def connect_unix(self, path: str, *, timeout: float) -> BlockingStream:
        """A unix stream socket."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        return self._connect(sock, path.encode("latin-1"), timeout)

    def _connect(self, sock: socket.socket, target: Any, timeout: float) -> BlockingStream:
        try:
            sock.setblocking(False)
            code = sock.connect_ex(target)
            if code in (errno.EINPROGRESS, errno.EAGAIN):
                if not poll_fd(sock.fileno(), select.POLLOUT, timeout):
                    code = errno.ETIMEDOUT
                else:
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            return BlockingStream.of_socket(sock)
        except BaseException:
            sock.close()
            raise

    def open_fds(self, in_fd: int, out_fd: int) -> BlockingStream:
        """A stream over descriptors that exist. They stay open."""
        stream = BlockingStream(in_fd, out_fd)
        try:
            sock = socket.socket(fileno=os.dup(in_fd))
        except OSError:
            return stream
        with sock:
            try:
                stream.local_address, stream.local_port = plain_address(sock.getsockname())
                stream.peer_address, stream.peer_port = plain_address(sock.getpeername())
            except OSError:
                pass
        return stream

    def open_command(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> BlockingCommand:
        """Start a command and talk to it."""
        from angaros.net import commands

        return BlockingCommand(commands.start(argv, env=env, cwd=cwd, stderr=None))

    def wait_readable(self, fd: int, timeout: float | None = None) -> bool:
        """Wait until `fd` can be read."""
        return poll_fd(fd, select.POLLIN, timeout)

    def exchange_udp(
        self, address: str, port: int, payload: bytes, *, timeout: float, accept: Callable[[bytes], bool] | None = None
    ) -> bytes:
        """Send one datagram, return the first answer that `accept` takes. A new socket, so a new random port, each time."""
        deadline = time.monotonic() + timeout
        with socket.socket(family_of(address), socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect((address, port))
            sock.send(payload)
            while True:
                if not poll_fd(sock.fileno(), select.POLLIN, deadline - time.monotonic()):
                    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
                data = sock.recv(DATAGRAM_SIZE)
                if accept is None or accept(data):
                    return data

    def in_thread(self, call: Callable[[], T]) -> T:
        """Here, blocking: nobody else waits."""
        return call()

    def run_command(self, argv: Sequence[str], **settings: Any) -> CommandRun:
        """See `commands.run`."""
        from angaros.net import commands

        return commands.run(argv, **settings)

    def gather(self, calls: Sequence[Callable[[], T]], limit: int = 0) -> list[T]:
        """One after the other."""
        return [call() for call in calls]

    def share(self, key: Hashable, call: Callable[[], T]) -> T:
        """Nobody else can be at it."""
        return call()

    def spawn(self, call: Callable[[], None]) -> None:
        """At once, in a child process that ends with it; nobody waits for the child (it is reparented at our end)."""
        child = os.fork()
        if child:
            return
        status = 1
        try:
            call()
            status = 0
        finally:
            os._exit(status)
