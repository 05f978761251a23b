"""A resolver over the zone data of the SPF test suite."""

from __future__ import annotations

from typing import Any

from angaros.model.interfaces import DnsAnswer
from angaros.model.text import Tainted

SILENT = "TIMEOUT"


class Zones:
    """`name -> [{"A": "1.2.3.4"}, {"MX": [10, "host"]}, "TIMEOUT", ...]`.

    An SPF record is a TXT record too, unless there is one.
    """

    def __init__(self, data: dict[str, list[Any]]) -> None:
        self.asked: list[tuple[str, str]] = []
        self.table = {str(name).lower(): self._records(rows) for name, rows in data.items()}

    @staticmethod
    def _records(rows: list[Any]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for row in rows:
            if row == SILENT:
                found[SILENT] = []
                continue
            [(kind, value)] = row.items()
            if kind in ("SPF", "TXT") and isinstance(value, list):
                value = "".join(value)
            if kind in ("MX", "SRV"):
                value = tuple(Tainted(part) if isinstance(part, str) else part for part in value)
            found.setdefault(kind, []).append(Tainted(value) if isinstance(value, str) else value)
        if "TXT" not in found and "SPF" in found:
            found["TXT"] = found["SPF"]
        found["TXT"] = [text for text in found.get("TXT", ()) if text != "NONE"]
        return found

    def query(self, name: str, kind: str, **options: Any) -> DnsAnswer:
        """As `interfaces.Resolver`."""
        self.asked.append((name, kind))
        owner = name.lower().rstrip(".")
        for _ in range(9):
            records = self.table.get(owner)
            if records is None:
                return DnsAnswer("nomatch")
            if found := records.get(kind):
                return DnsAnswer("ok", tuple((Tainted(owner), data) for data in found), ttl=60)
            if SILENT in records:
                return DnsAnswer("again")
            if "CNAME" not in records:
                return DnsAnswer("nodata")
            owner = records["CNAME"][0].lower()
        return DnsAnswer("fail")
