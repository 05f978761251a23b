"""What a process is doing, written to `process_log_path` when SIGUSR1 comes; `exiwhat` shows it (Exim spec 54.1).

A process that has not called `answer` must not be sent the signal: `exiwhat` looks in /proc who catches it.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterable

from angaros.config.config import Config

FILE_MODE = 0o640


def path_of(config: Config) -> str:
    """`process_log_path`."""
    return config.main.process_log_path or f"{config.main.spool_directory}/exim-process.info"


def write_lines(path: str, lines: Iterable[str], owner: tuple[int, int] = (-1, -1)) -> None:
    """Append, a line with our pid for each. What cannot be written is not worth an error: nobody waits for it. `owner`: whom
    root gives the file to, so that the workers can write to it as well."""
    text = "".join(f"{os.getpid():5d} {line}\n" for line in lines)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)
    except OSError:
        return
    try:
        facts = os.fstat(fd)
        if facts.st_nlink == 1 and stat.S_ISREG(facts.st_mode):  # no link that somebody laid in the spool for root to write to
            if os.geteuid() == 0 and facts.st_uid == 0:
                os.fchown(fd, *owner)
            os.write(fd, text.encode("latin-1", "replace"))
    except OSError:
        pass
    finally:
        os.close(fd)


def answer(config: Config, describe: Callable[[], Iterable[str]]) -> None:
    """Write what `describe()` says whenever SIGUSR1 comes."""
    path, owner = path_of(config), (config.exim_uid, config.exim_gid)
    signal.signal(signal.SIGUSR1, lambda number, frame: write_lines(path, describe(), owner))
    signal.siginterrupt(signal.SIGUSR1, False)
