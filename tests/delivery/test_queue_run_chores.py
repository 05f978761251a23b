"""What queue runs do beside delivering: policies are renewed, reports sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.delivery.runner import run_queue
from angaros.model.queue_run import QueueRun
from angaros.net import mta_sts_cache
from tests.delivery.world import World

ROUTER = "r:\n  driver = accept\n  transport = t\n"


@pytest.mark.parametrize(("line", "wanted"), [("hosts_try_mta_sts = *", 1), ("hosts_require_mta_sts = *", 1), ("port = 26", 0)])
def test_policies_are_renewed_where_a_transport_uses_them(
    tmp_path: Path, line: str, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[float] = []
    monkeypatch.setattr(mta_sts_cache, "refresh_due", lambda services: runs.append(services.clock.now()))
    world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  hosts = 127.0.0.1\n  {line}\n")
    for _ in range(3):
        run_queue(world.services, QueueRun())
    assert len(runs) == wanted, "not with each run"
    world.clock.time += mta_sts_cache.RETRY
    run_queue(world.services, QueueRun())
    assert len(runs) == 2 * wanted


@pytest.mark.parametrize(("option", "wanted"), [("tls_reports\n", ["tls"]), ("dmarc_aggregate_reports\n", ["dmarc"]), ("", [])])
def test_reports_are_sent_where_they_are_wanted(
    tmp_path: Path, option: str, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr("angaros.net.tls_report_send.send_due", lambda services: sent.append("tls"))
    monkeypatch.setattr("angaros.mailauth.dmarc_aggregate.send_due", lambda services: sent.append("dmarc"))
    run_queue(World(tmp_path, ROUTER, "t:\n  driver = smtp\n  hosts = 127.0.0.1\n", main=option).services, QueueRun())
    assert sent == wanted
