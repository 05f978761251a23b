"""Counts: the table, the shared rows, the text, the answers to requests, and who counts."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from pathlib import Path

import pytest

from angaros.daemon.board import Board
from angaros.daemon.looped import new_loop
from angaros.daemon.metrics import Exchange, Shown, open_metrics, render
from angaros.daemon.shared import CONNECTIONS, SharedCounters
from angaros.model.errors import ConfigError
from angaros.model.metrics import MAX_SERIES, METRICS, Metrics
from tests.delivery.world import World
from tests.inbound.smtp_world import World as SmtpWorld

ROOT = Path(__file__).parents[2]


def test_sums_never_go_back() -> None:
    board = Board(2)
    board.write(0, {("connections_total", ()): 3, ("rejections_total", ("rcpt", "deny")): 1})
    board.write(1, {("connections_total", ()): 4})
    want = {("connections_total", ()): 7, ("rejections_total", ("rcpt", "deny")): 1}
    assert board.total() == want
    board.bury(0)
    board.bury(0)
    assert board.total() == want and board.read(0) == {}
    board.write(0, {("connections_total", ()): 1})
    assert board.total()["connections_total", ()] == 8


def test_another_process_sees_the_row() -> None:
    counters = SharedCounters(2)
    pid = os.fork()
    if pid == 0:
        counters.board.write(1, {("connections_total", ()): 5})
        os._exit(0)
    os.waitpid(pid, 0)
    assert counters.board.total() == {("connections_total", ()): 5}
    counters.clear(1)
    assert counters.board.total() == {("connections_total", ()): 5}


def test_names_from_outside_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES + 50):
        metrics.add("dnslist_cache_hits_total", f"l{number}.example")
    assert metrics.counts["dnslist_cache_hits_total", ("other",)] == 50
    assert len(metrics.counts) == MAX_SERIES + 1


def test_text() -> None:
    text = render({("dnslist_checks_total", ('a"\\\n\xc3\xa4', "listed")): 2, ("connections", ()): 1, ("unknown", ()): 1})
    assert (
        '# TYPE angaros_dnslist_checks_total counter\nangaros_dnslist_checks_total{list="a\\"\\\\\\n\u00e4",result="listed"} 2\n'
        in text
    )
    assert "angaros_connections 1\n" in text and "angaros_connections_total 0\n" in text and "unknown" not in text
    for line in text.splitlines():
        assert line.startswith("# ") or re.fullmatch(r'angaros_\w+(\{(\w+="([^"\\]|\\.)*",?)+\})? \d+', line), line


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
        (b"GET / HTTP/1.0\n\n", b"200 OK"),
        (b"HEAD /metrics?a HTTP/1.1\r\n\r\n", b"200 OK"),
        (b"GET /other HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"\r\n\r\n", b"405 Method Not Allowed"),
    ],
)
def test_requests(request_: bytes, status: bytes) -> None:
    exchange = Exchange(lambda: "counts\n")
    exchange.heard = request_
    head, _, body = exchange.answer().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert (body == b"counts\n") == (status == b"200 OK" and not request_.startswith(b"HEAD"))


@pytest.mark.parametrize("kind", ["path", "port"])
def test_a_worker_answers(tmp_path: Path, kind: str) -> None:
    world = World(tmp_path)
    counters = SharedCounters(2)
    counters.add(1, CONNECTIONS)
    world.services.metrics.add("connections_total")
    listener = open_metrics(
        str(tmp_path / "m.sock") if kind == "path" else "[127.0.0.1]:0".replace(":0", f":{free_port()}"), 0, 0
    )
    shown = Shown(world.services, counters, 0)
    address = listener.getsockname()

    async def ask() -> bytes:
        server = await shown.serve(asyncio.get_running_loop(), listener)
        opened = asyncio.open_unix_connection(address) if kind == "path" else asyncio.open_connection(*address)
        reader, writer = await opened
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        text = await reader.read()
        writer.close()
        server.close()
        return text

    loop = new_loop()
    try:
        text = loop.run_until_complete(ask()).decode()
    finally:
        loop.close()
    assert "angaros_connections_total 1\n" in text and "angaros_connections 1\n" in text and "angaros_queue_size 0\n" in text


def free_port() -> int:
    with socket.socket() as channel:
        channel.bind(("127.0.0.1", 0))
        return int(channel.getsockname()[1])


def test_no_port() -> None:
    with pytest.raises(ConfigError, match="no port"):
        open_metrics("127.0.0.1", 0, 0)


def test_deliveries_are_counted(tmp_path: Path) -> None:
    routers = "bad:\n  driver = redirect\n  data = :fail: no\n  local_parts = bad\n  allow_fail\n"
    routers += "later:\n  driver = redirect\n  data = :defer: no\n  local_parts = later\n  allow_defer\n"
    routers += "gone:\n  driver = redirect\n  data = :blackhole:\n"
    w = World(tmp_path, routers)
    w.deliver("bad@dom.example", "later@dom.example", "x@dom.example")
    w.deliver("y@dom.example")
    counts = w.services.metrics.counts
    found = {labels[1]: value for (name, labels), value in counts.items() if name == "deliveries_total"}
    assert found == {"failed": 1, "deferred": 1, "delivered": 2}
    assert counts["messages_completed_total", ()] == 1


def test_arrivals_lists_and_refusals_are_counted(tmp_path: Path) -> None:
    acl = "rcpt:\n  deny dnslists = bl.test : slow.test\n  deny local_parts = no\n  accept\n"
    w = SmtpWorld(tmp_path, main="acl_smtp_rcpt = rcpt", acl=acl)
    w.dns.records["7.2.0.192.bl.test", "A"] = ["127.0.0.2"]
    w.dns.records["8.2.0.192.slow.test", "A"] = "again"
    assert w.greeted("192.0.2.7").mail() == "550"
    s = w.greeted("192.0.2.8")
    assert s.mail() == "250"
    assert s.code("RCPT TO:<no@here.test>") == "550"
    s.message()
    counts = w.services.metrics.counts
    assert {labels: value for (name, labels), value in counts.items() if name == "dnslist_checks_total"} == {
        ("bl.test", "listed"): 1,
        ("bl.test", "unlisted"): 2,
        ("slow.test", "deferred"): 2,
    }
    assert counts["dnslist_cache_hits_total", ("bl.test",)] == 1
    assert counts["rejections_total", ("rcpt", "deny")] == 2
    assert counts["messages_received_total", ("esmtp",)] == 1
    assert counts["messages_received_bytes_total", ()] > 10


def test_every_counter_is_counted_somewhere() -> None:
    code = "".join(path.read_text() for path in (ROOT / "angaros").rglob("*.py") if path.name != "metrics.py")
    for row in METRICS.values():
        assert row.kind == "gauge" or f'add("{row.name}"' in code, row.name
