"""The part of a `Stream` that does not depend on how it waits: buffering, lines, TLS.

A subclass gives `_receive` (at least one octet, b"" at the end), `_send` (all of it), `_pending` (something to receive).
All time-outs raise TimeoutError, failures OSError.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from angaros.model.errors import AngarosError
from angaros.model.tls import TlsFacts
from angaros.net.sockets import abort_on_close

if TYPE_CHECKING:
    from angaros.net.tls_engine import TlsEngine

TLS_CHUNK = 65536
"""Plain octets given to TLS at once: a few records, so that memory stays small and the peer gets going."""


class BaseStream:
    """Buffers, lines and TLS over `_receive` and `_send`."""

    local_address: str = ""
    local_port: int = 0
    peer_address: str = ""
    peer_port: int = 0
    peer_uid: int = -1
    fast_open: str = ""

    def __init__(self) -> None:
        self.tls: TlsFacts | None = None
        self._buffer = b""
        self._engine: TlsEngine | None = None
        self.closed = False

    # What a subclass gives.

    def _receive(self, timeout: float | None) -> bytes:
        raise NotImplementedError

    def _send(self, data: bytes, timeout: float | None) -> None:
        raise NotImplementedError

    def _pending(self) -> bool:
        raise NotImplementedError

    # Reading.

    def read(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """At least one octet; b"" at the end."""
        data = self._buffer or self._fill(timeout)
        if len(data) <= limit:
            self._buffer = b""
            return data
        self._buffer = data[limit:]
        return data[:limit]

    def readline(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """Up to and with the next LF; less at the end of input or at `limit`. `timeout` is for each wait."""
        data = self._buffer
        searched = 0
        while True:
            end = data.find(b"\n", searched) + 1
            if not end and len(data) < limit:
                searched = len(data)
                self._buffer = data
                more = self._fill(timeout)
                if more:
                    data += more
                    continue
                end = len(data)
            if not end or end > limit:
                end = min(limit, len(data))
            self._buffer = data[end:]
            return data[:end]

    def unread(self, data: bytes) -> None:
        """Put octets back; the next read gives them first."""
        self._buffer = data + self._buffer

    def input_waiting(self) -> bool:
        """Whether octets, or the end, have come and are not yet read."""
        if self._buffer or self._engine is None or not self._pending():
            return bool(self._buffer) or self._pending()
        # Under TLS there may be octets that are not data (tickets): take them in and see.
        self._buffer = self._decrypt(self._receive(0.0))
        return bool(self._buffer) or self._engine.closed or self._pending()

    def _fill(self, timeout: float | None) -> bytes:
        engine = self._engine
        if engine is None:
            return self._receive(timeout)
        data = self._plain(engine)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not data and not engine.closed:
            raw = self._receive(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if not raw:
                engine.closed = True
                break
            data = self._decrypt(raw)
        return data

    def _decrypt(self, raw: bytes) -> bytes:
        engine = self._engine
        assert engine is not None
        if not raw:
            engine.closed = True
            return b""
        engine.feed(raw)
        data = self._plain(engine)
        answer = engine.take()
        if answer:
            self._send(answer, None)
        return data

    @staticmethod
    def _plain(engine: TlsEngine) -> bytes:
        """What has come. TLS that breaks (an alert, a record that is none) is a connection that breaks."""
        try:
            return engine.read()
        except AngarosError as error:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error

    # Writing.

    def write(self, data: bytes, timeout: float | None = None) -> None:
        """All of `data`."""
        engine = self._engine
        if engine is None:
            self._send(data, timeout)
            return
        for start in range(0, len(data), TLS_CHUNK):
            try:
                engine.write(data[start : start + TLS_CHUNK])
            except AngarosError as error:  # the peer has ended TLS
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
            self._send(engine.take(), timeout)

    # TLS.

    def start_tls(self, context: Any, *, server_name: str = "", timeout: float | None = None) -> TlsFacts:
        """Client handshake; see `net.tls`."""
        return self._handshake(context.engine(server_name), timeout)

    def accept_tls(self, context: Any, *, timeout: float | None = None) -> TlsFacts:
        """Server handshake; see `net.tls`."""
        return self._handshake(context.engine(), timeout)

    def _handshake(self, engine: TlsEngine, timeout: float | None) -> TlsFacts:
        """RFC 3207 4.2: what came in the clear before the handshake is forgotten."""
        self._buffer = b""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while not engine.do_handshake():
                self._flush(engine, timeout)
                raw = self._receive(None if deadline is None else max(0.0, deadline - time.monotonic()))
                if raw:
                    engine.feed(raw)
                else:
                    engine.feed_eof()
            self._flush(engine, timeout)
        except Exception:
            self._flush_quietly(engine)
            raise
        self._engine = engine
        self.tls = engine.facts()
        return self.tls

    def _flush(self, engine: TlsEngine, timeout: float | None) -> None:
        data = engine.take()
        if data:
            self._send(data, timeout)

    def _flush_quietly(self, engine: TlsEngine) -> None:
        """Send the alert, if there is one; the peer may be gone."""
        try:
            self._flush(engine, 1.0)
        except OSError:
            pass

    def stop_tls(self) -> None:
        """Send close_notify; the stream goes on in the clear after the peer's."""
        engine = self._engine
        if engine is None:
            return
        engine.shutdown()
        self._flush_quietly(engine)
        self._engine = None

    def disown(self) -> None:
        """Another process goes on with the connection: close our side without a word."""
        self._engine = None
        self.close()

    def reset(self) -> None:
        """Close without a word; a TCP peer is told by a reset, so that it cannot take this for the end of something."""
        self._engine = None
        with suppress(OSError):
            abort_on_close(self.fileno())
        self.close()

    def fileno(self) -> int:
        """The descriptor; OSError when there is none."""
        raise OSError("no descriptor")

    def close(self) -> None:
        """Of the subclass."""
        raise NotImplementedError

    def tls_engine(self) -> TlsEngine | None:
        """For what needs more than the facts: session tickets, channel bindings."""
        return self._engine
