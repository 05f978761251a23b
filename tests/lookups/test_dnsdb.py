"""dnsdb: as script 2550 of the conformance suite and the manual say."""

from __future__ import annotations

from typing import Any

import pytest

from angaros.model.errors import LookupDefer
from angaros.model.interfaces import DnsAnswer
from angaros.model.scope import Scope
from angaros.model.text import is_tainted
from tests.lookups.support import FakeDns, make_scope

LONG = ("first", "A short chunk", "A final chunk")
TXT = DnsAnswer("ok", (("long.ex", "".join(LONG)), ("long.ex", "Second")), txt_parts=(LONG, ("Second",)))
TABLE: dict[tuple[str, str], Any] = {
    ("test.ex", "TXT"): ["A TXT record for test.ex."],
    ("long.ex", "TXT"): TXT,
    ("ten-1.ex", "A"): ["10.0.0.1"],
    ("ten-1.ex", "AAAA"): ["fd00::1"],
    ("ten-2.ex", "A"): ["10.0.0.2"],
    ("alias.ex", "CNAME"): ["ten-1.ex"],
    ("again.ex", "A"): "again",
    ("test.ex", "MX"): [(5, "a.ex"), (6, "b.ex")],
    ("test.ex", "NS"): ["ns.ex"],
    ("test.ex", "SOA"): [("ns.ex", "hostmaster.ex", 1, 2, 3, 4, 5)],
    ("1.0.0.10.in-addr.arpa", "PTR"): ["ten-1.ex"],
    ("2.0.0.10.in-addr.arpa", "PTR"): ["ten-2.ex"],
    ("1." + "0." * 27 + "0.0.d.f.ip6.arpa", "PTR"): ["six.ex"],
    ("_smtp._tcp.s.ex", "SRV"): [(0, 0, 25, "ten-1.ex")],
    ("_smtp._tcp.no.ex", "SRV"): [(0, 0, 0, "")],
    ("_client._smtp.csa1.ex", "SRV"): [(1, 2, 0, "csa1.ex")],
    ("_client._smtp.csa2.ex", "SRV"): [(1, 1, 0, "csa2.ex")],
    ("_client._smtp.up.ex", "SRV"): [(1, 2, 1, "up.ex")],
    ("t.ex", "TLSA"): [(3, 1, 1, b"\x01\xff")],
    ("spf.ex", "TXT"): DnsAnswer("ok", (), txt_parts=(("v=spf1 a", " -all"), ("other",))),
}


@pytest.fixture
def scope() -> Scope:
    return make_scope(dns=FakeDns(TABLE), main={"dns_csa_search_limit": 5, "dns_csa_use_reverse": True})


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("test.ex", "A TXT record for test.ex."),
        ("txt=long.ex", "first\nSecond"),
        (">X   txt=long.ex", "firstXSecond"),
        (">X;  txt=long.ex", "firstA short chunkA final chunkXSecond"),
        (">X,  txt=long.ex", "first A short chunk A final chunkXSecond"),
        (">X,Z txt=long.ex", "firstZA short chunkZA final chunkXSecond"),
        ("mx=test.ex", "5 a.ex\n6 b.ex"),
        (">|,:mx=test.ex", "5:a.ex|6:b.ex"),
        ("mxh=test.ex", "a.ex\nb.ex"),
        ("ns=test.ex", "ns.ex"),
        ("ns=x.test.ex", None),
        ("zns=x.y.test.ex", "ns.ex"),
        ("soa=test.ex", "ns.ex"),
        (">:, soa=a.test.ex", "ns.ex hostmaster.ex 1 2 3 4 5"),
        ("ptr=10.0.0.1", "ten-1.ex"),
        ("ptr=10.0.0.1:10.0.0.2", "ten-1.ex\nten-2.ex"),
        ("ptr = <; 10.0.0.1 ; 10.0.0.2", "ten-1.ex\nten-2.ex"),
        ("ptr=fd00::1", "six.ex"),
        ("srv=_smtp._tcp.s.ex", "0 0 25 ten-1.ex"),
        ("srv=_smtp._tcp.no.ex", "0 0 0 "),
        ("csa=csa1.ex", "Y csa1.ex"),
        ("csa=csa2.ex", "N csa2.ex"),
        ("csa=x.up.ex", "X up.ex"),
        ("tlsa=t.ex", "3 1 1 01ff"),
        ("spf=spf.ex", "v=spf1 a -all"),
        ("aaaa=ten-1.ex", "fd00::1"),
        ("cname=alias.ex", "ten-1.ex"),
        ("cname=ten-1.ex", None),
        ("a+=ten-1.ex", "fd00::1\n10.0.0.1"),
        (" a = ten-1.ex:bad.ex", "10.0.0.1"),
        (" a = <; bad.ex ; bad.ex", None),
        ("> a=ten-1.ex:ten-2.ex", "10.0.0.1 10.0.0.2"),
        ("a=ten-1.ex:again.ex:ten-2.ex", "10.0.0.1\n10.0.0.2"),
        ("defer_never,a=again.ex:again.ex", None),
        ("defer_lax,a=again.ex:ten-1.ex", "10.0.0.1"),
        ("retrans_1s,retry_2,a=ten-1.ex", "10.0.0.1"),
        ("dnssec_never,a=ten-1.ex", "10.0.0.1"),
    ],
)
def test_queries(scope: Scope, query: str, value: str | None) -> None:
    found = scope.services.lookups.search("dnsdb", query, scope).value
    assert found == value
    assert found is None or is_tainted(found)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("xxx=test.ex", "unsupported DNS record type"),
        ("a=again.ex", ""),
        ("defer_strict,a=again.ex:ten-1.ex", ""),
        ("dnssec_strict,a=ten-1.ex", ""),
        ("defer_x,a=ten-1.ex", "unsupported dnsdb defer behaviour"),
        ("dnssec_x,a=ten-1.ex", "unsupported dnsdb dnssec behaviour"),
        ("retrans_x,a=ten-1.ex", "unsupported dnsdb timeout value"),
        ("retry_x,a=ten-1.ex", "unsupported dnsdb retry count"),
        ("defer_lax", "dnsdb modifier syntax error"),
    ],
)
def test_defers(scope: Scope, query: str, reason: str) -> None:
    with pytest.raises(LookupDefer) as caught:
        scope.services.lookups.search("dnsdb", query, scope)
    assert str(caught.value) == reason


def test_results_live_as_long_as_their_records(scope: Scope) -> None:
    dns: Any = scope.services.dns
    clock: Any = scope.services.clock
    search = scope.services.lookups.search
    search("dnsdb", "a=ten-1.ex", scope)
    search("dnsdb", "a=ten-1.ex", scope)
    assert len(dns.asked) == 1
    clock.time += 301
    search("dnsdb", "a=ten-1.ex", scope)
    assert len(dns.asked) == 2


def test_authentication_is_told(scope: Scope) -> None:
    dns: Any = scope.services.dns
    dns.table[("safe.ex", "A")] = DnsAnswer("ok", (("safe.ex", "10.0.0.1"),), authenticated=True)
    for query, told in [("a=safe.ex", "yes"), ("a=ten-1.ex", "no"), ("dnssec_never,a=safe.ex", "")]:
        scope.services.lookups.search("dnsdb", query, scope)
        assert scope.state["lookup_dnssec_authenticated"] == told
