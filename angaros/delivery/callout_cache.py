"""What callouts found out, in the hints database `callout`. Exim spec 44.48.

Two kinds of records. For a domain (key: its name): `result` (1 callouts work, 2 the host rejects before RCPT, 3 it rejects
`MAIL FROM:<>`), `postmaster_result` and `random_result` (0 unknown, 1 accepted, 2 rejected) with their time stamps. For an
address (key: the address, with `/<sender>` when a sender was used): `result` (1 accepted, 2 rejected). All have `time_stamp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.model.scope import Scope

UNKNOWN, ACCEPT, REJECT, REJECT_NULL_SENDER = 0, 1, 2, 3

DATABASE = "callout"


@dataclass(slots=True)
class DomainRecord:
    """What is known about a domain's hosts."""

    result: int = ACCEPT
    postmaster: int = UNKNOWN
    postmaster_stamp: float = 0.0
    random: int = UNKNOWN
    random_stamp: float = 0.0


class CalloutCache:
    """Reads and writes for one callout."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._hints = scope.services.hints
        self._main: Any = scope.services.config.main
        self._now = scope.services.clock.now()

    def _trace(self, text: str) -> None:
        self._scope.depth += 1
        self._scope.trace("verify", text)
        self._scope.depth -= 1

    def domain(self, domain: str) -> DomainRecord | None:
        """The record of a domain, unless it is too old. Parts of it may have expired on their own."""
        found = self._hints.get(DATABASE, domain)
        if found is None:
            self._trace(f"callout cache: no domain record found for {domain}")
            return None
        positive = self._main.callout_domain_positive_expire
        negative = found.get("result") != ACCEPT or found.get("postmaster_result") == REJECT
        if self._expired(found.get("time_stamp"), self._main.callout_domain_negative_expire if negative else positive):
            self._trace(f"callout cache: domain record expired for {domain}")
            return None
        self._trace(f"callout cache: found domain record for {domain}")
        record = DomainRecord(
            int(found.get("result", UNKNOWN)),
            int(found.get("postmaster_result", UNKNOWN)),
            float(found.get("postmaster_stamp", 0)),
            int(found.get("random_result", UNKNOWN)),
            float(found.get("random_stamp", 0)),
        )
        if self._expired(record.postmaster_stamp, positive):
            record.postmaster = UNKNOWN
        if self._expired(record.random_stamp, positive):
            record.random = UNKNOWN
        return record

    def address(self, key: str) -> int:
        """UNKNOWN, ACCEPT or REJECT."""
        found = self._hints.get(DATABASE, key)
        if found is None:
            self._trace(f"callout cache: no address record found for {key}")
            return UNKNOWN
        result = int(found.get("result", UNKNOWN))
        limit = self._main.callout_positive_expire if result == ACCEPT else self._main.callout_negative_expire
        if self._expired(found.get("time_stamp"), limit):
            self._trace(f"callout cache: address record expired for {key}")
            return UNKNOWN
        self._trace(f"callout cache: found address record for {key}")
        self._trace(f"callout cache: address record is {'positive' if result == ACCEPT else 'negative'}")
        return result

    def _expired(self, stamp: object, limit: int) -> bool:
        return not isinstance(stamp, int | float) or self._now - stamp > limit

    def write_domain(self, domain: str, record: DomainRecord) -> None:
        """Keep what is known about a domain."""
        self._hints.put(
            DATABASE,
            domain,
            {
                "result": record.result,
                "postmaster_result": record.postmaster,
                "postmaster_stamp": record.postmaster_stamp,
                "random_result": record.random,
                "random_stamp": record.random_stamp,
                "time_stamp": self._now,
            },
        )
        self._trace(f"wrote callout cache domain record for {domain}:")
        self._trace(f"  result={record.result} postmaster={record.postmaster} random={record.random}")

    def write_address(self, key: str, result: int) -> None:
        """Keep what is known about an address."""
        self._hints.put(DATABASE, key, {"result": result, "time_stamp": self._now})
        self._trace(f"wrote {'positive' if result == ACCEPT else 'negative'} callout cache address record for {key}")

    @property
    def now(self) -> float:
        """Time of this callout."""
        return self._now
