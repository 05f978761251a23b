"""What a crash leaves in the spool that is no message (crash state S1 of docs/spool-states.md).

A -D file without its -H file belongs to a message whose sender never got a 250 and will send it again. It is removed when the
daemon starts, unless somebody holds it: then it is being received right now.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from angaros.spool.locks import try_lock

BODY_FILE = re.compile(r"([0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4}))-D")


def _input_directories(spool: str) -> Iterator[str]:
    """`input` of the default queue and of named queues, with their split subdirectories."""
    for top, directories, _ in os.walk(spool):
        depth = top[len(spool) :].count("/")
        if "/input" in top[len(spool) :]:
            yield top
        elif depth >= 2:
            directories.clear()


def remove_orphans(spool: str) -> int:
    """Remove bodies without a message; how many there were. Errors are not ours to report: the files stay."""
    removed = 0
    for directory in _input_directories(spool):
        try:
            names = set(os.listdir(directory))
        except OSError:
            continue
        for name in names:
            found = BODY_FILE.fullmatch(name)
            if found and f"{found[1]}-H" not in names:
                removed += _remove(f"{directory}/{name}", len(name) + 1)
    return removed


def _remove(path: str, length: int) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        if try_lock(fd, length) and not os.path.exists(f"{path[:-1]}H"):
            os.unlink(path)
            return 1
    except OSError:
        pass
    finally:
        os.close(fd)
    return 0
