"""TLS as a machine without sockets: octets of the wire in and out, plain octets in and out. Over pyOpenSSL's memory BIOs.

Laws:
- The peer's certificate is judged in `verify_certificate`, which OpenSSL calls during the handshake; `problems` has its findings.
- Callbacks are module functions that find their engine through the connection, so that contexts can be shared.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL, crypto

from angaros.model.text import taint
from angaros.model.tls import TlsFacts
from angaros.net import ocsp, openssl_extra, tls_names
from angaros.net.tls import VERIFY_NO, VERIFY_REQUIRE, TlsBroken, TlsError
from angaros.net.tls_hello import server_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from angaros.net.tls import TlsContext

CHUNK = 65536


class TlsEngine:
    """One TLS connection."""

    def __init__(self, context: TlsContext, server_name: str = "") -> None:
        self.context = context
        self.server_name = server_name
        self.closed = False
        """The peer has ended TLS, or the connection."""
        self.problems: list[str] = []
        """What is wrong with the peer's certificate, in Exim's words: `depth=0 error=... cert=...`."""
        self.refused = b""
        """The certificate (PEM) that ended the handshake."""
        self.ocsp = ocsp.NOT_REQUESTED
        self.failure: TlsError | None = None
        """Why a callback made the handshake fail."""
        self.refused_alpn = ""
        """Server: why the protocols that the client offered are not good; the connection ends after the handshake."""
        self.early_words = context.hooks.early_words if context.settings.server else b""
        """Server: still to be sent with our flight."""
        self.spoke_early = False
        """Server: it was."""
        self.dane_verified = False
        self.resumed_verified: bool | None = None
        """Client: whether the peer of a resumed session had been verified; None: it is a new session."""
        self.seen: dict[int, Any] = {}
        """Certificates by depth that OpenSSL has shown during verification."""
        self.requested_name = ""
        self._certificates = 0
        self._eof = False
        self._established = False
        self._hello: bytes | None = b"" if context.settings.server and context.hooks.on_sni is not None else None
        """Server that chooses by name: what has come of the ClientHello; None when the choice is made."""
        self._alert = b""
        self.connection: Any = None
        if self._hello is None:
            self._connect()

    def _connect(self) -> None:
        self.connection = connection = SSL.Connection(self.context.ssl, None)
        connection.set_app_data(self)
        if self.context.settings.server:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
            self._prepare_client(connection)

    def _choose(self, name: str) -> None:
        """The client's name is known; perhaps another context answers."""
        hook, hello = self.context.hooks.on_sni, self._hello or b""
        self._hello = None
        self.requested_name = name
        if name and hook is not None:
            try:
                other = hook(name)
            except TlsError:
                self._alert = b"\x15\x03\x03\x00\x02\x02\x70"  # fatal, unrecognized_name: RFC 6066 3
                raise TlsError(self.where, "error:0A0000E2:SSL routines::clienthello tlsext") from None
            if other is not None:
                self.context = other.with_hooks(self.context.hooks)
        self._connect()
        self.connection.bio_write(hello)

    def _prepare_client(self, connection: Any) -> None:
        if self.server_name:
            connection.set_tlsext_host_name(self.server_name.encode("latin-1"))
        settings = self.context.settings
        if settings.request_ocsp or settings.require_ocsp:
            self.ocsp = ocsp.NOT_RESPONDED
            connection.request_ocsp()
        if self.context.hooks.resumable is not None:
            openssl_extra.use_session(connection, self.context.hooks.resumable.session)
        if self.context.hooks.tlsa:
            connection.set_verify(SSL.VERIFY_PEER, verify_by_dane)

    @property
    def where(self) -> str:
        """Exim's name for the handshake in error texts."""
        return "SSL_accept" if self.context.settings.server else "SSL_connect"

    # Wire side.

    def feed(self, data: bytes) -> None:
        """Octets from the peer."""
        if self._hello is not None:
            self._hello += data
        elif data:
            self.connection.bio_write(data)

    def feed_eof(self) -> None:
        """The peer closed the connection during the handshake."""
        self._eof = True
        if self.connection is not None:
            self.connection.bio_shutdown()

    def take(self) -> bytes:
        """Octets for the peer."""
        if self.connection is None:
            alert, self._alert = self._alert, b""
            return alert
        parts = []
        while True:
            try:
                parts.append(self.connection.bio_read(CHUNK))
            except SSL.WantReadError:
                return b"".join(parts) if len(parts) != 1 else parts[0]

    # Handshake.

    def do_handshake(self) -> bool:
        """Go on with the handshake: True when it is done. Raises `TlsError`."""
        if self._hello is not None:
            name = server_name(self._hello)
            if name is None:
                if self._eof:
                    raise self._closed_error()
                return False
            self._choose(name)
        try:
            if self.early_words:
                self._speak_early()
            self.connection.do_handshake()
        except SSL.WantReadError:
            if self._eof:
                raise self._closed_error() from None
            return False
        except SSL.Error as error:
            failure = self._handshake_error(error)
            failure.problems, failure.certificate = self.problems, self.refused
            raise failure from None
        self._established = True
        try:
            self._judge_after_handshake()
        except TlsError as error:
            error.established = True
            raise
        return True

    def _speak_early(self) -> None:
        """0.5-RTT data: to a client that is not asked for a certificate, since nobody knows yet who it is."""
        openssl_extra.accept_until_flight(self.connection)
        words, self.early_words = self.early_words, b""
        if self.connection.get_protocol_version_name() == "TLSv1.3" and not self.refused_alpn:
            self.spoke_early = openssl_extra.write_after_flight(self.connection, words)

    def _closed_error(self) -> TlsError:
        return TlsError(
            "SSL_accept: TCP connection closed by peer"
            if self.context.settings.server
            else "SSL_connect: TCP connection closed by peer"
        )

    def _handshake_error(self, error: Exception) -> TlsError:
        if self.failure is not None:
            return self.failure
        if isinstance(error, SSL.SysCallError | SSL.ZeroReturnError) or (self._eof and not error.args):
            return self._closed_error()
        text = openssl_extra.error_text(error)
        if self._eof and text.endswith("unexpected eof while reading") and self.context.settings.server:
            return self._closed_error()
        return TlsError(self.where, text)

    def _judge_after_handshake(self) -> None:
        """What can only be said when the chain is known."""
        settings = self.context.settings
        before = self.context.hooks.resumable
        if before is not None and openssl_extra.session_reused(self.connection):  # it shows no certificate, no staple
            self.resumed_verified = before.verified
            self.dane_verified = before.verified and bool(self.context.hooks.tlsa)
            if self.ocsp == ocsp.NOT_RESPONDED:
                self.ocsp = before.ocsp or self.ocsp
        if self.context.hooks.tlsa and not self.check_dane(self.peer_chain()):
            raise TlsError(self.where, "error:0A000086:SSL routines::certificate verify failed")
        if settings.require_ocsp and self.ocsp == ocsp.NOT_RESPONDED:
            raise _ocsp_error("Required TLS certificate status not received", "")
        if self.refused_alpn:
            raise TlsError("handshake", self.refused_alpn)
        if settings.require_alpn and not self.connection.get_alpn_proto_negotiated():
            raise TlsError("handshake", "ALPN required but not negotiated")

    def _tlsa_usage(self) -> int:
        """`$tls_out_tlsa_usage`."""
        if not self.context.hooks.tlsa:
            return 0
        from angaros.net import dane

        return dane.usage_bits(self.context.hooks.tlsa)

    def check_dane(self, chain: list[Any]) -> bool:
        """Judge the chain by the TLSA records, at most once; events for the certificates that count."""
        from angaros.net import dane

        if self.dane_verified:
            return True
        hooks = self.context.hooks
        depth = dane.anchor_depth(hooks.tlsa, chain, hooks.check_names)
        if depth is None:
            return False
        if hooks.on_certificate is not None:
            for number in range(depth, -1, -1):
                if hooks.on_certificate(number, crypto.X509.from_cryptography(chain[number])) is not None:
                    return False
        self.dane_verified = True
        return True

    # Plain side.

    def read(self) -> bytes:
        """Plain octets that have come; b"" when there are none (or at the end: `closed`). Raises `TlsBroken`."""
        parts = []
        try:
            while True:
                parts.append(self.connection.recv(CHUNK))
        except SSL.WantReadError:
            pass
        except (SSL.ZeroReturnError, SSL.SysCallError):
            self.closed = True
        except SSL.Error as error:
            if not parts:
                self.closed = True
                raise TlsBroken("SSL_read", openssl_extra.error_text(error)) from None
            self.closed = True
        return b"".join(parts) if len(parts) != 1 else parts[0]

    def write(self, data: bytes) -> None:
        """Encrypt; the octets come out of `take`. Raises `TlsBroken`."""
        try:
            self.connection.sendall(data)
        except SSL.Error as error:
            raise TlsBroken("SSL_write", openssl_extra.error_text(error)) from None

    def shutdown(self) -> None:
        """Prepare close_notify."""
        if not self._established:
            return
        try:
            self.connection.shutdown()
        except SSL.Error:
            pass

    # What is known.

    def peer_chain(self) -> list[Any]:
        """The peer's certificates (`cryptography`), its own first."""
        chain = self.connection.get_peer_cert_chain() or []
        if not chain:
            leaf = self.connection.get_peer_certificate()
            chain = [leaf] if leaf is not None else []
        return [certificate.to_cryptography() for certificate in chain]

    def seen_chain(self) -> list[Any]:
        """The chain as OpenSSL built it, with what the peer did not send; the peer's own certificate first."""
        return [self.seen[depth] for depth in range(len(self.seen)) if depth in self.seen]

    def session(self) -> bytes:
        """For resumption later."""
        return openssl_extra.session_bytes(self.connection)

    def facts(self) -> TlsFacts:
        """As policy and logs see it."""
        connection = self.connection
        name = connection.get_cipher_name() or ""
        version = (connection.get_protocol_version_name() or "").replace("TLSv", "TLS")
        if version == "TLS1":
            version = "TLS1.0"
        bits = connection.get_cipher_bits() or 0
        peer = connection.get_peer_certificate()
        own = connection.get_certificate()
        settings = self.context.settings
        resumed = openssl_extra.session_reused(connection)
        verified = peer is not None and settings.verify != VERIFY_NO and not self.problems and self.resumed_verified is not False
        return TlsFacts(
            version=version,
            cipher=f"{version}:{name}:{bits}",
            cipher_std=tls_names.standard_cipher_name(name),
            bits=bits,
            certificate_verified=verified or self.dane_verified,
            peer_dn=taint(tls_names.subject_line(peer)) if peer is not None else "",
            sni=self.server_name or self._name_from_client(),
            our_certificate=crypto.dump_certificate(crypto.FILETYPE_PEM, own) if own is not None else b"",
            peer_certificate=crypto.dump_certificate(crypto.FILETYPE_PEM, peer) if peer is not None else b"",
            ocsp=self.ocsp,
            dane=self.dane_verified,
            tlsa_usage=self._tlsa_usage(),
            resumption=self._resumption(resumed),
            channel_binding=self._channel_binding(version, resumed),
        )

    def _name_from_client(self) -> str:
        name = self.requested_name
        if not name and self.context.settings.server:
            name = (self.connection.get_servername() or b"").decode("latin-1")
        return taint(name) if name else ""

    def _resumption(self, resumed: bool) -> int:
        """Bits 0-4: support built, client requested a ticket, client offered a session, server issued a ticket, resumed."""
        if not self.context.settings.resumption:
            return 1 if not resumed else 0x15
        offered = self.context.hooks.resumable is not None or resumed
        return 1 | 2 | (4 if offered else 0) | (16 if resumed else 8)

    def _channel_binding(self, version: str, resumed: bool) -> str:
        """RFC 9266 under TLS 1.3, tls-unique (RFC 5929 3) before; base64."""
        if version == "TLS1.3":
            value = self.connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        else:
            first_is_ours = self.context.settings.server == resumed
            finished = self.connection.get_finished() if first_is_ours else self.connection.get_peer_finished()
            return base64.b64encode(bytes(finished or b"")).decode("ascii")
        return base64.b64encode(value).decode("ascii")


# --- Callbacks of OpenSSL --------------------------------------------------------------------------------------------


def accept_certificate(connection: Any, certificate: Any, number: int, depth: int, good: int) -> bool:
    """No verification was asked for."""
    connection.get_app_data().seen[depth] = certificate.to_cryptography()
    return True


def verify_by_dane(connection: Any, certificate: Any, number: int, depth: int, good: int) -> bool:
    """The TLSA records decide, when the whole chain has been seen; other faults do not count (RFC 7671 5.1)."""
    engine: TlsEngine = connection.get_app_data()
    engine.seen[depth] = certificate.to_cryptography()
    if depth or not good:
        return True
    return engine.check_dane(engine.seen_chain())


def verify_certificate(connection: Any, certificate: Any, number: int, depth: int, good: int) -> bool:
    """Called for each certificate of the chain, from the top. False ends the handshake."""
    engine: TlsEngine = connection.get_app_data()
    engine.seen[depth] = certificate.to_cryptography()
    must = engine.context.settings.verify == VERIFY_REQUIRE
    problem = ""
    if not good:
        text = openssl_extra.verify_error_text(number)
        problem = f"SSL verify error: depth={depth} error={text} cert={tls_names.subject_line(certificate)}"
    elif depth == 0:
        problem = _name_problem(engine.context.hooks.check_names, certificate)
    if not problem and engine.context.hooks.on_certificate is not None:
        denied = engine.context.hooks.on_certificate(depth, certificate)
        if denied is not None:
            subject = tls_names.subject_line(certificate)
            problem = f"SSL verify denied by event-action: depth={depth} cert={subject}: {denied}"
    if problem and problem not in engine.problems:
        engine.problems.append(problem)
    if problem and must:
        engine.refused = crypto.dump_certificate(crypto.FILETYPE_PEM, certificate)
    return not (problem and must)


def _name_problem(names: Sequence[str], certificate: Any) -> str:
    if not names:
        return ""
    real = certificate.to_cryptography()
    if any(tls_names.matches_name(real, name) for name in names):
        return ""
    return f'SSL verify error: certificate name mismatch: DN="{tls_names.subject_line(certificate)}" H="{names[0]}"'


def choose_protocol(connection: Any, offered: list[bytes]) -> Any:
    """Server: ALPN (RFC 7301). More than one acceptable name, or none, ends the handshake (Exim spec 14, tls_alpn)."""
    engine: TlsEngine = connection.get_app_data()
    wanted = [name.encode("latin-1") for name in engine.context.settings.alpn]
    if not wanted:
        return SSL.NO_OVERLAPPING_PROTOCOLS
    if len(offered) == 1 and offered[0] in wanted:
        return offered[0]
    shown = ":".join(name.decode("latin-1") for name in offered)
    engine.refused_alpn = f"Bad ALPN presented ({shown})"
    return SSL.NO_OVERLAPPING_PROTOCOLS


def give_staple(connection: Any, data: object) -> bytes:
    """Server: the response for the certificate that was chosen."""
    from cryptography.hazmat.primitives import hashes

    engine: TlsEngine = connection.get_app_data()
    own = connection.get_certificate()
    if own is None:
        return b""
    response, ends = engine.context.staples.get(own.to_cryptography().fingerprint(hashes.SHA256()), (b"", 0.0))
    if ends < time.time():  # it was good when it was read
        response = b""
    engine.ocsp = ocsp.VERIFIED if response else ocsp.NOT_RESPONDED
    return response


def check_staple(connection: Any, response: bytes, data: object) -> bool:
    """Client: what the server stapled. False ends the handshake."""
    engine: TlsEngine = connection.get_app_data()
    settings = engine.context.settings
    if not response and engine.context.hooks.resumable is not None and openssl_extra.session_reused(connection):
        return True  # what was found when the session was new stands: `_judge_after_handshake`
    outcome, text, note = ocsp.check(response, engine.seen_chain() or engine.peer_chain(), check_dates=settings.check_validity)
    engine.ocsp = outcome
    if outcome == ocsp.VERIFIED:
        return True
    if outcome == ocsp.NOT_RESPONDED and not settings.require_ocsp:
        return True
    if settings.require_ocsp or outcome == ocsp.FAILED:
        engine.failure = _ocsp_error(text, note)
        return not settings.require_ocsp
    return True


def _ocsp_error(text: str, note: str) -> TlsError:
    error = TlsError(f"(SSL_connect) {text}")
    error.notes.append(note or text)
    return error
