"""`passwd`: the system's accounts. # Exim spec 9.4"""

from __future__ import annotations

import pwd

from angaros.lookups.base import NOT_FOUND, PlainDriver, Request
from angaros.model.interfaces import LookupResult


class Passwd(PlainDriver):
    """getpwnam()."""

    def find(self, request: Request) -> LookupResult:
        """`*:uid:gid:gecos:home:shell`."""
        longest = request.scope.services.config.main.max_username_length
        if longest and len(request.key) > longest:
            return NOT_FOUND
        name = request.key.encode("latin-1").decode("utf-8", "surrogateescape")
        try:
            entry = request.scope.services.waiter.in_thread(lambda: pwd.getpwnam(name))
        except (KeyError, ValueError):
            return NOT_FOUND
        line = f"*:{entry.pw_uid}:{entry.pw_gid}:{entry.pw_gecos}:{entry.pw_dir}:{entry.pw_shell}"
        return LookupResult(line.encode("utf-8", "surrogateescape").decode("latin-1"))
