"""What a process is doing, written to `process_log_path` when SIGUSR1 comes; `exiwhat` shows it (Exim spec 54.1).

A process that has not called `answer` must not be sent the signal: `exiwhat` looks in /proc who catches it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable

from angaros.config.config import Config

FILE_MODE = 0o640


def path_of(config: Config) -> str:
    """`process_log_path`."""
    return config.main.process_log_path or f"{config.main.spool_directory}/exim-process.info"


def write_lines(path: str, lines: Iterable[str]) -> None:
    """Append, a line with our pid for each. What cannot be written is not worth an error: nobody waits for it."""
    text = "".join(f"{os.getpid():5d} {line}\n" for line in lines)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)
    except OSError:
        return
    try:
        if os.fstat(fd).st_nlink == 1:  # not a link that somebody laid in the spool for root to write to
            os.write(fd, text.encode("latin-1", "replace"))
    except OSError:
        pass
    finally:
        os.close(fd)


def answer(config: Config, describe: Callable[[], Iterable[str]]) -> None:
    """Write what `describe()` says whenever SIGUSR1 comes."""
    path = path_of(config)
    signal.signal(signal.SIGUSR1, lambda number, frame: write_lines(path, describe()))
    signal.siginterrupt(signal.SIGUSR1, False)
