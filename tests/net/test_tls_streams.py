"""TLS that breaks after the handshake: for who reads and writes it is a connection that breaks, no other error."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from angaros.net.streams import BaseStream
from angaros.net.tls import ContextCache, TlsError, TlsSettings
from angaros.net.tls_engine import TlsEngine
from tests.net.test_tls import Made


class Wired(BaseStream):
    """A stream whose other end is an engine in the same thread."""

    def __init__(self, peer: TlsEngine) -> None:
        super().__init__()
        self.peer = peer
        self.ready = b""
        self.shaking = True

    def _send(self, data: bytes, timeout: float | None) -> None:
        self.peer.feed(data)
        try:
            if self.shaking:
                self.shaking = not self.peer.do_handshake()
        except TlsError:
            self.shaking = False
        self.ready += self.peer.take()

    def _receive(self, timeout: float | None) -> bytes:
        data, self.ready = self.ready, b""
        return data

    def _pending(self) -> bool:
        return bool(self.ready)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("tls"))


def connected(made: Made, server: TlsSettings) -> Wired:
    cache = ContextCache()
    stream = Wired(cache.context(server, time.time()).engine())
    stream.start_tls(cache.context(TlsSettings(False), time.time()))
    return stream


def test_a_certificate_that_is_missed_after_the_handshake(made: Made) -> None:
    """In TLS 1.3 the client believes in a session before the server has seen that there is no certificate."""
    stream = connected(made, TlsSettings(True, (made.chain,), (made.keyfile,), verify="require", authorities=made.cafile))
    with pytest.raises(ConnectionResetError):
        stream.read(100)
    with pytest.raises(OSError):
        stream.write(b"QUIT\r\n")


def test_a_record_that_is_none(made: Made) -> None:
    stream = connected(made, made.server)
    stream.ready += b"250 hello in the clear\r\n"
    with pytest.raises(ConnectionResetError):
        stream.readline()


def test_what_is_right_still_works(made: Made, tmp_path: Path) -> None:
    stream = connected(made, made.server)
    stream.peer.write(b"220 hello\r\n")
    stream.ready += stream.peer.take()
    assert stream.readline() == b"220 hello\r\n"
    stream.write(b"QUIT\r\n")
    assert stream.peer.read() == b"QUIT\r\n"
