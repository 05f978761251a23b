"""Proxy Protocol, SOCKS5, ident."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.net import ident, socks
from angaros.net.proxy import SIGNATURE, ProxyError, parse_proxy
from tests.net.fakes import fake_scope
from tests.smtp.script import ScriptStream


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


FOUR = bytes((10, 0, 0, 1, 10, 0, 0, 2)) + struct.pack("!HH", 1000, 25)


@pytest.mark.parametrize(
    ("data", "source", "destination"),
    [
        (b"PROXY TCP4 10.0.0.1 10.0.0.2 1000 25\r\n", ("10.0.0.1", 1000), ("10.0.0.2", 25)),
        (b"PROXY TCP6 2001:DB8::1 ::1 1000 25\r\n", ("2001:db8::1", 1000), ("::1", 25)),
        (v2(1, 0x11, FOUR), ("10.0.0.1", 1000), ("10.0.0.2", 25)),
        (v2(1, 0x11, FOUR + b"extension"), ("10.0.0.1", 1000), ("10.0.0.2", 25)),
        (v2(1, 0x21, b"\0" * 15 + b"\1" + b"\0" * 15 + b"\2" + struct.pack("!HH", 1, 2)), ("::1", 1), ("::2", 2)),
    ],
)
def test_proxy_headers(data: bytes, source: tuple[str, int], destination: tuple[str, int]) -> None:
    for length in range(len(data)):
        assert parse_proxy(data[:length]) is None
    header = parse_proxy(data + b"EHLO x\r\n")
    assert header is not None and not header.local
    assert (header.length, (header.source, header.source_port)) == (len(data), source)
    assert (header.destination, header.destination_port) == destination


@pytest.mark.parametrize("data", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN x y\r\n", v2(0, 0, b"")])
def test_proxy_speaks_for_itself(data: bytes) -> None:
    header = parse_proxy(data)
    assert header is not None and header.local and header.length == len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO x\r\n",
        b"PROXY TCP4 10.0.0.1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65536\r\n",
        b"PROXY TCP4 " + b"x" * 120,
        v2(2, 0x11, FOUR),
        v2(1, 0x11, b""),
        v2(1, 0x31, b"x" * 216),
        SIGNATURE + struct.pack("!BBH", 0x31, 0x11, 12),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 60000),
    ],
)
def test_no_proxy_headers(data: bytes) -> None:
    with pytest.raises(ProxyError):
        parse_proxy(data)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_any_octets(data: bytes, start: bytes) -> None:
    try:
        parse_proxy(start + data)
    except ProxyError:
        pass


def test_socks_options() -> None:
    proxies = socks.parse_proxies("10.0.0.1 port=1080 auth=name name=me pass=secret : 10.0.0.2 pri=5 weight=3 tmo=7")
    assert proxies[0] == socks.SocksProxy("10.0.0.1", 1080, "name", "me", "secret")
    assert (proxies[1].priority, proxies[1].weight, proxies[1].timeout) == (5, 3, 7)
    with pytest.raises(ValueError, match="bad option"):
        socks.parse_proxies("10.0.0.1 what=ever")


class RawStream(ScriptStream):
    """Octets instead of lines."""

    def __init__(self, steps: list[tuple[str, bytes]]) -> None:
        super().__init__("")
        self._steps = steps


@pytest.mark.parametrize("reply", [0, 5])
def test_socks_conversation(reply: int) -> None:
    stream = RawStream(
        [
            ("C", b"\5\1\2"),
            ("S", b"\5\2"),
            ("C", b"\1\2me\6secret"),
            ("S", b"\1\0"),
            ("C", b"\5\1\0\1\x0a\0\0\x09\0\x19"),
            ("S", bytes((5, reply, 0, 1, 127, 0, 0, 1)) + b"\xbe\xef220 hi\r\n"),
        ]
    )
    scope = fake_scope({})
    scope.services.waiter = type("W", (), {"connect": lambda self, *a, **k: stream})()  # type: ignore[assignment]
    proxies = socks.parse_proxies("10.0.0.1 auth=name name=me pass=secret")
    target = socks.Target("10.0.0.9", 25, 5.0)
    if reply:
        with pytest.raises(OSError, match="Connection refused"):
            socks.connect(proxies, target, scope.services)
        return
    connection = socks.connect(proxies, target, scope.services)
    assert (connection.bound_address, connection.bound_port) == ("127.0.0.1", 48879)
    assert connection.stream.readline() == b"220 hi\r\n"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("1000 , 25 : USERID : UNIX : root\r\n", "root"),
        ("1000,25:USERID:UNIX,US-ASCII: some one\r\n", "someone"),
        ("1000 , 26 : USERID : UNIX : root\r\n", ""),
        ("1000 , 25 : ERROR : NO-USER\r\n", ""),
        ("rubbish", ""),
        ("1000,25:USERID:UNIX:" + "x" * 500, "x" * 127),
        ("1000,25:USERID:UNIX:a\0b\x1b\r\n", "ab"),
    ],
)
def test_ident(answer: str, name: str) -> None:
    assert ident.parse_answer(answer, 1000, 25) == name


def test_ident_over_a_stream() -> None:
    scope = fake_scope({}, rfc1413_query_timeout=5)
    session: Any = scope.session
    session.sender_host_address, session.sender_host_port, session.interface_port = "10.0.0.1", 1000, 25
    stream = ScriptStream("C: 1000 , 25\nS: 1000 , 25 : USERID : X : me")
    scope.services.waiter = type("W", (), {"connect": lambda self, *a, **k: stream})()  # type: ignore[assignment]
    assert ident.query_ident(scope) == "me"
