"""Options of the smtp transport whose effect the other server does not see. Exim spec 30.4."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from angaros.net.streams import BaseStream
from tests.delivery.world import Sink, World
from tests.mailauth.zones import Zones
from tests.transports.test_smtp_options import ACCEPT, ROUTER


def world_with(directory: Path, port: int, lines: str = "", *, router: str = ROUTER, **more: Any) -> World:
    return World(directory, router, f"t:\n  driver = smtp\n  port = {port}\n  {lines}\n", **more)


def connecting(world: World) -> list[dict[str, Any]]:
    """What each `connect` is asked for from now on."""
    asked: list[dict[str, Any]] = []
    connect = world.services.waiter.connect

    def noted(address: str, port: int, **options: Any) -> Any:
        asked.append({"address": address, "port": port, **options})
        return connect(address, port, **options)

    world.services.waiter.connect = noted  # type: ignore[method-assign]
    return asked


@pytest.mark.parametrize("option", ["command_timeout", "connect_timeout", "data_timeout", "final_timeout"])
def test_how_long_is_waited(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[float | None] = []
    writes: list[float | None] = []
    readline, write = BaseStream.readline, BaseStream.write

    def read_noted(self: Any, limit: int = 65536, timeout: float | None = None) -> bytes:
        reads.append(timeout)
        return readline(self, limit, timeout)

    def write_noted(self: Any, data: bytes, timeout: float | None = None) -> None:
        writes.append(timeout)
        write(self, data, timeout)

    monkeypatch.setattr(BaseStream, "readline", read_noted)
    monkeypatch.setattr(BaseStream, "write", write_noted)
    with Sink() as sink:
        world = world_with(tmp_path, sink.port, f"{option} = 7s")
        asked = connecting(world)
        world.deliver()
    seen = {
        "command_timeout": 7 in reads[:-1] and reads[-1] != 7,
        "final_timeout": reads[-1] == 7 and 7 not in reads[:-1],
        "data_timeout": writes.count(7) == 1,
        "connect_timeout": asked[0]["timeout"] == 7,
    }
    assert [name for name, found in seen.items() if found] == [option]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("", {"keepalive": True, "fastopen": True}),
        ("no_keepalive", {"keepalive": False, "fastopen": True}),
        ("dscp = ef", {"keepalive": True, "dscp": 46 << 2, "fastopen": True}),
        ("hosts_try_fastopen = :", {"keepalive": True}),
        ("interface = 127.0.0.1", {"keepalive": True, "fastopen": True, "source": ("127.0.0.1", 0)}),
    ],
)
def test_options_of_the_socket(lines: str, wanted: dict[str, Any], tmp_path: Path) -> None:
    with Sink() as sink:
        world = world_with(tmp_path, sink.port, lines)
        asked = connecting(world)
        world.deliver()
    source = {"source": asked[0]["source"]} if asked[0]["source"] else {}
    assert asked[0]["options"] | source == wanted


@pytest.mark.parametrize(("lines", "line"), [("", "== x@dom.example"), ("no_delay_after_cutoff", "=> x@dom.example")])
def test_after_the_cutoff(lines: str, line: str, tmp_path: Path) -> None:
    """The host has failed for a long time, and its retry time is not reached."""
    with Sink() as sink:
        world = world_with(tmp_path, sink.port, lines)
        now = world.clock.time
        record = {"first_failed": now - 9e5, "last_try": now - 100, "next_try": now + 1000, "expired": True, "basic_errno": 111}
        world.services.hints.put("retry", f"T:[127.0.0.1]:127.0.0.1:{sink.port}", {**record, "more_errno": 0, "text": ""})
        log = world.deliver()
    assert any(one.startswith(line) for one in log), log


@pytest.mark.parametrize(
    ("lines", "name", "wanted"),
    [
        ("dns_qualify_single", "qualify_single", True),
        ("no_dns_qualify_single", "qualify_single", False),
        ("dns_search_parents", "search_parents", True),
        ("no_dns_search_parents", "search_parents", False),
        ("dnssec_request_domains = *", "dnssec", True),
        ("dnssec_request_domains = !*", "dnssec", False),
    ],
)
def test_what_the_resolver_is_asked_for(lines: str, name: str, wanted: bool, tmp_path: Path) -> None:
    world = world_with(tmp_path, 1, f"hosts = a.dom\n  {lines}", router=ACCEPT)
    asked: list[dict[str, Any]] = []
    zones = world.services.dns

    def query(owner: str, kind: str, **options: Any) -> Any:
        asked.append(options)
        return Zones.query(zones, owner, kind, **options)  # type: ignore[arg-type]

    zones.query = query  # type: ignore[method-assign]
    world.deliver()
    assert bool(asked[0].get(name)) == wanted


@pytest.mark.parametrize(("lines", "asked"), [("gethostbyname", False), ("no_gethostbyname", True)])
def test_names_of_the_system(lines: str, asked: bool, tmp_path: Path) -> None:
    world = world_with(tmp_path, 1, f"hosts = localhost\n  allow_localhost\n  {lines}", router=ACCEPT, main="disable_ipv6")
    world.deliver()
    assert bool(world.services.dns.asked) == asked  # type: ignore[attr-defined]


@pytest.mark.parametrize(("lines", "used"), [("", True), ("hosts_avoid_pipelining = *", False)])
def test_no_pipelining(lines: str, used: bool, tmp_path: Path) -> None:
    with Sink(ehlo=("PIPELINING",)) as sink:
        world = world_with(tmp_path, sink.port, lines)
        world.log.on |= {"pipelining"}
        log = world.deliver()
    assert any(" L " in line for line in log) == used


class Drawn:
    """The first host draws a high number."""

    def __init__(self) -> None:
        self.numbers = cycle((900, 100))

    def below(self, limit: int) -> int:
        return next(self.numbers)


@pytest.mark.parametrize(("lines", "first"), [("", "127.0.0.2"), ("hosts_randomize", "127.0.0.1")])
def test_hosts_in_random_order(lines: str, first: str, tmp_path: Path) -> None:
    lines = f"hosts = 127.0.0.2 : 127.0.0.1\n  allow_localhost\n  {lines}"
    world = world_with(tmp_path, 1, lines, router=ACCEPT)
    world.services.random = Drawn()  # type: ignore[assignment]
    asked = connecting(world)
    world.deliver()
    assert asked[0]["address"] == first


@pytest.mark.parametrize(
    ("lines", "reply", "key"),
    [
        ("", {"CONNECT": "421 no"}, "T:[127.0.0.1]:127.0.0.1:{port}"),
        ("no_retry_include_ip_address", {"CONNECT": "421 no"}, "T:[127.0.0.1]:{port}"),
        ("", {"RCPT": "450 no"}, "R:x@dom.example:<joe@author.example>"),
        ("no_address_retry_include_sender", {"RCPT": "450 no"}, "R:x@dom.example"),
    ],
)
def test_keys_of_retry_records(lines: str, reply: dict[str, str], key: str, tmp_path: Path) -> None:
    with Sink(reply) as sink:
        world = world_with(tmp_path, sink.port, lines)
        world.deliver()
    assert world.services.hints.get("retry", key.format(port=sink.port)) is not None


@pytest.mark.parametrize(("lines", "line"), [("", "=> x@dom"), ("serialize_hosts = *", "== x@dom")])
@pytest.mark.parametrize(("age", "counts"), [(10, True), (7 * 3600, False)])
def test_one_connection_at_a_time(lines: str, line: str, age: float, counts: bool, tmp_path: Path) -> None:
    with Sink() as sink:
        world = world_with(tmp_path, sink.port, lines)
        world.services.hints.put("misc", "host-serialize-127.0.0.1", {"time": world.clock.time - age, "count": 1})
        log = world.deliver()
    assert any(one.startswith(line if counts else "=> x@dom") for one in log), log


@pytest.mark.parametrize(
    ("lines", "ehlo", "wanted"),
    [
        ("utf8_downconvert = 1", ("SMTPUTF8",), "RCPT TO:<xn--mller-kva@dom>"),
        ("utf8_downconvert = 0", ("SMTPUTF8",), "RCPT TO:<m\xc3\xbcller@dom>"),
        ("utf8_downconvert = -1", (), "RCPT TO:<xn--mller-kva@dom>"),
        ("utf8_downconvert = 0", (), ""),
    ],
)
def test_addresses_in_ascii(lines: str, ehlo: tuple[str, ...], wanted: str, tmp_path: Path) -> None:
    with Sink(ehlo=ehlo) as sink:
        world = world_with(tmp_path, sink.port, lines)
        world.accept(["m\xc3\xbcller@dom"]).smtputf8 = True
        world.attempt()
    assert [one for one in sink.commands if one.startswith("RCPT")] == ([wanted] if wanted else [])


@pytest.mark.parametrize(
    ("lines", "port"),
    [("port = 587", 587), ("port = submission", 587), ("protocol = smtps", 465), ("", 25)],
)
def test_ports(lines: str, port: int, tmp_path: Path) -> None:
    world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  {lines}\n")
    asked = connecting(world)
    world.services.waiter.connect = lambda address, port, **_: (asked.append({"port": port}), 1 / 0)  # type: ignore[assignment, method-assign]
    with pytest.raises(ZeroDivisionError):
        world.deliver()
    assert asked[0]["port"] == port
