"""TCP Fast Open on loopback, where the kernel has it; and what happens where it has not."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from angaros.net import fast_open
from angaros.net.blocking import BlockingWaiter

SCRIPT = """
import socket
from angaros.net import fast_open
from angaros.net.blocking import BlockingWaiter
open(fast_open.SETTING, "w").write("3")
waiter = BlockingWaiter()
server = socket.create_server(("127.0.0.1", 0))
fast_open.listen_fast(server)
for early in (b"", b"", b"EHLO x\\r\\n"):
    made = waiter.connect("127.0.0.1", server.getsockname()[1], timeout=5, options={"fastopen": True, "early_data": early})
    peer, _ = server.accept()
    got = peer.recv(100) if early else b""
    print(made.fast_open or "-", fast_open.used_by_server(peer.fileno()) or "-", got.decode().strip() or "-")
    peer.close()
    made.close()
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network namespace in which servers may do it")
def test_a_cookie_saves_a_round_trip() -> None:
    """The first connection gets the cookie, the second uses it, the third sends EHLO with the SYN."""
    command = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == "- - -"
    assert second in ("tfo TFO -", "tfo - -")  # Linux before 6.13 does not tell the server
    assert third == "tfo_data TFO* EHLO x"


class Refusing:
    """A socket of a kernel without it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.connected: list[Any] = []

    def sendto(self, data: bytes, flags: int, target: Any) -> int:
        assert flags == fast_open.MSG_FASTOPEN
        if not self.number:
            return len(data)
        raise OSError(self.number, os.strerror(self.number))

    def connect_ex(self, target: Any) -> int:
        self.connected.append(target)
        return errno.EINPROGRESS


@pytest.mark.parametrize(
    ("number", "again", "code"),
    [
        (errno.EOPNOTSUPP, True, errno.EINPROGRESS),
        (errno.EINPROGRESS, False, errno.EINPROGRESS),
        (errno.ENETUNREACH, False, errno.ENETUNREACH),
    ],
)
def test_without_it_the_connection_is_made_as_ever(number: int, again: bool, code: int) -> None:
    sock: Any = Refusing(number)
    assert fast_open.begin_connect(sock, ("x", 1), {"fastopen": True, "early_data": b"x"}) == (code, 0)
    assert bool(sock.connected) == again
    plain: Any = Refusing(number)
    assert fast_open.begin_connect(plain, ("x", 1), {}) == (errno.EINPROGRESS, 0) and plain.connected


def test_octets_that_are_under_way_are_no_connection_yet() -> None:
    """The answer to the SYN takes a round trip: until then the socket has no peer, and may still be refused."""
    sock: Any = Refusing(0)
    assert fast_open.begin_connect(sock, ("x", 1), {"fastopen": True, "early_data": b"EHLO x"}) == (errno.EINPROGRESS, 6)
    assert not sock.connected


@pytest.mark.parametrize("options", [{}, {"fastopen": True}])
def test_early_data_arrives_whatever_the_kernel_does(options: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = BlockingWaiter().connect(
            "127.0.0.1", server.getsockname()[1], timeout=5, options={**options, "early_data": b"EHLO x"}
        )
        peer, _ = server.accept()
        with peer:
            assert peer.recv(100) == b"EHLO x"
        made.close()


@pytest.mark.parametrize(
    ("text", "enabled"), [("3\n", True), ("2\n", True), ("1\n", False), ("0\n", False), ("x", False), (None, False)]
)
def test_the_administrator_decides_for_servers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, text: str | None, enabled: bool
) -> None:
    file = tmp_path / "tcp_fastopen"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(fast_open, "SETTING", str(file))
    fast_open.server_enabled.cache_clear()
    try:
        assert fast_open.server_enabled() == enabled
        calls: list[Callable[..., Any]] = []

        class Listening:
            def setsockopt(self, *arguments: Any) -> None:
                calls.append(arguments)  # type: ignore[arg-type]

        fast_open.listen_fast(Listening())  # type: ignore[arg-type]
        assert bool(calls) == enabled
    finally:
        fast_open.server_enabled.cache_clear()
