"""Talking to LDAP servers: connections, TLS, bind, search. # RFC 4511, Exim spec 9.17"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.lookups import ldap_wire
from angaros.lookups.ldap_wire import LdapSyntaxError, Result
from angaros.lookups.sql import MAX_IDLE
from angaros.model.errors import AngarosError, LookupDefer
from angaros.model.text import octets, text

if TYPE_CHECKING:
    from angaros.model.interfaces import Stream
    from angaros.model.scope import Scope
    from angaros.net.tls import TlsSettings

Entry = tuple[bytes, list[tuple[bytes, list[bytes]]]]
DEFAULT_TIMEOUT = 120
"""Seconds without NETTIME; Exim then waits as long as the system does."""
MAX_ENTRIES = 10000
"""Entries of one search; more would fill the memory and no lookup wants them."""
DEFAULT_SOCKET = "/run/slapd/ldapi"
VERIFY = {"hard": "require", "demand": "require", "allow": "no", "try": "try", "never": "no"}


class LdapError(LookupDefer):
    """A server that cannot be used now."""

    def __init__(self, reason: str, code: int = -1) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Place:
    """A server, and who we are there."""

    scheme: str
    host: str
    port: int = 0
    user: str = ""
    password: str = ""

    @property
    def shown(self) -> str:
        """As in Exim's messages: `host:389`."""
        if self.scheme == "ldapi":
            return self.host
        return f"{self.host or 'NULL'}:{self.port or (636 if self.scheme == 'ldaps' else 389)}"


class _Connection:
    """One bound connection."""

    __slots__ = ("buffer", "number", "stream", "timeout")

    def __init__(self, stream: Stream, timeout: float) -> None:
        self.stream = stream
        self.timeout = timeout
        self.buffer = b""
        self.number = 0

    def send(self, operation: bytes) -> int:
        """Send a request; its number."""
        self.number += 1
        self.stream.write(ldap_wire.message(self.number, operation), timeout=self.timeout)
        return self.number

    def receive(self, number: int) -> tuple[int, bytes]:
        """The next response to a request."""
        while True:
            size = ldap_wire.message_size(self.buffer)
            if size and len(self.buffer) >= size:
                data, self.buffer = self.buffer[:size], self.buffer[size:]
                _, content, _ = ldap_wire.read_tlv(data)
                parts = list(ldap_wire.elements(content))
                if len(parts) < 2:
                    raise LdapSyntaxError("short message")
                if int.from_bytes(parts[0][1], "big") == number:
                    return parts[1]
                continue
            more = self.stream.read(65536, timeout=self.timeout)
            if not more:
                raise ConnectionResetError("connection closed by server")
            self.buffer += more

    def close(self) -> None:
        """Say good-bye."""
        try:
            self.send(tlv_unbind())
        except OSError:
            pass
        self.stream.close()


def tlv_unbind() -> bytes:
    """UnbindRequest is an empty NULL. # RFC 4511 4.3"""
    return ldap_wire.tlv(ldap_wire.UNBIND, b"")


class Connections:
    """Bound connections that wait for the next search."""

    def __init__(self) -> None:
        self._idle: dict[Place, list[_Connection]] = {}

    def search(self, place: Place, request: bytes, scope: Scope, timeout: float) -> tuple[list[Entry], list[bytes], Result]:
        """Entries, referrals and the result of one search; a dead old connection is replaced once."""
        idle = self._idle.get(place)
        if idle:
            connection = idle.pop()
            connection.timeout = timeout
            try:
                return self._search(place, connection, request)
            except (OSError, LdapSyntaxError):
                connection.stream.close()
        connection = self._open(place, scope, timeout)
        try:
            return self._search(place, connection, request)
        except TimeoutError as error:
            connection.stream.close()
            raise LdapError("ldap_result timed out") from error
        except (OSError, LdapSyntaxError) as error:
            connection.stream.close()
            raise LdapError(f"ldap_result failed: {error}") from error

    def _search(self, place: Place, connection: _Connection, request: bytes) -> tuple[list[Entry], list[bytes], Result]:
        number = connection.send(request)
        entries: list[Entry] = []
        referrals: list[bytes] = []
        while True:
            tag, content = connection.receive(number)
            if tag == ldap_wire.ENTRY:
                entries.append(ldap_wire.parse_entry(content))
                if len(entries) > MAX_ENTRIES:
                    raise LdapSyntaxError("too many entries")
            elif tag == ldap_wire.REFERENCE:
                referrals += [uri for _, uri in ldap_wire.elements(content)][:1]
            elif tag == ldap_wire.DONE:
                waiting = self._idle.setdefault(place, [])
                if len(waiting) < MAX_IDLE:
                    waiting.append(connection)
                else:
                    connection.close()
                return entries, referrals, ldap_wire.parse_result(content)

    def check(self, place: Place, scope: Scope, timeout: float) -> None:
        """Bind, no more. LdapError with the server's code."""
        self._open(place, scope, timeout).close()

    def _open(self, place: Place, scope: Scope, timeout: float) -> _Connection:
        """Connect, TLS, bind."""
        name = place.shown
        try:
            stream = _connect(place, scope, timeout)
        except OSError as error:
            raise LdapError(f"failed to bind the LDAP connection to server {name} - ldap_bind() returned -1") from error
        connection = _Connection(stream, timeout)
        try:
            _secure(connection, place, scope)
            version = scope.services.config.main.ldap_version
            number = connection.send(
                ldap_wire.bind_request(octets(place.user), octets(place.password), version if version > 0 else 3)
            )
            result = ldap_wire.parse_result(connection.receive(number)[1])
        except (OSError, LdapSyntaxError) as error:
            stream.close()
            raise LdapError(f"failed to bind the LDAP connection to server {name} - LDAP error: {error}") from error
        except BaseException:
            stream.close()
            raise
        if result.code:
            stream.close()
            reason = ldap_wire.ERRORS.get(result.code, "Unknown error")
            line = f"failed to bind the LDAP connection to server {name} - LDAP error {result.code}: {reason}"
            raise LdapError(line, result.code)
        return connection

    def close(self) -> None:
        """Close all that wait."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()


def _connect(place: Place, scope: Scope, timeout: float) -> Stream:
    waiter = scope.services.waiter
    if place.scheme == "ldapi":
        return waiter.connect_unix(place.host or DEFAULT_SOCKET, timeout=timeout)
    port = place.port or (636 if place.scheme == "ldaps" else 389)
    last: OSError | None = None
    for address in _addresses(place.host or "localhost", scope):
        try:
            return waiter.connect(address, port, timeout=timeout)
        except OSError as error:
            last = error
    raise last or OSError(f"host {place.host} not found")


def _addresses(host: str, scope: Scope) -> list[str]:
    from angaros.lists.ip import parse_ip

    if parse_ip(host) is not None:
        return [host]
    from angaros.net.hosts import HostQuery, find_by_name

    search = find_by_name(host, scope, HostQuery())
    return [found.address for found in search.hosts if found.address]


def _secure(connection: _Connection, place: Place, scope: Scope) -> None:
    """`ldaps`, or StartTLS with `ldap_start_tls`. # Exim spec 9.15"""
    main = scope.services.config.main
    if place.scheme == "ldap" and main.ldap_start_tls:
        number = connection.send(ldap_wire.start_tls_request())
        result = ldap_wire.parse_result(connection.receive(number)[1])
        if result.code:
            raise LdapError(_tls_failure(place, result.code, ldap_wire.ERRORS.get(result.code, text(result.text))))
    elif place.scheme != "ldaps":
        return
    from angaros.net.tls_config import context_cache

    try:
        context = context_cache(scope.services).context(_settings(scope), scope.services.clock.now())
        facts = connection.stream.start_tls(context, server_name=place.host, timeout=connection.timeout)
    except (AngarosError, OSError) as error:
        raise LdapError(_tls_failure(place, -11, str(error))) from error
    if context.settings.verify == "require":
        _check_name(facts.peer_certificate, place)


def _check_name(certificate: bytes, place: Place) -> None:
    """The certificate must be the server's. # RFC 4513 3.1.3"""
    from cryptography.x509 import load_pem_x509_certificate

    from angaros.net.tls_names import matches_name

    if not certificate or not matches_name(load_pem_x509_certificate(certificate), place.host):
        raise LdapError(_tls_failure(place, -11, "TLS: hostname does not match CN in peer certificate"))


def _tls_failure(place: Place, code: int, reason: str) -> str:
    start = f"failed to initiate TLS processing on an LDAP session to server {place.shown}"
    return f"{start} - ldap_start_tls_s() returned {code}: {reason}"


def _settings(scope: Scope) -> TlsSettings:
    """TLS settings from the ldap_* main options; the certificate must be good unless `ldap_require_cert` says else."""
    from angaros.net.tls import TlsSettings

    main = scope.services.config.main
    return TlsSettings(
        server=False,
        certificates=(main.ldap_cert_file,) if main.ldap_cert_file else (),
        keys=(main.ldap_cert_key,) if main.ldap_cert_key else (),
        verify=VERIFY.get((main.ldap_require_cert or "hard").lower(), "require"),
        authorities=main.ldap_ca_cert_file or main.ldap_ca_cert_dir or "system",
        ciphers=main.ldap_cipher_suite or "",
    )
