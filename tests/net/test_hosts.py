"""Hosts by name and by the DNS; the peer's name."""

from __future__ import annotations

import pytest

from angaros.model.message import Message
from angaros.net.hosts import HostQuery, build_host_list, find_by_dns, find_by_name
from angaros.net.interfaces import interface_addresses, parse_address_port, parse_interfaces, parse_ports
from angaros.net.peer import lookup_host_name, verify_helo
from tests.net.fakes import FakeLog, fake_scope

MX = HostQuery(mx=True, addresses=True)
A1, A2, A3 = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def names(text: str) -> list[tuple[str, int]]:
    return [(str(h.name), h.port) for h in build_host_list(text, False, fake_scope({}))]


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("a.ex : b.ex", [("a.ex", 0), ("b.ex", 0)]),
        ("a.ex::26 : 10.0.0.1", [("a.ex", 26), (A1, 0)]),
        ("<= 127.0.0.1:1225 = [127.0.0.1]:1226 = [::1]:5 = +", [("127.0.0.1", 1225), ("127.0.0.1", 1226), ("::1", 5)]),
        ("<; ::1 ; 10.0.0.1.25", [("::1", 0), (A1, 25)]),
    ],
)
def test_host_lists(text: str, hosts: list[tuple[str, int]]) -> None:
    assert names(text) == hosts


def test_mx_in_order_with_all_addresses() -> None:
    table = {("d.ex", "MX"): [(20, "b.ex"), (10, "a.ex")], ("a.ex", "A"): [A1, A2], ("b.ex", "A"): [A3]}
    search = find_by_dns("d.ex", fake_scope(table), MX)
    assert search.status == "found"
    assert [(str(h.name), h.address, h.mx) for h in search.hosts] == [("a.ex", A1, 10), ("a.ex", A2, 10), ("b.ex", A3, 20)]


def test_addresses_when_there_is_no_mx() -> None:
    assert find_by_dns("a.ex", fake_scope({("a.ex", "A"): [A1]}), MX).hosts[0].mx == -1
    assert find_by_dns("a.ex", fake_scope({("a.ex", "A"): [A1]}), HostQuery(mx=True)).status == "failed"


@pytest.mark.parametrize(
    ("table", "status", "message"),
    [
        ({}, "failed", ""),
        ({("d.ex", "MX"): "again"}, "again", ""),
        ({("d.ex", "MX"): [(0, "")]}, "failed", "an MX or SRV record indicated no SMTP service"),
        ({("d.ex", "MX"): [(1, "gone.ex")]}, "failed", "all relevant MX records point to non-existent hosts"),
        (
            {("d.ex", "MX"): [(1, "10.1.1.1")]},
            "failed",
            "all relevant MX records point to non-existent hosts or (invalidly) to IP addresses",
        ),
        ({("d.ex", "MX"): [(1, "slow.ex")], ("slow.ex", "A"): "again"}, "again", ""),
    ],
)
def test_nothing_found(table: dict[tuple[str, str], object], status: str, message: str) -> None:
    search = find_by_dns("d.ex", fake_scope(table), MX)
    assert (search.status, search.message) == (status, message)


def test_this_host_is_lowest_mx() -> None:
    table = {("d.ex", "MX"): [(5, "us.ex"), (10, "a.ex")], ("us.ex", "A"): ["10.9.9.9"], ("a.ex", "A"): [A1]}
    assert find_by_dns("d.ex", fake_scope(table), MX).status == "found_local"


def test_this_host_and_worse_ones_are_removed() -> None:
    table = {
        ("d.ex", "MX"): [(5, "a.ex"), (10, "b.ex"), (10, "us.ex"), (20, "c.ex")],
        ("a.ex", "A"): [A1],
        ("b.ex", "A"): [A2],
        ("us.ex", "A"): ["10.9.9.9"],
        ("c.ex", "A"): [A3],
    }
    search = find_by_dns("d.ex", fake_scope(table), MX)
    assert (search.status, search.removed, [h.address for h in search.hosts]) == ("found", True, [A1])


def test_hosts_treat_as_local() -> None:
    table = {("d.ex", "MX"): [(5, "a.ex")], ("a.ex", "A"): [A1]}
    assert find_by_dns("d.ex", fake_scope(table, hosts_treat_as_local="a.ex"), MX).status == "found_local"


def test_ignored_targets_and_duplicates() -> None:
    table = {("d.ex", "MX"): [(5, "a.ex"), (6, "b.ex")], ("a.ex", "A"): [A1], ("b.ex", "A"): [A1]}
    assert len(find_by_dns("d.ex", fake_scope(table), MX).hosts) == 1
    query = HostQuery(mx=True, addresses=True, ignore=A1)
    assert find_by_dns("d.ex", fake_scope(table), query).status == "ignored"


def test_srv_by_priority_with_ports() -> None:
    table = {
        ("_smtp._tcp.d.ex", "SRV"): [(2, 0, 26, "b.ex"), (1, 5, 25, "a.ex")],
        ("a.ex", "A"): [A1],
        ("b.ex", "A"): [A2],
    }
    search = find_by_dns("d.ex", fake_scope(table), HostQuery(srv="smtp", mx=True))
    assert [(h.address, h.port) for h in search.hosts] == [(A1, 25), (A2, 26)]


def test_dnssec_required() -> None:
    table = {("d.ex", "MX"): [(5, "a.ex")], ("a.ex", "A"): [A1]}
    query = HostQuery(mx=True, dnssec_require="*")
    assert find_by_dns("d.ex", fake_scope(table), query).status == "security"
    search = find_by_dns("d.ex", fake_scope(table, secure=True), query)
    assert search.status == "found" and search.hosts[0].dnssec


def test_by_name() -> None:
    scope = fake_scope({("a.ex", "A"): [A1], ("slow.ex", "A"): "again"})
    assert find_by_name("tried.ex", scope, HostQuery()).status == "failed"  # for nobody's message: not logged
    scope.message = Message(id="1xUlf0-000000006lF-0003")
    assert find_by_name("a.ex", scope, HostQuery()).hosts[0].address == A1
    assert find_by_name("10.2.3.4", scope, HostQuery()).hosts[0].address == "10.2.3.4"
    assert find_by_name("127.0.0.1", scope, HostQuery()).status == "found_local"
    assert find_by_name("slow.ex", scope, HostQuery()).status == "again"
    assert find_by_name("gone.ex", scope, HostQuery()).status == "failed"
    log = scope.services.log
    assert isinstance(log, FakeLog) and log.lines == ["no IP address found for host gone.ex"]


def peer(table: dict[tuple[str, str], object], **main: object) -> tuple[bool, object]:
    scope = fake_scope(table, **main)
    assert scope.session is not None
    scope.session.sender_host_address = A1
    return lookup_host_name(scope), scope.session


def test_reverse_lookup_is_checked_forwards() -> None:
    reverse = ("1.0.0.10.in-addr.arpa", "PTR")
    found, session = peer({reverse: ["a.ex", "b.ex", "c.ex"], ("a.ex", "A"): [A2], ("b.ex", "A"): [A1], ("c.ex", "A"): [A1]})
    assert found and session.sender_host_name == "b.ex" and session.sender_host_aliases == ["c.ex"]  # type: ignore[attr-defined]
    found, session = peer({reverse: ["a.ex"], ("a.ex", "A"): [A2]})
    assert not found and session.host_lookup_failed  # type: ignore[attr-defined]
    found, session = peer({reverse: "again"})
    assert not found and session.host_lookup_deferred and not session.host_lookup_failed  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("helo", "good"), [("[10.0.0.1]", True), ("[10.0.0.2]", False), ("A.EX", True), ("f.ex", True), ("x.ex", False)]
)
def test_helo(helo: str, good: bool) -> None:
    table = {("1.0.0.10.in-addr.arpa", "PTR"): ["a.ex"], ("a.ex", "A"): [A1], ("f.ex", "A"): [A2, A1], ("x.ex", "A"): [A2]}
    scope = fake_scope(table)
    assert scope.session is not None
    scope.session.sender_host_address = A1
    scope.session.sender_helo_name = helo
    assert verify_helo(scope) is good


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("1.2.3.4", ("1.2.3.4", 0)),
        ("1.2.3.4.25", ("1.2.3.4", 25)),
        ("[1.2.3.4]:26", ("1.2.3.4", 26)),
        ("::1", ("::1", 0)),
        ("::0.25", ("::", 25)),
        ("[::1]:25", ("::1", 25)),
        ("3ffe::1.1225", ("3ffe::1", 1225)),
        ("::ffff:1.2.3.4.25", ("::ffff:1.2.3.4", 25)),
        ("fe80::1%eth0", ("fe80::1%eth0", 0)),
    ],
)
def test_addresses_with_ports(text: str, parsed: tuple[str, int]) -> None:
    address, port = parse_address_port(text)
    assert port == parsed[1]
    assert address in (parsed[0], "::ffff:102:304")


def test_interfaces_and_ports() -> None:
    assert parse_interfaces("<; ::0 ; 0.0.0.0", "local_interfaces") == [("::", 0), ("0.0.0.0", 0)]
    assert parse_interfaces("<; ::0 ; 0.0.0.0", "local_interfaces", ipv6=False) == [("0.0.0.0", 0)]
    assert parse_ports("smtp : 26") == [25, 26]
    assert "127.0.0.1" in interface_addresses()


@pytest.mark.parametrize(("service", "smtps"), [("smtp-tls", True), ("smtp", False)])
def test_a_service_for_tls_at_once(service: str, smtps: bool) -> None:
    table: dict[tuple[str, str], object] = {(f"_{service}._tcp.d.ex", "SRV"): [(1, 5, 465, "a.ex")], ("a.ex", "A"): [A1]}
    host = find_by_dns("d.ex", fake_scope(table), HostQuery(srv=f"bogus:{service}", mx=True)).hosts[0]
    assert (host.name, host.port, host.smtps) == ("a.ex", 465, smtps)
