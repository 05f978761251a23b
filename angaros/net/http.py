"""One HTTP request over the `Waiter`'s streams: MTA-STS policies, TLS reports, OCSP responders.

Laws:
- The standard library's `http.client` speaks HTTP; connection, TLS, DNS and waiting are ours, so that nothing blocks the loop.
- No redirect is followed, no cookie, proxy or cache exists. Time and size have limits over all, not only for each read.
- With https the certificate must be good for the host of the URL: there is no way around that.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from angaros import __version__
from angaros.model.errors import AngarosError
from angaros.model.scope import Scope
from angaros.net.tls import VERIFY_REQUIRE, TlsError, TlsHooks, TlsSettings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from angaros.model.interfaces import Services, Stream

PORTS = {"https": 443, "http": 80}
MAX_ADDRESSES = 4
"""Addresses of a host that are tried: the time is limited anyway, and who publishes hundreds is not served by it."""

CONNECT_SECONDS = 15.0
"""For one address: one that does not answer must not use up the time of the others."""

DNS, CONNECT, TLS, HTTP, SIZE, TIME = "dns", "connect", "tls", "http", "size", "time"
"""Where a request failed."""


class HttpError(Exception):
    """The request failed: `kind` says where."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask. `url` is http: or https:, with an optional port."""

    url: str
    seconds: float
    """Of everything together: connection, TLS, the answer to its last octet."""
    octets: int
    """Most octets of the answer's body."""
    body: bytes | None = None
    """Makes it a POST."""
    headers: Mapping[str, str] = field(default_factory=dict)
    authorities: str = "system"
    """Trusted certificates, as `tls_verify_certificates`."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came."""

    status: int
    content_type: str
    """Without its parameters, in small letters."""
    body: bytes


class _Timer:
    """The time that is left."""

    def __init__(self, services: Services, seconds: float) -> None:
        self._clock = services.clock
        self._ends = services.clock.monotonic() + seconds

    def left(self) -> float:
        seconds = self._ends - self._clock.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class _Raw(io.RawIOBase):
    """A stream as the raw file under `http.client`'s buffer."""

    def __init__(self, stream: Stream, timer: _Timer) -> None:
        self._stream = stream
        self._timer = timer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._stream.read(len(view), self._timer.left())
        view[: len(data)] = data
        return len(data)


class _Socket:
    """As much of a socket as `http.client` uses."""

    def __init__(self, stream: Stream, timer: _Timer) -> None:
        self._stream = stream
        self._timer = timer

    def sendall(self, data: bytes) -> None:
        self._stream.write(bytes(data), self._timer.left())

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Raw(self._stream, self._timer))

    def close(self) -> None:
        """The stream is closed by `fetch`, when the body has been read."""


def fetch(request: Request, services: Services) -> Response:
    """Ask; any status is an answer. Raises `HttpError`."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(request.url)
        port, host = parts.port or PORTS[parts.scheme], parts.hostname or ""
    except (ValueError, KeyError):
        raise HttpError(HTTP, "not a URL that can be used") from None
    timer = _Timer(services, request.seconds)
    try:
        stream = _connect(host, port, timer, services)
        try:
            if parts.scheme == "https":
                _start_tls(stream, host, request, timer, services)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            named = f"[{host}]" if ":" in host else host
            return _ask(_Socket(stream, timer), named if port == PORTS[parts.scheme] else f"{named}:{port}", path, request)
        finally:
            stream.close()
    except TimeoutError:
        raise HttpError(TIME, f"no answer within {request.seconds:.0f} seconds") from None
    except OSError as error:
        raise HttpError(CONNECT, error.strerror or str(error)) from None


def _connect(host: str, port: int, timer: _Timer, services: Services) -> Stream:
    error: OSError | None = None
    for address in _addresses(host, services):
        try:
            return services.waiter.connect(address, port, timeout=min(timer.left(), CONNECT_SECONDS))
        except OSError as failed:  # a TimeoutError too: `left` raises it when nothing is left
            error = failed
    raise error or HttpError(DNS, f"{host} has no address")


def _is_address(host: str) -> bool:
    import ipaddress

    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _addresses(host: str, services: Services) -> list[str]:
    from angaros.net.hosts import FOUND, FOUND_LOCAL, HostQuery, find_by_dns

    if _is_address(host):
        return [host]
    query = HostQuery(addresses=True, qualify_single=False, local_check=False, dnssec_lists="none")
    try:
        search = find_by_dns(host, Scope(services), query)
    except AngarosError as error:  # a list that the resolver looks into
        raise HttpError(DNS, str(error) or f"no address found for {host}") from None
    if search.status not in (FOUND, FOUND_LOCAL):
        raise HttpError(DNS, f"no address found for {host}")
    return [found.address for found in search.hosts[:MAX_ADDRESSES]]


def _start_tls(stream: Stream, host: str, request: Request, timer: _Timer, services: Services) -> None:
    from angaros.net.tls_config import context_cache

    settings = TlsSettings(server=False, verify=VERIFY_REQUIRE, authorities=request.authorities)
    try:
        context = context_cache(services).context(settings, services.clock.now())
        name = "" if _is_address(host) else host  # RFC 6066 3
        stream.start_tls(context.with_hooks(TlsHooks(check_names=(host,))), server_name=name, timeout=timer.left())
    except TlsError as error:
        raise HttpError(TLS, "; ".join([*error.problems, str(error)])) from None


def _ask(socket: Any, host: str, path: str, request: Request) -> Response:
    import http.client

    connection = http.client.HTTPConnection(host)
    connection.sock = socket
    headers = {"Host": host, "User-Agent": f"angaros/{__version__}", "Connection": "close", **request.headers}
    try:
        connection.request("GET" if request.body is None else "POST", path, request.body, headers)
        answer = connection.getresponse()
        body = answer.read(request.octets + 1)
    except (http.client.HTTPException, ValueError) as error:
        raise HttpError(HTTP, f"not HTTP: {type(error).__name__}") from None
    if len(body) > request.octets:
        raise HttpError(SIZE, f"more than {request.octets} octets")
    if answer.length:  # fewer octets than were promised
        raise HttpError(HTTP, "the answer is cut off")
    content_type = answer.getheader("Content-Type") or ""
    return Response(answer.status, content_type.partition(";")[0].strip().lower(), body)
