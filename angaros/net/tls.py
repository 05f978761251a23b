"""TLS settings and contexts, for servers and clients. Built once from explicit values and kept; no configuration is read here.

Laws:
- A context belongs to its `TlsSettings` (hashable) and the state of its files: `ContextCache` rebuilds it when a file changes.
- What differs from connection to connection (SNI answers, DANE records, events) hangs on `TlsHooks`, not on the context.
- pyOpenSSL is imported here when the first context is made, not before.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from angaros.model.errors import AngarosError

if TYPE_CHECKING:
    from angaros.net.tls_engine import TlsEngine

VERIFY_NO, VERIFY_TRY, VERIFY_REQUIRE = "no", "try", "require"


class TlsError(AngarosError):
    """TLS could not be set up or failed. `str()` is Exim's text after `TLS session: ` or `TLS error on connection from ...`:
    `(SSL_connect): error:0A000086:SSL routines::certificate verify failed`."""

    def __init__(self, where: str, detail: str = "") -> None:
        super().__init__(f"({where}): {detail}" if detail else where)
        self.where = where
        self.detail = detail
        self.problems: list[str] = []
        """What was wrong with the peer's certificate: lines for the log, to be put after `[address] `."""
        self.notes: list[str] = []
        """Further lines for the log, as they are."""
        self.certificate = b""
        """The peer's certificate (PEM) that was not accepted."""
        self.established = False
        """The handshake was complete: the peer believes in a session."""


class TlsBroken(TlsError, ConnectionResetError):
    """A session that stood has failed: for who reads or writes it is a connection that broke, as others do."""

    def __init__(self, where: str, detail: str = "") -> None:
        super().__init__(where, detail)
        self.errno, self.strerror = errno.ECONNRESET, f"({where}): {detail}"

    def __str__(self) -> str:
        return f"({self.where}): {self.detail}"


def pem_of(certificate: Any) -> bytes:
    """A pyOpenSSL certificate as PEM."""
    from OpenSSL import crypto

    return crypto.dump_certificate(crypto.FILETYPE_PEM, certificate)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """All that a context depends on. Files are absolute paths."""

    server: bool
    certificates: tuple[str, ...] = ()
    """Chain files; several for several key types."""
    keys: tuple[str, ...] = ()
    """Matching key files; empty: in the certificate files."""
    self_signed: str = ""
    """Server without a certificate: make one for this name (Exim spec 43.6)."""
    verify: str = VERIFY_NO
    """`no`, `try` or `require` a verified peer certificate."""
    authorities: str = "system"
    """`system`, a file or a directory of trusted certificates; "" none."""
    crl: str = ""
    """File or directory of revocation lists."""
    ciphers: str = ""
    options: tuple[str, ...] = ()
    """`openssl_options` items: `+no_sslv2`."""
    dhparam: str = ""
    dh_max_bits: int = 2236
    eccurve: str = "auto"
    alpn: tuple[str, ...] = ()
    """Offered by a client; acceptable to a server (empty: no check)."""
    require_alpn: bool = False
    ocsp_files: tuple[str, ...] = ()
    """Server: responses to staple, in the order of the certificates."""
    request_ocsp: bool = False
    require_ocsp: bool = False
    resumption: bool = False
    ticket_lifetime: int = 7200
    self_signed_lifetime: int = 3600
    check_validity: bool = True
    """False only in Exim's test mode: OCSP responses are valid whatever their dates."""


@dataclass(frozen=True, slots=True)
class Resumable:
    """A session of before, and what was found out about the peer when it was new."""

    session: bytes
    ocsp: int
    verified: bool


@dataclass(slots=True)
class TlsHooks:
    """What one connection adds to its context."""

    on_sni: Callable[[str], TlsContext | None] | None = None
    """Server: the name that the client asks for -> another context, or None. May raise `TlsError`."""
    early_words: bytes = b""
    """Server: to be sent before the client has finished the handshake, where TLS 1.3 allows it. # RFC 8446 2"""
    on_certificate: Callable[[int, Any], str | None] | None = None
    """Each peer certificate (depth, pyOpenSSL X509) -> None, or a text that denies it (event tls:cert)."""
    check_names: Sequence[str] = ()
    """Client: the server's certificate must be for one of these; empty: not checked."""
    tlsa: Sequence[tuple[int, int, int, bytes]] = ()
    """Client: DANE records; they replace all other verification."""
    resumable: Resumable | None = None
    """Client: a session to resume."""


@dataclass(slots=True)
class TlsContext:
    """An OpenSSL context, its settings and, for one connection, its hooks."""

    settings: TlsSettings
    ssl: Any
    authorities: Any = None
    """Trusted certificates for OCSP: (file, directory)."""
    staples: dict[bytes, tuple[bytes, float]] = field(default_factory=dict)
    """Server: certificate fingerprint -> OCSP response, and when it ends."""
    hooks: TlsHooks = field(default_factory=TlsHooks)

    def with_hooks(self, hooks: TlsHooks) -> TlsContext:
        """The same context for one connection."""
        return replace(self, hooks=hooks)

    def engine(self, server_name: str = "") -> TlsEngine:
        """An engine for a new connection; `server_name` is the SNI that a client sends."""
        from angaros.net.tls_engine import TlsEngine

        return TlsEngine(self, server_name)


class ContextCache:
    """Contexts by their settings. One for a process, in `services.extra["tls"]`."""

    LIMIT = 256
    """Contexts kept: more means that an expanded option differs each time; then the oldest goes."""

    def __init__(self) -> None:
        self._contexts: dict[TlsSettings, tuple[tuple[object, ...], float, TlsContext]] = {}
        self._staples: dict[TlsSettings, tuple[object, ...]] = {}
        """State of the OCSP files when they were read."""

    def context(self, settings: TlsSettings, now: float) -> TlsContext:
        """The context; built again when one of its files has changed or a self-made certificate ends. Raises `TlsError`."""
        stamp = _stamps(_files(settings))
        known = self._contexts.get(settings)
        if known is not None and known[0] == stamp and now < known[1]:
            if settings.ocsp_files:
                self._renew_staples(known[2])
            return known[2]
        from angaros.net.tls_context import build_context

        staples = _stamps(settings.ocsp_files)
        context = build_context(settings)
        while len(self._contexts) >= self.LIMIT:
            gone = next(iter(self._contexts))
            del self._contexts[gone]
            self._staples.pop(gone, None)
        self._staples[settings] = staples
        ends = now + settings.self_signed_lifetime / 2 if settings.self_signed else float("inf")
        self._contexts[settings] = (stamp, ends, context)
        return context

    def _renew_staples(self, context: TlsContext) -> None:
        """New responses need no new context: the keys of session tickets stay, which the workers share."""
        stamp = _stamps(context.settings.ocsp_files)
        if self._staples.get(context.settings) != stamp:
            from angaros.net.tls_context import load_staples

            self._staples[context.settings] = stamp
            load_staples(context)


SYSTEM = ("/etc/ssl/certs", "/etc/ssl/certs/ca-certificates.crt")
"""Where the system keeps the certificates that it trusts."""


def _files(settings: TlsSettings) -> tuple[str, ...]:
    """All files that the settings name, and those that are trusted without being named; not the OCSP responses."""
    trusted = SYSTEM if settings.verify != VERIFY_NO or settings.request_ocsp or settings.require_ocsp else ()
    return (*settings.certificates, *settings.keys, settings.authorities, settings.crl, settings.dhparam, *trusted)


def _stamps(paths: tuple[str, ...]) -> tuple[object, ...]:
    """Identity of files."""
    stamps: list[object] = []
    for path in paths:
        path = path.removeprefix("PEM ").removeprefix("DER ")
        if path.startswith("/"):
            try:
                status = os.stat(path)
                stamps.append((status.st_ino, status.st_size, status.st_mtime_ns))
            except OSError as error:
                stamps.append(error.errno)
    return tuple(stamps)
