"""The door for local users: how `sendmail` works without a setuid binary.

An ordinary user's command passes its arguments and its three standard descriptors over a Unix socket that everybody may connect
to. The kernel tells who it is. The courier forks a process for it whose real ids are the caller's and whose effective ids are
the Exim user's (enough to write the spool, not root), and that process does what the command would have done: it reads the
configuration, accepts the message, exits with the command's status. The environment is ours, not the caller's.

Law: the caller's file descriptors are all that the new process has from the caller.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from angaros.daemon import ipc

DEFAULT_PATH = "/run/angaros/submission.sock"
PEER = struct.Struct("=iii")
REQUEST_SECONDS = 5.0
"""The request is one small message that is sent at once; who dawdles is not waited for."""
MAX_ARGUMENTS = 10_000
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

Command = Callable[[str, Sequence[str]], int]
"""Runs a command line in this process: program name, arguments; returns the exit status."""


def peer_of(channel: socket.socket) -> tuple[int, int, int]:
    """pid, uid, gid of the process at the other end, by the kernel's word."""
    pid, uid, gid = PEER.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    return pid, uid, gid


def open_door(path: str) -> socket.socket:
    """The listening socket, for everybody."""
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    channel.bind(path)
    os.chmod(path, 0o666)
    channel.listen(128)
    channel.setblocking(False)
    return channel


@dataclass(slots=True)
class SubmissionDoor:
    """What the courier needs to let callers in."""

    listener: socket.socket
    exim_uid: int
    exim_gid: int
    command: Command

    def let_in(self, selector: selectors.BaseSelector) -> int:
        """Accept one caller and fork for it; the child's pid, or 0."""
        try:
            channel, _ = self.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return 0
        pid = os.fork()
        if pid:
            channel.close()
            return pid
        status = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for key in list(selector.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()
            selector.close()
            status = self._serve(channel)
        except BaseException as error:  # the caller must hear something, whatever it was
            sys.stderr.write(f"exim: {error}\n")
        finally:
            try:
                ipc.send(channel, {"exit": status})
            except OSError:
                pass
            os._exit(0)

    def _serve(self, channel: socket.socket) -> int:
        """In the child."""
        channel.settimeout(REQUEST_SECONDS)
        _, uid, gid = peer_of(channel)
        request, fds = ipc.receive(channel)
        channel.settimeout(None)
        argv = request.get("argv")
        if len(fds) != 3 or not isinstance(argv, list) or not argv or len(argv) > MAX_ARGUMENTS:
            return 64
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        self._become(uid, gid)
        os.environ.clear()
        os.environ.update(ENVIRONMENT)
        os.umask(0o077)
        os.chdir("/")
        sys.stdin = open(0, encoding="latin-1", closefd=False)  # noqa: SIM115 - lives as long as the process
        sys.stdout = open(1, "w", encoding="latin-1", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="latin-1", closefd=False)  # noqa: SIM115
        status = self.command(str(argv[0]), [str(word) for word in argv[1:]])
        sys.stdout.flush()
        sys.stderr.flush()
        return status

    def _become(self, uid: int, gid: int) -> None:
        """Real ids: the caller's. Effective and saved: the Exim user's (root stays root)."""
        if uid == 0:
            return
        os.setgroups([self.exim_gid])
        os.setresgid(gid, self.exim_gid, self.exim_gid)
        os.setresuid(uid, self.exim_uid, self.exim_uid)


def knock(path: str, argv: list[str]) -> int | None:
    """The caller's side: hand over arguments and descriptors, wait for the exit status. None when nobody is there."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        channel.connect(path)
    except OSError:
        channel.close()
        return None
    with channel:
        ipc.send(channel, {"argv": argv}, [0, 1, 2])
        try:
            answer, _ = ipc.receive(channel)
        except ipc.Closed:
            return 75
    return int(answer.get("exit", 75))
