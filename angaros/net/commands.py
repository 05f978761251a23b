"""Running a command without a shell, blocking. The loop does it in a thread."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from angaros.model.interfaces import CommandRun

PIPE_CHUNK = 65536


def start(argv: Sequence[str], *, env: Mapping[str, str] | None, cwd: str | None, stderr: int | None) -> subprocess.Popen[bytes]:
    """Start in a process group of its own, so that a time-out ends what it started too. OSError when it cannot be started."""
    return subprocess.Popen(
        [word.encode("latin-1") for word in argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=cwd,
        env=None if env is None else {k.encode("latin-1"): v.encode("latin-1") for k, v in env.items()},
        process_group=0,
        bufsize=0,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the command and its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout: float | None = None,
    max_output: int = 1 << 20,
    merge_stderr: bool = True,
) -> CommandRun:
    """Run to the end, or kill at the time-out or when there is more than `max_output`."""
    process = start(argv, env=env, cwd=cwd, stderr=subprocess.STDOUT if merge_stderr else None)
    deadline = None if timeout is None else time.monotonic() + timeout
    with process:
        try:
            output, in_time = _converse(process, stdin, deadline, max_output)
            if in_time and len(output) <= max_output:
                return CommandRun(process.wait(_left(deadline)), bytes(output))
        except subprocess.TimeoutExpired:
            in_time = False
        finally:
            if process.poll() is None:
                kill(process)
    return CommandRun(process.wait(), bytes(output[:max_output]), timed_out=not in_time)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _converse(process: subprocess.Popen[bytes], stdin: bytes, deadline: float | None, max_output: int) -> tuple[bytearray, bool]:
    """Feed standard input and collect the output together; False when the time is over."""
    assert process.stdin is not None and process.stdout is not None
    output = bytearray()
    with selectors.PollSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        view = memoryview(stdin)
        if view:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        else:
            process.stdin.close()
        while selector.get_map():
            events = selector.select(_left(deadline))
            if not events and deadline is not None and time.monotonic() >= deadline:
                return output, False
            for key, _ in events:
                if key.fileobj is process.stdout:
                    chunk = os.read(key.fd, PIPE_CHUNK)
                    output += chunk
                    if not chunk or len(output) > max_output:
                        selector.unregister(process.stdout)
                        if chunk:
                            return output, True
                else:
                    view = _write_some(key.fd, view)
                    if not view:
                        selector.unregister(process.stdin)
                        process.stdin.close()
    return output, True


def _write_some(fd: int, view: memoryview) -> memoryview:
    try:
        return view[os.write(fd, view[:PIPE_CHUNK]) :]
    except BlockingIOError:
        return view
    except BrokenPipeError:  # it does not want to read all: no error of ours
        return view[:0]
