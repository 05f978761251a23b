"""Running a command with the message on its standard input (Exim spec 29)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

from angaros.model.delivery import DeliveryResult
from angaros.transports.performing.copying import EXEC_FAILED, all_pieces
from angaros.transports.plan import PipePlan

GRACE = 2.0
"""Seconds that output is still waited for when the command itself has ended (something it started may hold the pipe)."""
TOO_MUCH = b"\n\n*** Too much output - remainder discarded ***\n"


def perform_pipe(plan: PipePlan, fds: list[int]) -> DeliveryResult:
    """Run it. What happened is in `detail`: `status`, `signal`, `timed_out`, `exec_failed`, `output`, `output_seen`; judging it
    is the driver's affair."""
    result = DeliveryResult("ok")
    try:
        process = subprocess.Popen(
            plan.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=plan.environment,
            umask=plan.umask,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        result.detail.update(status=EXEC_FAILED, exec_failed=True, exec_errno=getattr(error, "errno", 0) or 0)
        return result
    run = _Run(process, plan)
    try:
        run.exchange(all_pieces(plan.copy, fds[0], " while writing to pipe"))
    finally:
        run.end()
    result.size = run.written
    result.detail.update(run.facts())
    return result


class _Run:
    """One running command: writes and reads at the same time, within the time limit."""

    def __init__(self, process: subprocess.Popen[bytes], plan: PipePlan) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        self._limit = plan.max_output
        self._capture = plan.capture
        self._deadline = time.monotonic() + plan.timeout if plan.timeout > 0 else float("inf")
        self._output: list[bytes] = []
        self._seen = 0
        self.written = 0
        self.timed_out = False
        self.write_errno = 0
        self._closed = False

    def exchange(self, pieces: Iterator[bytes]) -> None:
        """Until both pipes are closed, the time is over, or the command has ended."""
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN | select.POLLHUP)
        poll.register(self._stdin, select.POLLOUT | select.POLLERR)
        waiting = next(pieces, b"")
        writing = reading = True
        while writing or reading:
            ready = dict(poll.poll(self._wait_time()))
            if not ready and time.monotonic() >= self._deadline:
                self.timed_out = True
                return
            if writing and self._stdin.fileno() in ready:
                waiting = self._write(waiting) or (b"" if self._closed else next(pieces, b""))
                if not waiting:
                    poll.unregister(self._stdin)
                    with suppress(OSError):
                        self._stdin.close()
                    writing = False
            if reading and self._stdout.fileno() in ready and not self._read():
                poll.unregister(self._stdout)
                reading = False
            elif not ready and not writing and self._process.poll() is not None:
                return

    def _wait_time(self) -> int:
        """Milliseconds until we look again."""
        left = min(self._deadline - time.monotonic(), GRACE)
        return max(0, int(left * 1000))

    def _write(self, data: bytes) -> bytes:
        """Write some; what is left. A command that does not read its input is no error."""
        try:
            done = os.write(self._stdin.fileno(), data)
        except BlockingIOError:
            return data
        except OSError as error:
            if error.errno != 32:  # EPIPE
                self.write_errno = error.errno or 0
            self._closed = True
            return b""
        self.written += done
        return data[done:]

    def _read(self) -> bool:
        """Read some output; False at its end or when it is too much."""
        try:
            data = os.read(self._stdout.fileno(), 4096)
        except OSError:
            return False
        if not data:
            return False
        self._seen += len(data)
        if self._capture:
            self._output.append(data)
        if self._seen > self._limit > 0:
            if self._capture:
                self._output.append(TOO_MUCH)
            _kill(self._process.pid)
            return False
        return True

    def end(self) -> None:
        """Wait for the command; kill it when the time is over."""
        with suppress(OSError):
            self._stdin.close()
        if not self.timed_out:
            left = self._deadline - time.monotonic()
            try:
                self._process.wait(None if left == float("inf") else max(0.0, left))
            except subprocess.TimeoutExpired:
                self.timed_out = True
        if self.timed_out:
            _kill(self._process.pid)
            self._process.wait()
        self._stdout.close()

    def facts(self) -> dict[str, object]:
        """What the driver judges by."""
        code = self._process.returncode
        facts: dict[str, object] = {"status": max(0, code), "signal": max(0, -code), "output_seen": self._seen}
        if self.timed_out:
            facts["timed_out"] = True
        if self.write_errno:
            facts["write_errno"] = self.write_errno
        if self._output:
            facts["output"] = b"".join(self._output).decode("latin-1")
        return facts


def _kill(pid: int) -> None:
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
