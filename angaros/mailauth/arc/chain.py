"""The ARC sets of a message. # RFC 8617 4

Laws:
- A set has one ARC-Authentication-Results (AAR), one ARC-Message-Signature (AMS), one ARC-Seal (AS); sets are numbered from 1.
- Header lines come in any order: some servers sort them.
"""

from __future__ import annotations

from dataclasses import dataclass

from angaros.mailauth.dkim.signature import Signature, read_canon, read_common
from angaros.mailauth.dkim.tags import TagError, parse_tags, without_white
from angaros.mailauth.dkim.verify import Watcher

MAX_INSTANCES = 50
"""# RFC 8617 5.2: more is a failure"""

AAR, AMS, AS = "arc-authentication-results", "arc-message-signature", "arc-seal"


@dataclass(slots=True)
class ArcSet:
    """One hop. What has not come is None."""

    instance: int
    results: str | None = None
    """The AAR line."""
    message: Signature | None = None
    seal: Signature | None = None

    @property
    def complete(self) -> bool:
        """All three lines are there."""
        return self.results is not None and self.message is not None and self.seal is not None

    @property
    def chain_value(self) -> str:
        """cv= of the seal."""
        return without_white(self.seal.tags.get("cv", "")).lower() if self.seal is not None else ""

    @property
    def domain(self) -> str:
        """Of the seal; "" when there is none that can be read."""
        return self.seal.domain if self.seal is not None else ""


class Chain:
    """All sets. `problem` is set when they are no chain."""

    def __init__(self, lines: list[str], watcher: Watcher | None = None) -> None:
        self.headers = lines
        self.sets: dict[int, ArcSet] = {}
        self.problem = ""
        for line in lines:
            if line[:4].lower() == "arc-":
                self._take(line)
        if watcher is not None and not self.problem:
            for one in self.sets.values():
                if one.message is not None and not one.message.problem:
                    watcher.hasher(*one.message.wants())

    @property
    def highest(self) -> int:
        """The last instance; 0 for no chain."""
        return max(self.sets, default=0)

    def in_order(self) -> list[ArcSet]:
        """From the first hop to the last."""
        return [self.sets[number] for number in sorted(self.sets)]

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        kind = name.rstrip(" \t").lower()
        if kind not in (AAR, AMS, AS):
            return
        instance = _instance(value, kind)
        if not 0 < instance <= MAX_INSTANCES:
            self.problem = self.problem or "(bad instance number)"
            return
        one = self.sets.setdefault(instance, ArcSet(instance))
        if (one.results if kind == AAR else one.message if kind == AMS else one.seal) is not None:
            self.problem = self.problem or f"i={instance} (duplicate {name.rstrip()})"
        elif kind == AAR:
            one.results = line
        elif kind == AMS:
            one.message = _parse(line, seal=False)
        else:
            one.seal = _parse(line, seal=True)

    def sequence_problem(self) -> str:
        """What is missing. # RFC 8617 5.2, step 3"""
        for expected, one in enumerate(self.in_order(), 1):
            if one.instance != expected:
                return f"(sequence; expected i={expected})"
            if not one.complete:
                return f"i={expected} (missing header)"
        return ""

    def domains(self) -> str:
        """`$arc_domains`: colon-separated, one for each number up to the last, empty where there is none."""
        found: str | None = None
        for number in range(1, self.highest + 1):
            domain = self.sets[number].domain if number in self.sets else ""
            found = (domain or ":") if found is None else f"{found}:{domain}"
        return found or ""


def _instance(value: str, kind: str) -> int:
    """i=, which comes first in an AAR and anywhere in the others."""
    if kind == AAR:
        name, _, number = value.partition(";")[0].partition("=")
        text = number.strip() if name.strip() == "i" else ""
    else:
        try:
            text = parse_tags(value).get("i", "")
        except TagError:
            return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else 0


def _parse(line: str, *, seal: bool) -> Signature:
    """AMS: as DKIM without v= (RFC 8617 4.1.2). AS: no h=, no bh= (4.1.3)."""
    found = Signature(line)
    found.tags = parse_tags(line.partition(":")[2])
    read_common(found, sealed=seal)
    if seal:
        if "h" in found.tags or "bh" in found.tags:
            found.problem = "syntax"
        return found
    read_canon(found, found.tags.get("c", "simple/simple"))
    if AS in (name.lower() for name in found.headers):
        found.problem = "syntax"
    return found
