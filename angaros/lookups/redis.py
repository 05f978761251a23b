"""`redis`: commands to a Redis server, in its own protocol (RESP 2), without a library. # Exim spec 9.22, 9.27

In a cluster, a server that answers MOVED or ASK makes the next server of the list be asked, as the manual says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.lookups.base import NOT_FOUND, Request
from angaros.lookups.sql import Kind, Pool, Server, host_and_port, perform
from angaros.model.errors import LookupDefer
from angaros.model.interfaces import LookupResult
from angaros.model.text import octets, text, untaint

if TYPE_CHECKING:
    from angaros.model.interfaces import Stream, Waiter

KIND = Kind("Redis", "redis_servers", 3)
PORT = 6379
TIMEOUT = 30.0
"""Seconds for connecting and for an answer; Exim has none and would hang for ever."""
MAX_WORDS = 32
"""Words of a command, as in Exim."""
MAX_REPLY = 64 << 20
"""Octets of one value: Redis allows 512 MiB, no lookup wants that."""
MAX_DEPTH = 8
"""Arrays within arrays."""


class ReplyError(Exception):
    """The server's error reply."""


class Redis:
    """Keeps connections."""

    def __init__(self) -> None:
        self._pool = Pool()

    def find(self, request: Request) -> LookupResult:
        """The reply as text; nil is not found; the elements of an array stand on lines."""
        waiter = request.scope.services.waiter
        return perform(request, KIND, lambda server, query: self._ask(server, untaint(query), waiter))

    def _ask(self, server: Server, query: str, waiter: Waiter) -> LookupResult:
        words = split_command(query)
        if not words:
            raise LookupDefer("REDIS: query was empty")
        stream = self._pool.take(server)
        if stream is not None:
            try:
                return self._use(server, stream, words)
            except OSError:
                stream.close()
        try:
            stream = _connect(server, waiter)
        except (OSError, ReplyError) as error:
            raise LookupDefer(f"REDIS connection failed: {error}") from error
        try:
            return self._use(server, stream, words)
        except OSError as error:
            stream.close()
            raise LookupDefer(f"REDIS: query failed: {error}") from error

    def _use(self, server: Server, stream: Stream, words: list[str]) -> LookupResult:
        try:
            reply = _command(stream, words)
        except ReplyError as error:
            self._pool.give(server, stream)
            raise LookupDefer(f"REDIS: lookup result failed: {error}") from error
        self._pool.give(server, stream)
        lines = _lines(reply)
        return NOT_FOUND if lines is None else LookupResult("\n".join(lines), cacheable=words[0].lower() in _READING)

    def quote(self, value: str, option: str, kind: str) -> str | None:
        """White space and backslashes are escaped."""
        if option:
            return None
        return "".join("\\" + char if char in " \t\n\v\f\r\\" else char for char in str(value))

    def close(self) -> None:
        """Close connections."""
        self._pool.close()


_READING = frozenset(("get", "hget", "hgetall", "mget", "hmget", "lrange", "smembers", "sismember", "exists", "keys", "zrange"))
"""Commands whose results may be cached; others may change something."""


def split_command(query: str) -> list[str]:
    """Words between white space; a backslash takes the next character as it is."""
    words: list[str] = []
    word: str | None = None
    chars = iter(query)
    for char in chars:
        if char in " \t\n\v\f\r":
            if word is not None:
                words.append(word)
                word = None
            continue
        if char == "\\":
            char = next(chars, "\\")
        word = (word or "") + char
    if word is not None:
        words.append(word)
    if len(words) > MAX_WORDS:
        raise LookupDefer("REDIS: too many words in the command")
    return words


def _connect(server: Server, waiter: Waiter) -> Stream:
    host, path = server.port_part
    if path:
        stream = waiter.connect_unix(path, timeout=TIMEOUT)
    else:
        address, port = host_and_port(host, PORT)
        address = "127.0.0.1" if address in ("", "localhost") else address
        stream = waiter.connect(address, port, timeout=TIMEOUT)
    number, password = server.rest
    try:
        if password:
            _command(stream, ["AUTH", password])
        if number:
            _command(stream, ["SELECT", number])
    except BaseException:
        stream.close()
        raise
    return stream


def _command(stream: Stream, words: list[str]) -> Any:
    """Send a command, read its reply. ReplyError for the server's `-ERR`."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = octets(word)
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    stream.write(b"".join(parts), timeout=TIMEOUT)
    return _reply(stream, 0)


def _reply(stream: Stream, depth: int) -> Any:
    """str, int, None or a list of these."""
    line = stream.readline(65536, timeout=TIMEOUT)
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("connection closed by Redis server")
    kind, rest = line[:1], text(line[1:-2])
    if kind == b"+":
        return rest
    if kind == b"-":
        raise ReplyError(rest)
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return _bulk(stream, int(rest))
    if kind == b"*" and depth < MAX_DEPTH:
        count = int(rest)
        return None if count < 0 else [_reply(stream, depth + 1) for _ in range(count)]
    raise ConnectionResetError("unexpected reply of Redis server")


def _bulk(stream: Stream, size: int) -> str | None:
    if size < 0:
        return None
    if size > MAX_REPLY:
        raise ConnectionResetError("reply of Redis server is too long")
    data = b""
    parts: list[bytes] = []
    left = size + 2
    while left:
        data = stream.read(min(left, 65536), timeout=TIMEOUT)
        if not data:
            raise ConnectionResetError("connection closed by Redis server")
        parts.append(data)
        left -= len(data)
    return text(b"".join(parts)[:-2])


def _lines(reply: Any) -> list[str] | None:
    if reply is None:
        return None
    if isinstance(reply, list):
        lines: list[str] = []
        for item in reply:
            lines.extend(_lines(item) or [""] if not isinstance(item, list) else _lines(item) or [])
        return lines or None
    return [str(reply)]
