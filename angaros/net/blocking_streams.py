"""Streams of `net.blocking`: a socket, descriptors, a running command."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess

from angaros.net.sockets import peer_uid, plain_address
from angaros.net.streams import BaseStream

RECEIVE_SIZE = 65536


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
