"""`psl` and `regdom`: public suffixes from a file in the format of publicsuffix.org.

`psl` yields the public suffix under which a domain stands (a domain that is itself a listed suffix stands under the next one);
`regdom` that suffix and one label more, the registrable domain. There is no implied `*` rule: a domain that no rule
speaks of is not found.
"""

from __future__ import annotations

import os

from angaros.lookups.base import NOT_FOUND, PlainDriver, Request, check_file
from angaros.mailauth.public_suffixes import PublicSuffixes
from angaros.model.errors import LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import lower, untaint


class PslFile(PublicSuffixes):
    """An open file of rules."""

    __slots__ = ()

    def __init__(self, path: str, status: os.stat_result) -> None:
        check_file(status, path, "psl")
        super().__init__(path)

    def close(self) -> None:
        """Nothing is open."""


class Psl(PlainDriver):
    """Both types."""

    def find(self, request: Request) -> LookupResult:
        """Caseless; the result is in lower case."""
        try:
            file: PslFile = request.files.get("psl", request.source, PslFile)
        except OSError as error:
            raise LookupFailure(f"failed to open {request.source} for psl lookup: {error.strerror}") from error
        domain = lower(untaint(request.key)).strip(".")
        suffix = file.suffix(domain)
        if suffix is None:
            return NOT_FOUND
        if request.kind == "psl":
            return LookupResult(suffix)
        if suffix == domain:
            return NOT_FOUND
        first = domain[: -len(suffix) - 1].rpartition(".")[2]
        return LookupResult(f"{first}.{suffix}")
