"""What is counted while mail goes through: a declared table, and the counts of one process.

To count costs a look-up in a dictionary, whether or not anybody reads; `daemon.metrics` shows the counts of all workers as
Prometheus text when `metrics_address` is set.
"""

from __future__ import annotations

from angaros.model.record import dataclass

MAX_SERIES = 200
"""Combinations of labels of one metric; further ones are counted under `other`: names from outside must not fill the memory."""

Key = tuple[str, tuple[str, ...]]
"""A metric's name and the values of its labels."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: str = "counter"


METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        Metric("connections_total", "SMTP connections from outside"),
        Metric("messages_received_total", "Messages accepted into the spool", ("protocol",)),
        Metric("messages_received_bytes_total", "Octets of these messages"),
        Metric("rejections_total", "Commands and messages refused by an ACL", ("acl", "kind")),
        Metric("deliveries_total", "Outcomes of delivery attempts, one an address", ("transport", "outcome")),
        Metric("messages_completed_total", "Messages with nothing left to deliver"),
        Metric("dnslist_checks_total", "Keys looked for in DNS lists", ("list", "result")),
        Metric("dnslist_cache_hits_total", "Of these, answered without asking the DNS", ("list",)),
        Metric("authentication_results_total", "SPF, DKIM and DMARC results of accepted messages", ("method", "result")),
        Metric("connections", "SMTP connections from outside, now", kind="gauge"),
        Metric("deliveries", "Messages in delivery, now", kind="gauge"),
        Metric("queue_runs", "Queue runs, now", kind="gauge"),
        Metric("queue_size", "Messages in the queue, counted at most once a minute", kind="gauge"),
    )
}
"""All metrics, without the prefix `angaros_`."""


class Metrics:
    """The counters of one process."""

    __slots__ = ("_series", "changed", "counts")

    def __init__(self) -> None:
        self.counts: dict[Key, int] = {}
        self._series: dict[str, int] = {}
        self.changed = False

    def add(self, name: str, *labels: str, amount: int = 1) -> None:
        """Count."""
        key = (name, labels)
        counts = self.counts
        if key not in counts:
            key = self._new(key)
        counts[key] = counts.get(key, 0) + amount
        self.changed = True

    def _new(self, key: Key) -> Key:
        name, labels = key
        if self._series.get(name, 0) >= MAX_SERIES:
            return name, ("other",) * len(labels)
        assert len(labels) == len(METRICS[name].labels), name
        self._series[name] = self._series.get(name, 0) + 1
        return name, tuple(str(label) for label in labels)
