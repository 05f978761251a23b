"""Waiting by suspending a greenlet: for the daemon, on asyncio's loop (uvloop).

A core runs in a greenlet (`Run`) whose parent is the greenlet of the loop. To wait, it leaves a note of who wakes it and
switches to the parent; the loop goes on; its callback switches back. A core that never waits never touches the loop.

Laws:
- `start` is called on the loop's own stack, or inside a core (then the new run begins at the next turn of the loop).
- A stream is used by one run at a time.
- Each wait has a serial number; a late wake-up with an old number is ignored.
- A suspended run is resumed by a callback of `call_soon` only, never inside an I/O or timer callback: libuv keeps pointers into
  its own stack frame while it polls and while it runs timers, and a greenlet that comes back may lie over that frame. What the
  run then asks of the loop (`add_reader`, closing a transport) would follow those pointers into foreign memory.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

from angaros.model.interfaces import CommandRun
from angaros.net.fast_open import begin_connect, used_by_client
from angaros.net.hands import Hands
from angaros.net.sockets import tcp_socket
from angaros.net.waiting import Cancelled

T = TypeVar("T")

THREADS = 8
"""For fsync and C libraries: more would only queue at the disk."""
COMMAND_THREADS = 32
"""Commands run (`${run`, transport filters) at once in one process; more wait their turn."""


class Run(greenlet):  # type: ignore[misc]
    """One core under way."""

    def __init__(self, waiter: LoopWaiter, call: Callable[[], Any], done: Callable[[Run], None] | None, parent: Any) -> None:
        super().__init__(self._main, parent)
        self.waiter = waiter
        self.call = call
        self.done = done
        self.serial = 0
        self.value: Any = None
        self.error: BaseException | None = None
        self._cancelled = False

    def _main(self) -> None:
        try:
            self.value = self.call()
        except BaseException as error:
            self.error = error
            if self.done is None and not isinstance(error, Cancelled):
                self.waiter.on_error(error)
        if self.done is not None:
            self.done(self)

    def result(self) -> Any:
        """What the core returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.value

    def wake(self, serial: int, value: Any = None) -> None:
        """Let the wait number `serial` return `value`, at the next turn of the loop."""
        if serial == self.serial and not self.dead:
            self.serial += 1
            self.waiter.loop.call_soon(self._go_on, self.serial, value)

    def _go_on(self, serial: int, value: Any) -> None:
        if serial == self.serial and not self.dead:
            self.switch(value)

    def fail(self, serial: int, error: BaseException) -> None:
        """Let the wait number `serial` raise, at the next turn of the loop."""
        if serial == self.serial and not self.dead:
            self.serial += 1
            self.waiter.loop.call_soon(self._go_wrong, self.serial, error)

    def _go_wrong(self, serial: int, error: BaseException) -> None:
        if serial == self.serial and not self.dead:
            self.throw(error)

    def time_out(self, serial: int) -> None:
        """Let the wait number `serial` raise TimeoutError."""
        if serial == self.serial:
            self.fail(serial, timeout_error())

    def cancel(self) -> None:
        """Throw `Cancelled` into the core at its wait, or at its next one."""
        if self.dead:
            return
        self._cancelled = True
        self.waiter.loop.call_soon(self._cancel_now)

    def _cancel_now(self) -> None:
        if self._cancelled and not self.dead:
            self._cancelled = False
            self.serial += 1
            self.throw(Cancelled())

    def park(self, timeout: float | None = None) -> Any:
        """Suspend, inside the core, until `wake` or `fail` with the serial number of now."""
        if self._cancelled:
            self._cancelled = False
            raise Cancelled
        if timeout is None:
            return self.parent.switch()
        timer = self.waiter.loop.call_later(timeout, self.time_out, self.serial)
        try:
            return self.parent.switch()
        finally:
            timer.cancel()


def timeout_error() -> TimeoutError:
    """As the system would raise it."""
    return TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def current_run() -> Run:
    """The run we are in."""
    run = getcurrent()
    if not isinstance(run, Run):
        raise RuntimeError("a wait outside a run started by LoopWaiter.start")
    return run


class LoopWaiter:
    """The `Waiter` of a process with an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int = THREADS) -> None:
        self.loop = loop
        self.on_error: Callable[[BaseException], None] = self._report
        """What gets the error of a run that nobody watches; the daemon writes it to the panic log."""
        self._threads = threads
        self._hands: Hands | None = None
        self._command_hands: Hands | None = None
        self._shared: dict[Hashable, list[tuple[Run, int]]] = {}
        self._datagrams: Any = None

    def _report(self, error: BaseException) -> None:
        self.loop.call_exception_handler({"message": "error in a run", "exception": error})

    # Running cores.

    def start(self, core: Callable[..., Any], *args: Any, done: Callable[[Run], None] | None = None) -> Run:
        """Run `core(*args)`; `done(run)` at its end, which may be before this returns."""
        here = getcurrent()
        call = (lambda: core(*args)) if args else core
        if isinstance(here, Run):
            run = Run(self, call, done, here.parent)
            self.loop.call_soon(run.switch)
        else:
            run = Run(self, call, done, here)
            run.switch()
        return run

    async def run(self, core: Callable[..., T], *args: Any) -> T:
        """Run a core from a coroutine; cancelling the coroutine cancels the core."""
        future: asyncio.Future[None] = self.loop.create_future()
        run = self.start(core, *args, done=lambda _: None if future.done() else future.set_result(None))
        try:
            await future
        except asyncio.CancelledError:
            run.cancel()
            raise
        return cast(T, run.result())

    def spawn(self, call: Callable[[], None]) -> None:
        """Start a run at the next turn of the loop, and forget it."""
        here = getcurrent()
        run = Run(self, call, None, here.parent if isinstance(here, Run) else here)
        self.loop.call_soon(run.switch)

    def wait(self, awaitable: Awaitable[T], timeout: float | None = None) -> T:
        """The result of an awaitable (for asyncio libraries: database drivers)."""
        run = current_run()
        serial = run.serial
        task = asyncio.ensure_future(awaitable, loop=self.loop)
        task.add_done_callback(lambda _: run.wake(serial))
        try:
            run.park(timeout)
        except BaseException:
            task.cancel()
            raise
        return task.result()

    def sleep(self, seconds: float) -> None:
        """Let others run for that time."""
        run = current_run()
        timer = self.loop.call_later(max(0.0, seconds), run.wake, run.serial)
        try:
            run.park()
        finally:
            timer.cancel()

    def gather(self, calls: Sequence[Callable[[], T]], limit: int = 0) -> list[T]:
        """All side by side, at most `limit` at a time; results in order. The first error is raised when all have ended."""
        if len(calls) <= 1 or limit == 1:
            return [call() for call in calls]
        run, left = current_run(), len(calls)
        serial = run.serial
        runs: list[Run] = []

        def ended(_: Run) -> None:
            nonlocal left
            left -= 1
            if not left:
                run.wake(serial)
            elif len(runs) < len(calls):
                launch()

        def launch() -> None:
            runs.append(Run(self, calls[len(runs)], ended, run.parent))
            self.loop.call_soon(runs[-1].switch)

        for _ in range(min(limit or left, left)):
            launch()
        try:
            run.park()
        except BaseException:
            for other in runs:
                other.cancel()
            raise
        return [cast(T, other.result()) for other in runs]

    def share(self, key: Hashable, call: Callable[[], T]) -> T:
        """`call()`; if another run is at the same `key` now, wait for it and take its result (or error)."""
        while key in self._shared:
            run = current_run()
            self._shared[key].append((run, run.serial))
            outcome = run.park()
            if outcome is not None:
                return cast(T, outcome.result())
        waiting = self._shared[key] = []
        outcome = Future[T]()
        try:
            outcome.set_result(call())
        except Exception as error:
            outcome.set_exception(error)
        except BaseException:  # cancelled: the others try themselves
            outcome = None
            raise
        finally:
            del self._shared[key]
            for run, serial in waiting:
                run.wake(serial, outcome)
        return outcome.result()

    # Threads and commands.

    def in_thread(self, call: Callable[[], T]) -> T:
        """A call that really blocks."""
        if self._hands is None:
            self._hands = Hands(self.loop, self._threads, "blocking")
        return self._by(self._hands, call)

    def _by(self, hands: Hands, call: Callable[[], T]) -> T:
        run = current_run()
        serial = run.serial

        def done(value: T, error: BaseException | None) -> None:
            if error is None:
                run.wake(serial, value)
            else:
                run.fail(serial, error)

        hands.do(call, done)
        return cast(T, run.park())

    def run_command(self, argv: Sequence[str], **settings: Any) -> CommandRun:
        """See `commands.run`; in a thread."""
        from angaros.net import commands

        if self._command_hands is None:
            self._command_hands = Hands(self.loop, COMMAND_THREADS, "command")
        return self._by(self._command_hands, lambda: commands.run(argv, **settings))

    def open_command(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None) -> Any:
        """Start a command and talk to it."""
        from angaros.net import commands
        from angaros.net.loop_streams import LoopCommand

        process = self.in_thread(lambda: commands.start(argv, env=env, cwd=cwd, stderr=None))
        stream = LoopCommand(self, process)
        stream.connect_pipes(process.stdout, process.stdin)
        return stream

    # Descriptors and sockets.

    def wait_readable(self, fd: int, timeout: float | None = None) -> bool:
        """Wait until `fd` can be read; False when the time is over."""
        run = current_run()
        self.loop.add_reader(fd, run.wake, run.serial)
        try:
            run.park(timeout)
            return True
        except TimeoutError:
            return False
        finally:
            self.loop.remove_reader(fd)

    def open_fds(self, in_fd: int, out_fd: int) -> Any:
        """A stream over descriptors that exist (duplicated: they stay open)."""
        from angaros.net.loop_streams import LoopPipes

        stream = LoopPipes(self)
        stream.connect_pipes(os.fdopen(os.dup(in_fd), "rb", 0), os.fdopen(os.dup(out_fd), "wb", 0))
        return stream

    def connect(
        self, address: str, port: int, *, timeout: float, source: tuple[str, int] | None = None, options: Mapping[str, Any] = {}
    ) -> Any:
        """TCP."""
        return self._connect(tcp_socket(address, source, options), (address, port), timeout, options)

    def connect_unix(self, path: str, *, timeout: float) -> Any:
        """A unix stream socket."""
        import socket

        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        return self._connect(sock, path.encode("latin-1"), timeout)

    def _connect(self, sock: Any, target: Any, timeout: float, options: Mapping[str, Any] = {}) -> Any:
        from angaros.net.loop_streams import LoopStream

        try:
            code, sent = begin_connect(sock, target, options)
            if code in (errno.EINPROGRESS, errno.EAGAIN):
                self.wait_writable(sock.fileno(), timeout)
                code = sock.getsockopt(1, 4)  # SOL_SOCKET, SO_ERROR
            if code:
                raise OSError(code, os.strerror(code))
            stream = LoopStream(self)
            if options.get("fastopen"):
                stream.fast_open = used_by_client(sock)
            self.wait(self.loop.create_connection(lambda: stream, sock=sock))
            if unsent := options.get("early_data", b"")[sent:]:
                stream.write(unsent, timeout)
            return stream
        except BaseException:
            sock.close()
            raise

    def wait_writable(self, fd: int, timeout: float | None = None) -> None:
        """Wait until `fd` takes data; TimeoutError when the time is over."""
        run = current_run()
        self.loop.add_writer(fd, run.wake, run.serial)
        try:
            run.park(timeout)
        finally:
            self.loop.remove_writer(fd)

    def exchange_udp(
        self, address: str, port: int, payload: bytes, *, timeout: float, accept: Callable[[bytes], bool] | None = None
    ) -> bytes:
        """Send one datagram, return the first answer that `accept` takes; sockets are shared when `accept` is given."""
        if self._datagrams is None:
            from angaros.net.loop_datagrams import Datagrams

            self._datagrams = Datagrams(self)
        return cast(bytes, self._datagrams.exchange(address, port, payload, timeout, accept))

    def serve(self, core: Callable[[Any], None]) -> Callable[[], Any]:
        """A protocol factory for `loop.create_server`: each connection runs `core(stream)`; the stream is closed at its end."""
        from angaros.net.loop_streams import LoopStream

        def conversation(stream: LoopStream) -> None:
            try:
                core(stream)
            finally:
                stream.close()

        return lambda: LoopStream(self, lambda stream: self.start(conversation, stream))

    def close(self) -> None:
        """End the threads and the shared sockets."""
        for hands in (self._hands, self._command_hands):
            if hands is not None:
                hands.close()
        if self._datagrams is not None:
            self._datagrams.close()


def readable_now(fd: int) -> bool:
    """Whether the kernel has something for `fd`."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(0))
