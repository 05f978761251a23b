"""What the services are wired with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from angaros.assembly.wiring import QueueSize
from angaros.daemon.shared import SharedCounters


class Counting:
    """A store that says how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def count(self) -> int:
        self.asked += 1
        return 40 + self.asked


def test_queue_size_is_counted_at_most_once_a_minute() -> None:
    time = SimpleNamespace(value=1000.0)
    services: Any = SimpleNamespace(store=Counting(), clock=SimpleNamespace(now=lambda: time.value), harness=None)
    size = QueueSize(services)
    assert services.store.asked == 0
    assert [size(), size()] == [41, 41]
    time.value += 59.0
    assert size() == 41
    time.value += 1.0
    assert size() == 42


def test_workers_share_one_count() -> None:
    services: Any = SimpleNamespace(store=Counting(), clock=SimpleNamespace(now=lambda: 1000.0), harness=None)
    shared = SharedCounters(2)
    assert [QueueSize(services, shared)() for _ in range(3)] == [41, 41, 41]
