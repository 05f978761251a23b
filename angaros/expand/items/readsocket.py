"""`${readsocket{name}{request}{options}{eol}{fail}}`. # Exim spec 11.5 (readsocket)

Laws:
- All waiting goes through the waiter; every wait has the item's time-out.
- The fifth string is looked at only when the socket fails.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.expand.items.files import with_eol
from angaros.expand.limits import permitted
from angaros.expand.nodes import Broken, Node, fail, first_skip_error
from angaros.expand.parser import Parser
from angaros.model.errors import AngarosError
from angaros.model.text import Tainted, is_tainted

if TYPE_CHECKING:
    from angaros.model.interfaces import Stream
    from angaros.model.scope import Scope

TIMEOUT = 5
"""Seconds, when the options do not say."""
MAX_ANSWER = 16 << 20
"""Octets read from a socket."""
MAX_CACHED = 1000
"""Answers kept for `cache=yes`."""


class SocketFailure(Exception):
    """A failure that the fifth argument is for; `str()` is the message."""


@dataclass(slots=True)
class Options:
    """The third argument."""

    timeout: int = TIMEOUT
    shutdown: bool = True
    tls: bool = False
    cache: bool = False
    sni: str = ""
    bad: str = ""
    """A time that is none: said when the connection stands."""


def parse_options(text: str) -> Options:
    """`3s:shutdown=no:...`."""
    from angaros.expand.operators.numbers import interval
    from angaros.lists.parse import split_list

    found = Options()
    items = split_list(text) if text else []
    for index, item in enumerate(items):
        name, equals, value = item.partition("=")
        if index == 0 and not equals:
            seconds = interval(item)
            found.bad = item if seconds is None else ""
            found.timeout = found.timeout if seconds is None else seconds
        elif name in ("shutdown", "tls", "cache") and equals:
            setattr(found, name, value.strip().lower() in ("yes", "true"))
        elif name == "sni" and equals:
            found.sni = value
    return found


class ReadSocket(Node):
    """Connect, send, read to the end."""

    __slots__ = ("arguments", "failure", "tail")

    def __init__(self, arguments: list[Node], failure: Node | None, tail: Broken | None) -> None:
        super().__init__()
        self.arguments = arguments
        self.failure = failure
        self.tail = tail
        nodes = [*arguments, *([failure] if failure else []), *([tail] if tail else [])]
        self.skip_error = first_skip_error(nodes)

    def eval(self, scope: Scope) -> str:
        permitted(scope, "readsocket")
        texts = [node.eval(scope) for node in self.arguments]
        options = parse_options(texts[2] if len(texts) > 2 else "")
        try:
            answer = self._answer(texts[0], texts[1], options, scope)
            eol = texts[3] if len(texts) > 3 and texts[3] else None
            result = with_eol(answer, eol)
            late = self.failure.skip_error if self.failure is not None else None
            if late is not None:
                raise fail(late)
        except SocketFailure as error:
            if self.failure is None:
                raise fail(str(error)) from None
            result = self.failure.eval(scope)
        if self.tail is not None:
            raise fail(self.tail.message)
        return result

    def _answer(self, name: str, request: str, options: Options, scope: Scope) -> str:
        cache: dict[tuple[str, Any], str] = scope.services.extra.setdefault("readsocket", {})
        key = (str(name), str(request))
        if options.cache and key in cache:
            return Tainted(cache[key])
        if not options.cache:
            for stale in [known for known in cache if known[0] == key[0]]:
                del cache[stale]
        answer = Tainted(_exchange(name, request, options, scope).decode("latin-1"))
        if options.cache and len(cache) < MAX_CACHED:
            cache[key] = answer
        return answer


def _exchange(name: str, request: str, options: Options, scope: Scope) -> bytes:
    if is_tainted(name):
        text = f"Tainted filename for search: '{name}'"
        scope.services.log.write(text, panic=True)
        raise fail(text)
    stream = _connect(str(name), options, scope)
    try:
        if options.bad:
            raise fail(f"bad time value {options.bad}")
        try:
            if request:
                stream.write(request.encode("latin-1"), timeout=options.timeout)
        except OSError as error:
            raise SocketFailure(f"request write to socket failed: {_reason(error)}") from None
        if options.shutdown and not options.tls:
            with suppress(OSError):  # the peer may have closed already, and yet have sent something
                stream.shutdown_write()
        return _read_all(stream, options.timeout)
    finally:
        stream.close()


def _read_all(stream: Stream, timeout: int) -> bytes:
    data = bytearray()
    while True:
        try:
            more = stream.read(65536, timeout)
        except TimeoutError:
            raise SocketFailure("socket read timed out") from None
        except ConnectionResetError:
            return bytes(data)
        except (OSError, AngarosError) as error:
            raise SocketFailure(f"socket read failed: {_reason(error)}") from None
        if not more:
            return bytes(data)
        data += more
        if len(data) > MAX_ANSWER:
            raise SocketFailure(f"socket answer is longer than {MAX_ANSWER} octets")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return os.strerror(110)
    return getattr(error, "strerror", None) or str(error)


# --- Connecting --------------------------------------------------------------------------------------------------------


def _connect(name: str, options: Options, scope: Scope) -> Stream:
    if not name.startswith("inet:"):
        try:
            return scope.services.waiter.connect_unix(name, timeout=options.timeout)
        except (OSError, ValueError) as error:
            raise SocketFailure(f"failed to connect to socket {name}: {_reason(error)}") from None
    host, port = _host_and_port(name[5:])
    last: Exception | None = None
    for address in _addresses(host, scope):
        try:
            stream = scope.services.waiter.connect(address, port, timeout=options.timeout)
        except OSError as error:
            last = error
            continue
        return _with_tls(stream, host, options, scope) if options.tls else stream
    shown = f"[{host}]" if name.startswith("inet:[") else host
    raise SocketFailure(f"failed to connect to any address for {shown}: {_reason(last or OSError(113, os.strerror(113)))}")


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, service = text.rpartition(":")
    if not colon or not service:
        raise SocketFailure(f"missing port for readsocket {text}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if service.isdigit():
        return host, int(service) & 0xFFFF
    try:
        return host, socket.getservbyname(service, "tcp")
    except (OSError, ValueError):
        raise SocketFailure(f'unknown port "{service}"') from None


def _addresses(host: str, scope: Scope) -> list[str]:
    from angaros.expand.ip import ip_version

    if ip_version(host):
        return [host]
    if not host.strip("0123456789."):  # `127.1`, as gethostbyname() takes it
        with suppress(OSError):
            return [socket.inet_ntoa(socket.inet_aton(host))]
    from angaros.net.hosts import HostQuery, find_by_name

    found = find_by_name(host, scope, HostQuery(local_check=False, qualify_single=True))
    addresses = [item.address for item in found.hosts if item.address]
    if not addresses:
        text = f"no IP address found for host {host}"
        scope.services.log.write(text, panic=True)
        raise SocketFailure(text)
    return addresses


def _with_tls(stream: Stream, host: str, options: Options, scope: Scope) -> Stream:
    from angaros.net.tls import TlsError, TlsSettings
    from angaros.net.tls_config import context_cache

    try:
        settings = TlsSettings(server=False, authorities="")
        context = context_cache(scope.services).context(settings, scope.services.clock.now())
        stream.start_tls(context, server_name=options.sni or host, timeout=options.timeout)
    except (TlsError, OSError) as error:
        stream.close()
        raise SocketFailure(f"TLS connect failed: {_reason(error)}") from None
    return stream


def parse_readsocket(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (readsocket)"""
    arguments = p.groups(name, 2, 4)
    if p.broken:
        return p.unfinished(arguments)
    failure: Node | None = None
    tail: Broken | None = None
    if p.skip_space() == "{":
        failure = p.group()
    if not p.broken:
        tail = p.close("missing '}' closing readsocket")
    return ReadSocket(arguments, failure, tail)
