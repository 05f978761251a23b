"""The resolver over a waiter that answers from a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from angaros.net.dns import DnsSettings, ResolverFile, StubResolver, parse_resolv_conf

T = TypeVar("T")
PATTERN = r"(?i)^(?>(?(1)\.|())[^\W](?>[a-z0-9/_-]*[^\W])?)+(\.?)$"


class Waiter:
    """Stands in for the network; `zone` has (name, type) -> texts, or an rcode by name."""

    def __init__(self, zone: dict[Any, Any]) -> None:
        self.zone = zone
        self.asked: list[str] = []

    def share(self, key: Hashable, call: Callable[[], T]) -> T:
        return call()

    def exchange_udp(self, address: str, port: int, payload: bytes, *, timeout: float, accept: Callable[[bytes], bool]) -> bytes:
        query = dns.message.from_wire(payload)
        question = query.question[0]
        name, kind = str(question.name).rstrip(".").lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{name} {kind} @{address}")
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AD
        found = self.zone.get(address) or self.zone.get(name) or self.zone.get((name, kind))
        if found == "timeout":
            raise TimeoutError
        if isinstance(found, int):
            answer.set_rcode(found)
        elif found:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        elif (name, "CNAME") in self.zone:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "CNAME", *self.zone[name, "CNAME"]))
        elif not any(key[0] == name for key in self.zone if isinstance(key, tuple)):
            answer.set_rcode(dns.rcode.NXDOMAIN)
            answer.authority.append(dns.rrset.from_text("ex.", 60, "IN", "SOA", "a. b. 1 2 3 4 30"))
        wire = answer.to_wire()
        assert accept(wire)
        return wire


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> float:
        return time.time()


def resolver(
    zone: dict[Any, Any], servers: tuple[str, ...] = ("192.0.2.1",), **settings: Any
) -> tuple[StubResolver, Waiter, Clock]:
    waiter, clock = Waiter(zone), Clock()
    unset: Any = None
    found = StubResolver(DnsSettings(check_names_pattern=PATTERN, **settings), waiter, clock, unset)  # type: ignore[arg-type]
    file = ResolverFile(servers=tuple((s, 53) for s in servers), search=("test.ex",))
    found._resolver_file = lambda: file  # type: ignore[method-assign]
    return found, waiter, clock


def test_answers_are_kept_for_their_time() -> None:
    dns_, waiter, clock = resolver({("a.ex", "A"): ["10.0.0.1"]})
    assert dns_.query("A.ex", "A").records[0][1] == "10.0.0.1"
    dns_.query("a.ex", "A")
    assert len(waiter.asked) == 1
    clock.time += 61
    dns_.query("a.ex", "A")
    assert len(waiter.asked) == 2


def test_negative_answers_are_kept_as_the_soa_says() -> None:
    dns_, waiter, clock = resolver({})
    assert dns_.query("no.ex", "A").status == "nomatch"
    clock.time += 29
    assert dns_.query("no.ex", "A").status == "nomatch"
    assert len(waiter.asked) == 1
    clock.time += 2
    dns_.query("no.ex", "A")
    assert len(waiter.asked) == 2


def test_statuses() -> None:
    dns_, _, _ = resolver({"again.ex": 2, "fail.ex": 1, ("a.ex", "A"): ["10.0.0.1"]})
    assert dns_.query("again.ex", "A").status == "again"
    assert dns_.query("fail.ex", "A").status == "fail"
    assert dns_.query("a.ex", "MX").status == "nodata"


def test_second_server_when_the_first_is_dead_or_bad() -> None:
    for trouble in ("timeout", 2):
        dns_, waiter, _ = resolver({"192.0.2.1": trouble, ("a.ex", "A"): ["10.0.0.1"]}, ("192.0.2.1", "192.0.2.2"))
        assert dns_.query("a.ex", "A").status == "ok"
        assert [asked.rpartition("@")[2] for asked in waiter.asked] == ["192.0.2.1", "192.0.2.2"]


def test_nobody_answers() -> None:
    dns_, waiter, _ = resolver({"192.0.2.1": "timeout"}, retry=3)
    assert dns_.query("a.ex", "A").status == "again"
    assert len(waiter.asked) == 3


def test_search_list() -> None:
    dns_, _, _ = resolver({("a.test.ex", "A"): ["10.0.0.1"], ("b.c.test.ex", "A"): ["10.0.0.2"]})
    assert dns_.query("a", "A", qualify_single=True).qualified_name.rstrip(".") == "a.test.ex"
    assert dns_.query("a", "A").status == "nomatch"
    assert dns_.query("b.c", "A", search_parents=True).status == "ok"
    assert dns_.query("b.c", "A", qualify_single=True).status == "nomatch"
    assert dns_.query("a.", "A", qualify_single=True).status == "nomatch"


def test_cnames_are_followed_a_few_times() -> None:
    zone = {
        ("c1.ex", "CNAME"): ["c2.ex."],
        ("c2.ex", "CNAME"): ["a.ex."],
        ("a.ex", "A"): ["10.0.0.1"],
        ("l.ex", "CNAME"): ["l.ex."],
    }
    assert resolver(zone, cname_loops=9)[0].query("c1.ex", "A").records == (("a.ex", "10.0.0.1"),)
    assert resolver(zone, cname_loops=0)[0].query("c1.ex", "A").status == "fail"
    assert resolver(zone, cname_loops=9)[0].query("l.ex", "A").status == "fail"


def test_ad_counts_only_when_asked_for() -> None:
    dns_, _, _ = resolver({("a.ex", "A"): ["10.0.0.1"]})
    assert dns_.query("a.ex", "A", dnssec=True).authenticated
    assert not dns_.query("a.ex", "A").authenticated


def test_names_with_odd_characters_are_not_asked() -> None:
    dns_, waiter, _ = resolver({})
    assert dns_.query("a b.ex", "A").status == "nomatch"
    assert dns_.query("-x.ex", "A").status == "nomatch"
    assert waiter.asked == []
    dns_.query("_25._tcp.a.ex", "TLSA")
    assert len(waiter.asked) == 1


def test_resolv_conf() -> None:
    file = parse_resolv_conf(
        "# x\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch a.ex b.ex.\noptions ndots:2 timeout:3 rotate\n"
    )
    assert file.servers == (("10.0.0.1", 53), ("10.0.0.2", 53))
    assert (file.search, file.ndots, file.timeout, file.rotate) == (("a.ex", "b.ex"), 2, 3, True)


def test_localhost_is_nobodys_business() -> None:
    """RFC 6761 6.3"""
    dns_, waiter, _ = resolver({})
    assert dns_.query("localhost", "A").records == (("localhost", "127.0.0.1"),)
    assert dns_.query("a.Localhost", "AAAA").records[0][1] == "::1"
    assert dns_.query("localhost", "MX").status == "nomatch"
    assert not waiter.asked


def test_octets_above_ascii_in_names() -> None:
    """Asked for as A-labels, whether they came in an address or in an answer; the name itself stays as it was written."""
    dns_, waiter, _ = resolver({("xn--1xa.ex", "MX"): ["0 mx.\\207\\128.ex."], ("mx.xn--1xa.ex", "A"): ["10.0.0.1"]})
    written = "\u03c0.ex".encode().decode("latin-1")
    answer = dns_.query(written, "MX")
    assert answer.qualified_name == written
    assert dns_.query(answer.records[0][1][-1], "A").records == (("mx.xn--1xa.ex", "10.0.0.1"),)
    assert [asked.partition(" ")[0] for asked in waiter.asked] == ["xn--1xa.ex", "mx.xn--1xa.ex"]
