"""Datagrams on the loop: a few connected sockets for each server, shared by the queries of the moment.

Law: an answer counts when its first two octets (the DNS id) are those of a waiting query and that query's `accept` takes it.
Sockets are replaced after some use, so that ports stay hard to guess (RFC 5452 9.2).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from angaros.net.loop import LoopWaiter, current_run
from angaros.net.sockets import family_of

if TYPE_CHECKING:
    from angaros.net.loop import Run

SOCKET_USES = 64
"""Queries sent from one port before a new one is taken."""
DATAGRAM_SIZE = 65535
DATAGRAMS_A_TURN = 64
"""Answers read before others get their turn."""

Accept = Callable[[bytes], bool]


class Channel:
    """One socket connected to one server."""

    def __init__(self, waiter: LoopWaiter, address: str, port: int, *, keyed: bool = True) -> None:
        self._waiter = waiter
        self._keyed = keyed
        """Whether answers begin with the same two octets as questions."""
        self._sock = socket.socket(family_of(address), socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._sock.connect((address, port))
        except BaseException:
            self._sock.close()
            raise
        self.waiting: dict[bytes, tuple[Run, int, Accept | None]] = {}
        self.uses = 0
        self.retired = False
        waiter.loop.add_reader(self._sock.fileno(), self._readable)

    def exchange(self, payload: bytes, timeout: float, accept: Accept | None) -> bytes:
        """Send, and wait for the answer."""
        run = current_run()
        key = payload[:2] if self._keyed else b""
        self.uses += 1
        self.waiting[key] = (run, run.serial, accept)
        try:
            self._sock.send(payload)
            return bytes(run.park(timeout))
        finally:
            del self.waiting[key]
            if self.retired and not self.waiting:
                self.close()

    def _readable(self) -> None:
        for _ in range(DATAGRAMS_A_TURN):
            try:
                data = self._sock.recv(DATAGRAM_SIZE)
            except BlockingIOError:
                return
            except OSError as error:  # port unreachable: all who wait here hear of it
                self._fail(error)
                return
            entry = self.waiting.get(data[:2] if self._keyed else b"")
            if entry is not None and (entry[2] is None or entry[2](data)):
                entry[0].wake(entry[1], data)
            if self._sock.fileno() < 0:
                return

    def _fail(self, error: OSError) -> None:
        for run, serial, _ in list(self.waiting.values()):
            run.fail(serial, OSError(error.errno, os.strerror(error.errno or 0)))

    def close(self) -> None:
        """Give the port back."""
        if self._sock.fileno() >= 0:
            self._waiter.loop.remove_reader(self._sock.fileno())
            self._sock.close()


class Datagrams:
    """The channels of a process."""

    def __init__(self, waiter: LoopWaiter) -> None:
        self._waiter = waiter
        self._channels: dict[tuple[str, int], Channel] = {}

    def exchange(self, address: str, port: int, payload: bytes, timeout: float, accept: Accept | None) -> bytes:
        """Send one datagram, return the first answer that `accept` takes."""
        if accept is None:
            channel = Channel(self._waiter, address, port, keyed=False)
            channel.retired = True
            return channel.exchange(payload, timeout, None)
        where = (address, port)
        current = self._channels.get(where)
        if current is None or current.uses >= SOCKET_USES or payload[:2] in current.waiting:
            if current is not None:
                current.retired = True
                if not current.waiting:
                    current.close()
            current = self._channels[where] = Channel(self._waiter, address, port)
        return current.exchange(payload, timeout, accept)

    def close(self) -> None:
        """Give all ports back."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
