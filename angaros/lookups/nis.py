"""`nis`, `nis0`: through Python's `nis` module, where there is one; `nisplus`: only its quoting. # Exim spec 9.3, 9.20"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from angaros.lookups.base import NOT_FOUND, PlainDriver, Request
from angaros.model.errors import LookupDefer, LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import octets, text


class Nis(PlainDriver):
    """`nis0` adds a zero to the key."""

    def find(self, request: Request) -> LookupResult:
        """The file is the name of a map."""
        module: Any = import_module("nis")
        key = octets(request.key) + (b"\0" if request.kind == "nis0" else b"")
        try:
            module.get_default_domain()
        except module.error as error:
            raise LookupFailure("failed to get default NIS domain") from error
        try:
            value = request.scope.services.waiter.in_thread(lambda: module.match(key, request.source))
        except module.error as error:
            if "no such key" in str(error).lower():
                return NOT_FOUND
            raise LookupDefer(f"NIS: {error}") from error
        return LookupResult(value if isinstance(value, str) else text(value))


class NisPlus(PlainDriver):
    """There is no client library; the engine says so before this is asked."""

    def find(self, request: Request) -> LookupResult:
        """Never reached."""
        raise LookupFailure(f'lookup type "{request.kind}" is not available')

    def quote(self, value: str, option: str, kind: str) -> str | None:
        """Double quotes are doubled. # Exim spec 9.20"""
        if option:
            return None
        return value.replace('"', '""') if kind == "nisplus" else value
