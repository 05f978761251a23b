"""`testdb`: a lookup that says what the query asks for; it tests Exim, and us. # Exim spec 9.4

`fail` is not found, `defer` defers, `nocache` is not cached, anything else is its own result.
"""

from __future__ import annotations

from angaros.lookups.base import NOT_FOUND, PlainDriver, Request
from angaros.model.errors import LookupDefer
from angaros.model.interfaces import LookupResult
from angaros.model.text import untaint


class Testdb(PlainDriver):
    """All three names."""

    def find(self, request: Request) -> LookupResult:
        """The query itself."""
        query = untaint(request.key)
        if query == "fail":
            return NOT_FOUND
        if query == "defer":
            raise LookupDefer("testdb lookup forced DEFER")
        return LookupResult(query, cacheable=query != "nocache")
