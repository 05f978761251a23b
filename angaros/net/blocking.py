"""Waiting by blocking: for one-shot commands. No asyncio here, and nothing of sockets is loaded before one is wanted."""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import socket

    from angaros.model.interfaces import CommandRun
    from angaros.net.blocking_streams import BlockingCommand, BlockingStream

T = TypeVar("T")

DATAGRAM_SIZE = 65535


class BlockingWaiter:
    """The `Waiter` of a process that does one thing."""

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, seconds))

    def connect(
        self, address: str, port: int, *, timeout: float, source: tuple[str, int] | None = None, options: Mapping[str, Any] = {}
    ) -> BlockingStream:
        """TCP."""
        from angaros.net.sockets import tcp_socket

        sock = tcp_socket(address, source, options)
        return self._connect(sock, (address, port), timeout, options)

    def connect_unix(self, path: str, *, timeout: float) -> BlockingStream:
        """A unix stream socket."""
        import socket

        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        return self._connect(sock, path.encode("latin-1"), timeout)

    def _connect(self, sock: socket.socket, target: Any, timeout: float, options: Mapping[str, Any] = {}) -> BlockingStream:
        import socket

        from angaros.net.blocking_streams import BlockingStream, poll_fd
        from angaros.net.fast_open import begin_connect, used_by_client

        try:
            sock.setblocking(False)
            code, sent = begin_connect(sock, target, options)
            if code in (errno.EINPROGRESS, errno.EAGAIN):
                if not poll_fd(sock.fileno(), select.POLLOUT, timeout):
                    code = errno.ETIMEDOUT
                else:
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            stream = BlockingStream.of_socket(sock)
            if options.get("fastopen"):
                stream.fast_open = used_by_client(sock)
            if unsent := options.get("early_data", b"")[sent:]:
                stream.write(unsent, timeout)
            return stream
        except BaseException:
            sock.close()
            raise

    def open_fds(self, in_fd: int, out_fd: int) -> BlockingStream:
        """A stream over descriptors that exist. They stay open."""
        import socket

        from angaros.net.blocking_streams import BlockingStream
        from angaros.net.sockets import plain_address

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
        from angaros.net.blocking_streams import BlockingCommand

        return BlockingCommand(commands.start(argv, env=env, cwd=cwd, stderr=None))

    def wait_readable(self, fd: int, timeout: float | None = None) -> bool:
        """Wait until `fd` can be read."""
        from angaros.net.blocking_streams import poll_fd

        return poll_fd(fd, select.POLLIN, timeout)

    def exchange_udp(
        self, address: str, port: int, payload: bytes, *, timeout: float, accept: Callable[[bytes], bool] | None = None
    ) -> bytes:
        """Send one datagram, return the first answer that `accept` takes. A new socket, so a new random port, each time."""
        import socket

        from angaros.net.blocking_streams import poll_fd
        from angaros.net.sockets import family_of

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
