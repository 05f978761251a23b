"""The HTTP client: what it says, and what it does not put up with."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from angaros.model.interfaces import Services
from angaros.net import http
from angaros.net.blocking import BlockingWaiter
from angaros.net.http import HttpError, Request, fetch
from tests.net.fakes import fake_scope
from tests.net.test_tls import Made
from tests.net.web import Web, server_context


def services(table: dict[tuple[str, str], Any] | None = None) -> Services:
    found = fake_scope(table or {("web.example", "A"): ["127.0.0.1"]}).services
    found.waiter = BlockingWaiter()  # type: ignore[assignment]
    return found


@contextmanager
def peer(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """One connection, handled by `talk`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        channel, _ = listener.accept()
        with channel:
            try:
                talk(channel)
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    listener.close()


def test_get_and_post() -> None:
    with Web({"/a?b=c": (200, {"Content-Type": "Text/Plain; charset=x"}, b"hello")}) as web:
        url = f"http://web.example:{web.port}"
        answer = fetch(Request(f"{url}/a?b=c#d", 5, 100), services())
        assert (answer.status, answer.content_type, answer.body) == (200, "text/plain", b"hello")
        assert fetch(Request(url, 5, 100, b"data", {"Content-Type": "x/y"}), services()).status == 404
    (get, path, headers, _), (post, root, more, body) = web.asked
    assert (get, path, headers["host"]) == ("GET", "/a?b=c", f"web.example:{web.port}")
    assert (post, root, body, more["content-type"], more["content-length"]) == ("POST", "/", b"data", "x/y", "4")
    assert headers["connection"] == "close" and headers["user-agent"].startswith("angaros/")


def test_chunks() -> None:
    def talk(channel: socket.socket) -> None:
        channel.recv(4096)
        channel.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    with peer(talk) as port:
        assert fetch(Request(f"http://127.0.0.1:{port}/", 5, 5), services()).body == b"abcde"
    with peer(talk) as port, pytest.raises(HttpError, match="more than 4 octets"):
        fetch(Request(f"http://127.0.0.1:{port}/", 5, 4), services())


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", http.HTTP),
        (b"220 mail.example ESMTP\r\n", http.HTTP),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", http.HTTP),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, http.HTTP),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100000, http.HTTP),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", http.HTTP),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, http.SIZE),
    ],
)
def test_what_is_no_good_answer(data: bytes, kind: str) -> None:
    def talk(channel: socket.socket) -> None:
        channel.recv(4096)
        channel.sendall(data)

    with peer(talk) as port, pytest.raises(HttpError) as caught:
        fetch(Request(f"http://127.0.0.1:{port}/", 5, 1000), services())
    assert caught.value.kind == kind


def test_the_time_is_for_all_together() -> None:
    """A server that sends an octet now and then is not waited for."""
    made = services()
    made.clock.monotonic = iter([*range(7), *[100.0] * 9]).__next__  # type: ignore[method-assign]

    def talk(channel: socket.socket) -> None:
        channel.recv(4096)
        for octet in b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + b"z" * 100:
            channel.sendall(bytes([octet]))
        channel.recv(1)

    with peer(talk) as port, pytest.raises(HttpError, match="no answer within 20 seconds") as caught:
        fetch(Request(f"http://127.0.0.1:{port}/", 20, 1000), made)
    assert caught.value.kind == http.TIME


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ftp://web.example/", http.HTTP),
        ("http://web.example:99999/", http.HTTP),
        ("http://[::1/", http.HTTP),
        ("http:///x", http.DNS),
        ("http://other.example/", http.DNS),
        ("http://127.0.0.1:1/", http.CONNECT),
    ],
)
def test_what_cannot_be_asked(url: str, kind: str) -> None:
    with pytest.raises(HttpError) as caught:
        fetch(Request(url, 5, 10), services())
    assert caught.value.kind == kind


def test_the_next_address_is_tried() -> None:
    with Web({"/": (200, {}, b"x")}) as web:
        table = {("web.example", "A"): ["127.0.0.77", "127.0.0.1"]}
        assert fetch(Request(f"http://web.example:{web.port}/", 5, 10), services(table)).body == b"x"


def test_an_address_that_does_not_answer_leaves_time_for_the_next() -> None:
    made, times = services({("web.example", "A"): ["192.0.2.1", "192.0.2.2"]}), []

    def connect(address: str, port: int, *, timeout: float) -> Any:
        times.append((address, timeout))
        raise TimeoutError

    made.waiter.connect = connect  # type: ignore[method-assign,assignment]
    with pytest.raises(HttpError) as caught:
        fetch(Request("http://web.example/", 60, 10), made)
    assert caught.value.kind == http.TIME
    assert times == [("192.0.2.1", http.CONNECT_SECONDS), ("192.0.2.2", http.CONNECT_SECONDS)]


@pytest.mark.parametrize(("host", "good"), [("web.example", True), ("other.example", False), ("127.0.0.1", False)])
def test_the_certificate_must_be_for_the_host(tmp_path: Path, host: str, good: bool) -> None:
    made = Made(tmp_path)
    table = {(name, "A"): ["127.0.0.1"] for name in ("web.example", "other.example")}
    with Web({"/": (200, {}, b"x")}, server_context(*made.issue(tmp_path, "web.example"))) as web:
        request = Request(f"https://{host}:{web.port}/", 5, 10, authorities=made.cafile)
        if good:
            assert fetch(request, services(table)).body == b"x"
            assert web.names == [host]
        else:
            with pytest.raises(HttpError, match="certificate name mismatch") as caught:
                fetch(request, services(table))
            assert caught.value.kind == http.TLS and web.names == [None if host[0] == "1" else host]
