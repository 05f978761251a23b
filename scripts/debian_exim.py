"""Debian's exim4-daemon-heavy as the measure of programs here, and the user it wants (not added to the machine)."""

from __future__ import annotations

import os
import pwd
import sys
import tempfile
from pathlib import Path

EXIM = "/var/cache/angaros-tests/exim4-daemon-heavy-exim4-base-exim4-config/usr/sbin/exim4"
"""Where `tests/peers/packages.py` unpacks it."""
USER = "Debian-exim"
NUMBER = 20101
"""As in `tests/peers`."""
MOUNT = 'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && rm -r "$1" && shift && exec "$@"'


def with_user() -> None:
    """Go on in a mount namespace in which the user exists: starts this program again, once. Needs root."""
    try:
        pwd.getpwnam(USER)
        return
    except KeyError:
        pass
    if os.geteuid() != 0:
        sys.exit(f"no user {USER} here: only root can make one in a mount namespace")
    directory = tempfile.mkdtemp()
    for name, line in (("passwd", f"{USER}:x:{NUMBER}:{NUMBER}::/nonexistent:/bin/sh\n"), ("group", f"{USER}:x:{NUMBER}:\n")):
        path = Path(directory, name)
        path.write_text(Path("/etc", name).read_text() + line)
        path.chmod(0o644)
    os.execvp("unshare", ["unshare", "--mount", "sh", "-c", MOUNT, "sh", directory, sys.executable, *sys.argv])
