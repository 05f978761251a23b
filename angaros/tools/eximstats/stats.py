"""What is counted. A report can be made of it, and one can be read back into it (`merge`)."""

from __future__ import annotations

from dataclasses import dataclass, field

NEVER = "9999-99-99 99:99:99"
"""Earlier than any stamp is not this."""
LONG_AGO = "0000-00-00 00:00:00"


@dataclass(slots=True)
class Row:
    """Of a table: a host, a domain, a user, a transport, ..."""

    messages: int = 0
    addresses: int = 0
    octets: int = 0

    def add(self, octets: int) -> None:
        """One more message."""
        self.messages += 1
        self.addresses += 1
        self.octets += octets


Table = dict[str, Row]


def row(table: Table, name: str) -> Row:
    """That row, made when it is new."""
    found = table.get(name)
    if found is None:
        found = table[name] = Row()
    return found


@dataclass(slots=True)
class Times:
    """How many took how long. One bin more than there are limits: longer than all."""

    limits: tuple[int, ...]
    bins: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.bins:
            self.bins = [0] * (len(self.limits) + 1)

    def add(self, seconds: float) -> None:
        """One more."""
        for at, limit in enumerate(self.limits):
            if seconds < limit:
                self.bins[at] += 1
                return
        self.bins[-1] += 1


@dataclass(slots=True)
class Stats:
    """Everything."""

    begin: str = NEVER
    end: str = LONG_AGO
    received: Row = field(default_factory=Row)
    delivered: Row = field(default_factory=Row)
    sites: dict[tuple[str, str], int] = field(default_factory=dict)
    """(`Received`, kind) -> how many different ones, of merged reports; else the tables know."""
    delayed: int = 0
    failed: int = 0
    rejects: int = 0
    temporary_rejects: int = 0
    sending: dict[str, Table] = field(default_factory=dict)
    """By kind: host, domain, email, edomain, user."""
    destination: dict[str, Table] = field(default_factory=dict)
    transports: Table = field(default_factory=dict)
    received_in: list[int] = field(default_factory=list)
    delivered_in: list[int] = field(default_factory=list)
    queue_all: Times = field(default_factory=lambda: Times(()))
    queue_remote: Times = field(default_factory=lambda: Times(()))
    delivery_all: Times = field(default_factory=lambda: Times(()))
    delivery_remote: Times = field(default_factory=lambda: Times(()))
    receipt_all: Times = field(default_factory=lambda: Times(()))
    receipt_by: dict[str, Times] = field(default_factory=dict)
    relayed: dict[tuple[str, str], int] = field(default_factory=dict)
    relayed_unshown: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    temporary_reasons: dict[str, int] = field(default_factory=dict)
    rejected_ips: dict[str, int] = field(default_factory=dict)
    temporary_ips: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    patterns: dict[str, int] = field(default_factory=dict)
    patterns_in: dict[str, list[int]] = field(default_factory=dict)

    def site_count(self, side: str, kind: str) -> int:
        """How many hosts, domains, ... of one side."""
        if (side, kind) in self.sites:
            return self.sites[side, kind]
        tables = {"Received": self.sending, "Delivered": self.destination}
        if side in tables:
            return sum(row.messages > 0 for row in tables[side].get(kind, {}).values())
        return len(self.rejected_ips if side == "Rejects" else self.temporary_ips) if kind == "host" else 0


def count(table: dict[str, int], name: str, by: int = 1) -> None:
    """One more."""
    table[name] = table.get(name, 0) + by
