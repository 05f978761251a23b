"""`whoson`: who holds an IP address now, through libwhoson. # Exim spec 9.4"""

from __future__ import annotations

import ctypes
import ctypes.util

from angaros.lookups.base import NOT_FOUND, PlainDriver, Request
from angaros.model.errors import LookupDefer
from angaros.model.interfaces import LookupResult
from angaros.model.text import octets, text

BUFFER = 1024
"""Octets for the name of the user."""


class Whoson(PlainDriver):
    """One C call, which talks to the whoson server and blocks."""

    def find(self, request: Request) -> LookupResult:
        """The user's name."""
        query = octets(request.key)
        status, name = request.scope.services.waiter.in_thread(lambda: _ask(query))
        if status == 0:
            return LookupResult(text(name))
        if status == 1:
            return NOT_FOUND
        raise LookupDefer(f"WHOSON: failed to complete: {text(name)}")


def _ask(query: bytes) -> tuple[int, bytes]:
    """wso_query(): 0 found, 1 nobody, -1 failure."""
    library = ctypes.CDLL(ctypes.util.find_library("whoson"))
    buffer = ctypes.create_string_buffer(BUFFER)
    status: int = library.wso_query(query, buffer, BUFFER)
    return status, buffer.value
