"""A process of its own for one `smtp_etrn_command`: it outlives the daemon, and takes its mark away when the command ends.

`python -m angaros.inbound.etrn_child HINTS-DIRECTORY KEY COMMAND ARGUMENT...`; KEY is "" without `smtp_etrn_serialize`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace


def main(directory: str, key: str, words: list[str]) -> int:
    """The caller is let go at once; the command runs in a child that nobody waits for."""
    if os.fork():
        return 0
    os.setsid()
    try:
        subprocess.run(words, check=False, stdin=subprocess.DEVNULL)
    finally:
        if key:
            from angaros.config.harness import SystemClock
            from angaros.delivery.parallel import leave
            from angaros.hints.db import HintsDb

            leave(SimpleNamespace(hints=HintsDb(directory), clock=SystemClock()), key)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
