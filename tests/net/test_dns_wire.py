"""The DNS parser: against dnspython, and against whatever comes."""

from __future__ import annotations

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.net.dns_wire import TYPES, WireError, answers_query, build_query, pack_name, parse_response, read_name


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("A", "10.0.0.1", "10.0.0.1"),
        ("AAAA", "2001:db8::1", "2001:db8::1"),
        ("MX", "10 mail.example.com.", (10, "mail.example.com")),
        ("MX", "0 .", (0, "")),
        ("SRV", "1 2 25 host.example.", (1, 2, 25, "host.example")),
        ("TXT", '"ab" "c\\"d"', ("ab", 'c"d')),
        ("PTR", "a.b.c.", "a.b.c"),
        ("TLSA", "3 1 1 " + "ab" * 32, (3, 1, 1, b"\xab" * 32)),
        ("SOA", "ns.x. host.x. 1 2 3 4 5", ("ns.x", "host.x", 1, 2, 3, 4, 5)),
        ("CNAME", "x\\.y.z.", "x\\.y.z"),
    ],
)
def test_reads_what_dnspython_writes(kind: str, text: str, value: object) -> None:
    query = dns.message.make_query("www.example.com", kind)
    answer = dns.message.make_response(query)
    answer.answer.append(dns.rrset.from_text("www.example.com.", 300, "IN", kind, text))
    response = parse_response(answer.to_wire())
    record = response.answers[0]
    assert (record.name, record.kind, record.ttl, record.data) == ("www.example.com", TYPES[kind], 300, value)


@pytest.mark.parametrize("dnssec", [True, False])
def test_dnspython_reads_our_query(dnssec: bool) -> None:
    query = build_query(0x1234, "Mail.Example.com", TYPES["MX"], edns=True, dnssec=dnssec)
    message = dns.message.from_wire(query)
    assert message.id == 0x1234
    assert str(message.question[0].name) == "Mail.Example.com."
    assert bool(message.ednsflags & 0x8000) == dnssec
    answer = dns.message.make_response(message).to_wire()
    assert answers_query(answer, query)
    assert not answers_query(b"\0\0" + answer[2:], query)
    assert not answers_query(answer[:14] + b"X" + answer[15:], query)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc0\x0c",  # points to itself
        b"\xc0\x0e\xc0\x0c",  # to each other
        b"\x3f" + b"a" * 10,  # label beyond the end
        b"\x80a\0",  # label type
        b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0",  # longer than 255
        b"",
    ],
)
def test_broken_names(data: bytes) -> None:
    with pytest.raises((WireError, IndexError)):
        read_name(b"\0" * 12 + data, 12)


@pytest.mark.parametrize("name", ["a..b", ".", "x" * 64, ".".join(["abcdefgh"] * 32), ""])
def test_names_that_do_not_fit(name: str) -> None:
    if name in (".", ""):
        assert pack_name(name) == b"\0"
        return
    with pytest.raises(WireError):
        pack_name(name)


@given(st.binary(max_size=600))
def test_any_octets(data: bytes) -> None:
    try:
        parse_response(data)
    except WireError:
        pass


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_twisted_answers(position: int, change: bytes) -> None:
    query = dns.message.make_query("www.example.com", "MX")
    answer = dns.message.make_response(query)
    answer.answer.append(dns.rrset.from_text("www.example.com.", 300, "IN", "MX", "10 a.example.com.", "20 b.example.com."))
    answer.authority.append(dns.rrset.from_text("example.com.", 300, "IN", "NS", "ns1.example.com."))
    wire = bytearray(answer.to_wire())
    position %= len(wire)
    wire[position : position + len(change)] = change
    try:
        parse_response(bytes(wire))
    except WireError:
        pass


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6))
def test_names_go_both_ways(labels: list[bytes]) -> None:
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    name, end = read_name(wire, 0)
    assert end == len(wire)
    assert pack_name(name) == wire
