"""The Public Suffix List (publicsuffix.org): rules of a file, and which part of a domain is public."""

from __future__ import annotations

import os


class PublicSuffixes:
    """The rules; each in UTF-8 octets and in ACE form."""

    __slots__ = ("exceptions", "rules", "wild")

    def __init__(self, path: str) -> None:
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

    def suffix(self, domain: str, *, whole: bool = False) -> str | None:
        """The public suffix; the longest rule prevails, exceptions before all. `whole`: the domain itself may be one."""
        labels = domain.split(".")
        for start in range(len(labels)):
            name = ".".join(labels[start:])
            parent = ".".join(labels[start + 1 :])
            if name in self.exceptions:
                return parent
            if parent and parent in self.wild:
                return name
            if (start or whole) and name in self.rules:
                return name
        return None

    def organizational_domain(self, domain: str) -> str:
        """The suffix and one label more; a public suffix stands for itself. RFC 7489 3.2"""
        labels = domain.split(".")
        suffix = self.suffix(domain, whole=True) or labels[-1]
        count = suffix.count(".") + 2
        return ".".join(labels[-count:])


Cache = dict[str, tuple[tuple[int, int, int], PublicSuffixes]]
"""By path; whoever loads keeps one."""


def load(path: str, cache: Cache) -> PublicSuffixes:
    """The rules of a file, read again when it changes; OSError."""
    status = os.stat(path)
    stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
    known = cache.get(path)
    if known is None or known[0] != stamp:
        known = cache[path] = (stamp, PublicSuffixes(path))
    return known[1]


def _ace(label: str) -> str:
    """RFC 3492; the labels of the list are normalised already."""
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
