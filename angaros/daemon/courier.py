"""The courier: root, tiny, faces no network. It makes errand processes that act as one given user, and nothing else.

A worker asks over a Unix socket for a process of user (uid, gid, groups); the courier forks one, which gives up every other
power for good, and passes the worker one end of a socket to it. From then on worker and errand process talk directly, so a
delivery costs no fork and no detour. Laws:
- Only root and the Exim user may ask (SO_PEERCRED).
- Never uid 0, never a user on `never_users`. Without root, only ourselves.
- An errand process ends when the worker closes its end.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from typing import Any

from angaros.daemon import errands, ipc
from angaros.daemon.door import SubmissionDoor, peer_of
from angaros.daemon.privilege import become

FINISH_SECONDS = 2.0
"""A request is one small message that follows its connection at once."""
MAX_PROCESSES = 256
"""Errand processes at once; more would mean that workers do not give theirs back."""


def open_socket(path: str, uid: int, gid: int) -> socket.socket:
    """The courier's listening socket, made by the master before it forks; only the Exim user may connect."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    old = os.umask(0o177)
    try:
        channel.bind(path)
    finally:
        os.umask(old)
    if os.geteuid() == 0:
        os.chown(path, uid, gid)
    channel.listen(64)
    return channel


class Courier:
    """State of the courier process."""

    def __init__(self, listener: socket.socket, exim_uid: int, never: frozenset[int], door: SubmissionDoor | None = None) -> None:
        self.listener = listener
        self.door = door
        self.allowed = {0, exim_uid, os.geteuid()}
        self.never = never | {0}
        self.processes: set[int] = set()
        self.selector = selectors.DefaultSelector()
        self.stopping = False

    def serve(self) -> None:
        """Until told to stop."""
        signal.signal(signal.SIGTERM, self._stop)
        _preload()
        self.listener.setblocking(False)  # during a reload two couriers share it: the other one may be faster
        self.selector.register(self.listener, selectors.EVENT_READ)
        if self.door is not None:
            self.selector.register(self.door.listener, selectors.EVENT_READ)
        while not self.stopping:
            for key, _ in self.selector.select(1.0):
                if key.fileobj is self.listener:
                    self._accept()
                elif self.door is not None and key.fileobj is self.door.listener:
                    if (pid := self.door.let_in(self.selector)) > 0:
                        self.processes.add(pid)
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._answer(key.fileobj)
            self._reap()
        self._finish()

    def _finish(self) -> None:
        """Accept nothing more, but answer who was let in."""
        self.selector.unregister(self.listener)
        end = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < end:
            waiting = [key.fileobj for key, _ in self.selector.select(0.05)]
            answered = [channel for channel in waiting if self.door is None or channel is not self.door.listener]
            if not answered:
                return
            for channel in answered:
                assert isinstance(channel, socket.socket)
                self._answer(channel)

    def _stop(self, number: int, frame: object) -> None:
        self.stopping = True

    def _accept(self) -> None:
        try:
            channel, _ = self.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if peer_of(channel)[1] not in self.allowed:
            channel.close()
            return
        channel.settimeout(5)
        self.selector.register(channel, selectors.EVENT_READ)

    def _reap(self) -> None:
        while self.processes:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self.processes.discard(pid)

    def _answer(self, channel: socket.socket) -> None:
        try:
            request, fds = ipc.receive(channel)
        except (OSError, ValueError):
            self.selector.unregister(channel)
            channel.close()
            return
        for fd in fds:
            os.close(fd)
        try:
            refusal = self._refusal(request)
            if refusal:
                ipc.send(channel, {"error": refusal, "errno": 1})
                return
            theirs = self._fork(request)
            try:
                ipc.send(channel, {"ok": True}, [theirs.fileno()])
            finally:
                theirs.close()
        except OSError:
            self.selector.unregister(channel)
            channel.close()

    def _refusal(self, request: dict[str, Any]) -> str:
        uid, gid, groups = request.get("uid"), request.get("gid"), request.get("groups")
        if not isinstance(uid, int) or not isinstance(gid, int) or not isinstance(groups, list):
            return "malformed request"
        if os.geteuid() != 0:
            return "" if uid == os.geteuid() else f"unable to set uid={uid}: not running as root"
        if uid in self.never or uid < 0:
            return f"user {uid} is on the never_users list"
        if len(self.processes) >= MAX_PROCESSES:
            return "too many errand processes"
        return ""

    def _fork(self, request: dict[str, Any]) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                theirs.close()
                self._become_errand(request)
                serve_errands(ours)
                status = 0
            except BaseException:  # whatever it is: the worker sees the end of file
                pass
            finally:
                os._exit(status)
        ours.close()
        self.processes.add(pid)
        return theirs

    def _become_errand(self, request: dict[str, Any]) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for key in list(self.selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self.selector.close()
        become(request["uid"], request["gid"], request["groups"])
        os.umask(0o077)


def _preload() -> None:
    """What most errands need: imported once, shared by all errand processes."""
    import gc

    import angaros.transports.performing.files
    import angaros.transports.performing.maildir  # noqa: F401

    gc.collect()
    gc.freeze()


def serve_errands(channel: socket.socket) -> None:
    """In the errand process: one request after the other until the worker closes."""
    while True:
        try:
            request, fds = ipc.receive(channel)
        except ipc.Closed:
            return
        ipc.send(channel, errands.run(request, fds))
