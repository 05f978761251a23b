"""`exiwhat`: what all Exim processes are doing (Exim spec 54.1).

Empties the file, sends SIGUSR1 to the processes, waits a second, shows what they wrote. Only processes that catch the signal get
it: anything else would die of it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from angaros.tools.program import ToolError, finish, settings, write

NAMES = frozenset({"exim", "exim4", "sendmail", "mailq", "newaliases", "rmail", "rsmtp", "runq", "angaros"})
WAIT = 1.0
"""Seconds given to the processes, as the manual says."""
_CATCHES_USR1 = 1 << (signal.SIGUSR1 - 1)


def is_exim(command: bytes) -> bool:
    """Whether a command line (`/proc/N/cmdline`) is Exim's: by the name of the program or of the script that Python runs."""
    words = command.split(b"\0")[:4]
    names = [os.path.basename(word).decode("latin-1") for word in words[:1]]
    names += [os.path.basename(word).decode("latin-1") for word in words[1:] if not word.startswith(b"-")][:1]
    return any(name in NAMES for name in names)


def catches(status: str) -> bool:
    """Whether a process (`/proc/N/status`) has a handler for SIGUSR1."""
    for line in status.splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) & _CATCHES_USR1)
    return False


def processes(proc: str = "/proc") -> Iterator[int]:
    """Their ids."""
    for name in os.listdir(proc):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"{proc}/{name}/cmdline", "rb") as file:
                command = file.read(4096)
            with open(f"{proc}/{name}/status", encoding="latin-1") as status:
                if is_exim(command) and catches(status.read()):
                    yield int(name)
        except OSError:
            continue


def _run() -> int:
    options: list[str] = []
    rest = sys.argv[1:]
    while rest:
        option = rest.pop(0)
        if option[:2] not in ("-C", "-D"):
            raise ToolError("Usage: exiwhat [-C config] [-Dmacro=value]")
        options.append(option)
        if option == "-C" and rest:
            options.append(rest.pop(0))
    values = settings(["process_log_path", "spool_directory"], options)
    path = values.get("process_log_path") or f"{values.get('spool_directory', '')}/exim-process.info"
    try:
        os.truncate(path, 0)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ToolError(f"exiwhat: {path}: {error.strerror}") from error
    for pid in processes():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGUSR1)
    time.sleep(WAIT)
    try:
        with open(path, encoding="latin-1") as file:
            lines = sorted(
                file, key=lambda line: int(line.split(None, 1)[0]) if line.split()[:1] and line.split()[0].isdigit() else 0
            )
    except FileNotFoundError:
        lines = []
    write("".join(lines) or "No exim process data\n")
    return 0


def main() -> int:
    """`exiwhat [-C config]`"""
    return finish(_run)
