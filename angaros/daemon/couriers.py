"""The two ways to act as another user: `RemoteCourier` asks the courier process (daemon), `ForkCourier` forks (command line).

Both implement `model.interfaces.Courier` and give the same answers, since both run `errands.run`.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from angaros.daemon import errands, ipc
from angaros.daemon.privilege import become
from angaros.model.delivery import DeliveryResult, Owner
from angaros.model.interfaces import CommandRun
from angaros.net.turns import Turns
from angaros.transports.plan import MaildirPlan, MailstorePlan, NewFilePlan

CourierError = OSError


def _result(answer: dict[str, Any]) -> Any:
    if "ok" in answer:
        return answer["ok"]
    raise OSError(answer.get("errno") or errno.EIO, answer.get("error", "no answer"))


class _Requests:
    """The typed requests, whoever carries them."""

    def ask(self, request: dict[str, Any], owner: Owner, fds: list[int]) -> Any:
        raise NotImplementedError  # by both subclasses

    def deliver_local(self, plan: Any, owner: Owner) -> list[DeliveryResult]:
        """Perform a plan as `owner`. OSError when it could not be asked for: the outcome is then unknown, so defer."""
        found = self.ask({"do": "deliver", "plan": plan.to_json()}, owner, list(plan.fds))
        return [errands.result_from_json(values) for values in found]

    def read_file(self, path: str, owner: Owner, *, limit: int) -> tuple[bytes, os.stat_result]:
        """Contents (at most `limit` + 1 octets, so that the caller sees what is too long) and facts."""
        found = self.ask({"do": "read_file", "path": path, "limit": limit}, owner, [])
        return found["content"].encode("latin-1"), os.stat_result(found["stat"])

    def check_paths(self, checks: Sequence[str], owner: Owner) -> list[int]:
        """errno of each path, 0 when it is there."""
        found: list[int] = self.ask({"do": "check_paths", "paths": list(checks)}, owner, [])
        return found

    def append_file(self, path: str, data: bytes, mode: int, owner: Owner) -> None:
        """Append, creating the file with `mode`."""
        self.ask({"do": "append_file", "path": path, "data": data.decode("latin-1"), "mode": mode}, owner, [])

    def run_command(
        self, argv: Sequence[str], owner: Owner, *, cwd: str = "/", timeout: float | None = None, max_output: int = 4096
    ) -> CommandRun:
        """Run a command without a shell, an empty environment and no input."""
        request = {"do": "run_command", "argv": list(argv), "cwd": cwd, "timeout": timeout, "max_output": max_output}
        found = self.ask(request, owner, [])
        return CommandRun(found["status"], found["output"].encode("latin-1"), found["timed_out"])


class ForkCourier(_Requests):
    """For the command line: as root a fork per errand; otherwise only as ourselves."""

    def ask(self, request: dict[str, Any], owner: Owner, fds: list[int]) -> Any:
        """Fork, become `owner`, do it, send the answer back."""
        if os.geteuid() != 0 and owner.uid != os.geteuid():
            raise PermissionError(errno.EPERM, f"unable to set uid={owner.uid}: not running as root")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                ours.close()
                if os.geteuid() == 0:
                    become(owner.uid, owner.gid, list(owner.groups) or [owner.gid])
                ipc.send(theirs, errands.run(request, [os.dup(fd) for fd in fds]))
                status = 0
            except BaseException as error:
                try:
                    ipc.send(theirs, {"error": str(error), "errno": getattr(error, "errno", None) or 0})
                except OSError:
                    pass
            finally:
                os._exit(status)
        theirs.close()
        try:
            answer, _ = ipc.receive(ours)
        except ipc.Closed:
            answer = {"error": "errand process died", "errno": errno.EIO}
        finally:
            ours.close()
            os.waitpid(pid, 0)
        return _result(answer)


Key = tuple[int, int, tuple[int, ...]]


class Errand:
    """A channel to an errand process."""

    __slots__ = ("channel", "frames", "uses")

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.frames = ipc.Frames()
        self.uses = 0


RETRY_PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds between requests for a process while the courier is away; the master starts another within one."""
MAX_IDLE = 32
"""Errand processes kept idle by one worker; the one unused longest is let go."""
MAX_IDLE_PER_USER = 8
MAX_WRITERS_PER_USER = 8
"""Deliveries into directories at once for one user, in one worker: more processes would only queue at the disk, in memory. Pipes,
LMTP and mailboxes with locks wait for something else, and are not counted."""


class RemoteCourier(_Requests):
    """For a worker: keeps channels to errand processes and waits through the waiter."""

    def __init__(self, path: str, waiter: Any) -> None:
        self._path = path
        self._waiter = waiter
        self._idle: dict[Key, list[Errand]] = {}
        self._writers = Turns(MAX_WRITERS_PER_USER)

    def deliver_local(self, plan: Any, owner: Owner) -> list[DeliveryResult]:
        """As above; deliveries that only write take turns."""
        if not isinstance(plan, (MaildirPlan, MailstorePlan, NewFilePlan)):
            return super().deliver_local(plan, owner)
        with self._writers.place((owner.uid, owner.gid)):
            return super().deliver_local(plan, owner)

    def ask(self, request: dict[str, Any], owner: Owner, fds: list[int]) -> Any:
        """One errand; a second try with a fresh process when an idle one turned out to be dead before it got the request."""
        key: Key = (owner.uid, owner.gid, owner.groups or (owner.gid,))
        while True:
            errand, fresh = self._take(key)
            try:
                self._send(errand.channel, request, fds)
            except OSError:
                errand.channel.close()
                if fresh:
                    raise
                continue
            try:
                answer = self._receive(errand)
            except OSError:
                errand.channel.close()
                raise
            self._give_back(key, errand)
            return _result(answer)

    def _take(self, key: Key) -> tuple[Errand, bool]:
        idle = self._idle.get(key)
        if idle:
            return idle.pop(), False
        return Errand(self._waiter.in_thread(lambda: self._process_of(key))), True

    def _process_of(self, key: Key) -> socket.socket:
        """A courier that dies or is replaced just now has done nothing yet: ask the next one."""
        for pause in RETRY_PAUSES:
            try:
                return self._request_process(key)
            except ConnectionError:
                time.sleep(pause)
        return self._request_process(key)

    def _request_process(self, key: Key) -> socket.socket:
        """Ask the courier; in a thread, since it is rare and forks."""
        uid, gid, groups = key
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as courier:
            courier.settimeout(20)
            courier.connect(self._path)
            ipc.send(courier, {"uid": uid, "gid": gid, "groups": list(groups)})
            answer, fds = ipc.receive(courier)
        _result(answer)
        channel = socket.socket(fileno=fds[0])
        channel.setblocking(False)
        return channel

    def _give_back(self, key: Key, errand: Errand) -> None:
        idle = self._idle.pop(key, [])
        self._idle[key] = idle  # the most recently used key is last
        if len(idle) >= MAX_IDLE_PER_USER:
            errand.channel.close()
            return
        idle.append(errand)
        if sum(map(len, self._idle.values())) > MAX_IDLE:
            oldest = next(iter(self._idle))
            self._idle[oldest].pop(0).channel.close()
            if not self._idle[oldest]:
                del self._idle[oldest]

    def _send(self, channel: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
        import array

        data = memoryview(ipc.pack(request))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while data:
            try:
                sent = channel.sendmsg([data], rights)
            except BlockingIOError:
                self._waiter.wait_writable(channel.fileno())
                continue
            rights = []
            data = data[sent:]

    def _receive(self, errand: Errand) -> dict[str, Any]:
        while True:
            self._waiter.wait_readable(errand.channel.fileno())
            try:
                data = errand.channel.recv(1 << 16)
            except BlockingIOError:
                continue
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "errand process died")
            messages = errand.frames.feed(data)
            if messages:
                return messages[0]

    def close(self) -> None:
        """Let all errand processes go."""
        for errands_of_user in self._idle.values():
            for errand in errands_of_user:
                errand.channel.close()
        self._idle.clear()
