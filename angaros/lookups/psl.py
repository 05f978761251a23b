"""`psl` and `regdom`: public suffixes from a file in the format of publicsuffix.org.

`psl` yields the public suffix under which a domain stands (a domain that is itself a listed suffix stands under the next one);
`regdom` that suffix and one label more, the registrable domain. There is no implied `*` rule: a domain that no rule
speaks of is not found.
"""

from __future__ import annotations

import os

from angaros.lookups.base import NOT_FOUND, PlainDriver, Request, check_file
from angaros.model.errors import LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import lower, untaint


class PslFile:
    """The rules; each in UTF-8 octets and in ACE form."""

    __slots__ = ("exceptions", "rules", "wild")

    def __init__(self, path: str, status: os.stat_result) -> None:
        check_file(status, path, "psl")
        self.rules: set[str] = set()
        self.wild: set[str] = set()
        """Names that a `*.` rule stands on."""
        self.exceptions: set[str] = set()
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split()
                if words and not words[0].startswith("//"):
                    self._add(words[0].lower())

    def _add(self, rule: str) -> None:
        where = self.rules
        if rule.startswith("!"):
            where, rule = self.exceptions, rule[1:]
        elif rule.startswith("*."):
            where, rule = self.wild, rule[2:]
        where.add(rule.encode("utf-8").decode("latin-1"))
        if not rule.isascii():
            where.add(".".join(_ace(label) for label in rule.split(".")))

    def close(self) -> None:
        """Nothing is open."""

    def suffix(self, domain: str) -> str | None:
        """The public suffix; the longest rule prevails, exceptions before all."""
        labels = domain.split(".")
        for start in range(len(labels)):
            name = ".".join(labels[start:])
            parent = ".".join(labels[start + 1 :])
            if name in self.exceptions:
                return parent
            if parent and parent in self.wild:
                return name
            if start and name in self.rules:
                return name
        return None


def _ace(label: str) -> str:
    """RFC 3492; the labels of the list are normalised already."""
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


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
