"""Building OpenSSL contexts from `TlsSettings`."""

from __future__ import annotations

import os
import stat
from datetime import UTC
from typing import Any

from OpenSSL import SSL, crypto

from angaros.net import dh, openssl_extra
from angaros.net.openssl_options import OPTION_NUMBERS, parse_openssl_options
from angaros.net.tls import VERIFY_NO, VERIFY_REQUIRE, TlsContext, TlsError, TlsSettings

DH_GROUPS = ("ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192")


def build_context(settings: TlsSettings) -> TlsContext:
    """A context. Raises `TlsError` with Exim's text when a file or a value is wrong."""
    ssl = SSL.Context(SSL.TLS_SERVER_METHOD if settings.server else SSL.TLS_CLIENT_METHOD)
    context = TlsContext(settings, ssl)
    _set_options(ssl, settings)
    _set_certificates(context)
    _set_ciphers(ssl, settings)
    _set_authorities(context)
    _set_verification(ssl, settings)
    from angaros.net import tls_engine

    if settings.server:
        _set_key_exchange(ssl, settings)
        ssl.set_alpn_select_callback(tls_engine.choose_protocol)
        if settings.ocsp_files:
            load_staples(context)
        ssl.set_ocsp_server_callback(tls_engine.give_staple)
        ssl.set_session_id(b"angaros")
        ssl.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        ssl.set_timeout(settings.ticket_lifetime)
    else:
        if settings.alpn:
            ssl.set_alpn_protos([name.encode("latin-1") for name in settings.alpn])
        if settings.request_ocsp or settings.require_ocsp:
            ssl.set_ocsp_client_callback(tls_engine.check_staple)
    return context


def _set_options(ssl: Any, settings: TlsSettings) -> None:
    bits = parse_openssl_options(settings.options)
    if bits is None:
        raise TlsError("openssl_options", f"unknown option in {' '.join(settings.options)}")
    if settings.resumption:
        bits &= ~OPTION_NUMBERS["no_ticket"]
    ssl.set_options(bits)
    ssl.set_mode(SSL.MODE_RELEASE_BUFFERS)


def _cipher_list(settings: TlsSettings) -> str:
    """Underscores: as IANA writes names."""
    return settings.ciphers.replace("_", "-")


def _set_ciphers(ssl: Any, settings: TlsSettings) -> None:
    if settings.ciphers:
        try:
            ssl.set_cipher_list(_cipher_list(settings).encode("latin-1"))
        except (SSL.Error, UnicodeError) as error:
            raise TlsError("SSL_CTX_set_cipher_list", openssl_extra.error_text(error)) from None


def _set_certificates(context: TlsContext) -> None:
    settings, ssl = context.settings, context.ssl
    if not settings.certificates:
        if settings.self_signed:
            certificate, key = self_signed(settings.self_signed, settings.self_signed_lifetime)
            ssl.use_certificate(certificate)
            ssl.use_privatekey(key)
        return
    for path in settings.certificates:
        _use(ssl.use_certificate_chain_file, "SSL_CTX_use_certificate_chain_file", path)
        keys = settings.keys
        key = keys[settings.certificates.index(path)] if len(keys) == len(settings.certificates) else keys[0] if keys else path
        _use(ssl.use_privatekey_file, "SSL_CTX_use_PrivateKey_file", key)
    for path in settings.keys[len(settings.certificates) :]:
        _use(ssl.use_privatekey_file, "SSL_CTX_use_PrivateKey_file", path)


def _use(call: Any, name: str, path: str) -> None:
    try:
        call(path.encode("latin-1"))
    except SSL.Error as error:
        raise TlsError(f"{name} file={path}", _file_error(path) or openssl_extra.error_text(error)) from None


def _file_error(path: str) -> str:
    """OpenSSL's words when the file itself cannot be read."""
    try:
        with open(path, "rb"):
            return ""
    except OSError as error:
        return f"error:{0x80000000 | (error.errno or 0):08X}:system library::{os.strerror(error.errno or 0)}"


def self_signed(name: str, lifetime: int) -> tuple[Any, Any]:
    """A certificate for a server that has none (Exim spec 43.6)."""
    from datetime import datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    attributes = [
        x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "UK"),
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Exim Developers"),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64]),
    ]
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name(attributes),
        subject_name=x509.Name(attributes),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(seconds=1),
        not_valid_after=now + timedelta(seconds=lifetime),
    )
    certificate = builder.sign(key, hashes.SHA256())
    return certificate, key


def _set_authorities(context: TlsContext) -> None:
    """Exim spec 14, tls_verify_certificates: an explicit file or directory is added to the system's."""
    settings, ssl = context.settings, context.ssl
    if settings.verify == VERIFY_NO and not settings.request_ocsp and not settings.require_ocsp:
        return
    where = settings.authorities
    ssl.set_default_verify_paths()
    if where and where not in ("system", "system,cache"):
        try:
            status = os.stat(where)
        except OSError as error:
            text = f"failed to stat {where} for certificates: {error.strerror}"
            raise TlsError("tls_verify_certificates", text) from None
        directory = stat.S_ISDIR(status.st_mode)  # one that is empty or cannot be read adds nobody
        try:
            if not directory and not status.st_size:  # nobody is trusted
                context.authorities = where
                return
            ssl.load_verify_locations(
                None if directory else where.encode("latin-1"), where.encode("latin-1") if directory else None
            )
        except SSL.Error as error:
            text = "" if directory else _file_error(where)
            raise TlsError("SSL_CTX_load_verify_locations", text or openssl_extra.error_text(error)) from None
        if settings.server and not directory:
            ssl.load_client_ca(where.encode("latin-1"))
    context.authorities = where
    if settings.crl:
        store = ssl.get_cert_store()
        _load_crl(store, settings.crl)
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)


def _load_crl(store: Any, path: str) -> None:
    try:
        os.stat(path)
        if os.path.isdir(path):
            store.load_locations(None, path.encode("latin-1"))
        else:
            store.load_locations(path.encode("latin-1"))
    except OSError as error:
        raise TlsError("tls_crl", f"failed to stat {path} for certificates revocation lists: {error.strerror}") from None
    except crypto.Error as error:
        raise TlsError("X509_load_crl_file", openssl_extra.error_text(error)) from None


def _set_verification(ssl: Any, settings: TlsSettings) -> None:
    from angaros.net import tls_engine

    if settings.verify == VERIFY_NO:
        ssl.set_verify(SSL.VERIFY_NONE, tls_engine.accept_certificate)
    elif settings.verify == VERIFY_REQUIRE:
        ssl.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, tls_engine.verify_certificate)
    else:
        ssl.set_verify(SSL.VERIFY_PEER, tls_engine.verify_certificate)


def _set_key_exchange(ssl: Any, settings: TlsSettings) -> None:
    """Exim spec 14, tls_eccurve and tls_dhparam."""
    curve = settings.eccurve
    if curve and curve != "auto" and not openssl_extra.set_groups(ssl, curve):
        raise TlsError("Unknown curve name tls_eccurve", f"'{curve}'")
    try:
        parameters = dh.parameters(settings.dhparam, settings.dh_max_bits)
        if parameters:
            openssl_extra.set_tmp_dh(ssl, parameters)
        else:  # newer libraries have a prime of their own; "none" means none
            ssl.set_cipher_list(f"{_cipher_list(settings) or 'DEFAULT'}:!kDHE".encode("latin-1"))
    except SSL.Error as error:
        raise TlsError("TLS error on DH param file", openssl_extra.error_text(error)) from None
    except OSError:
        raise TlsError("TLS error on DH param file", _file_error(settings.dhparam)) from None
    except ValueError as error:
        raise TlsError("TLS error on DH param file", str(error)) from None


def load_staples(context: TlsContext) -> None:
    """Read the responses; those that are not readable, or out of date, are left out (Exim spec 43.8)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    from angaros.net import ocsp

    kind = "DER"
    context.staples.clear()
    for path, certificate_file in zip(context.settings.ocsp_files, context.settings.certificates, strict=False):
        if path.startswith(("PEM ", "DER ")):
            kind, path = path[:3], path[4:].strip()
        try:
            with open(certificate_file, "rb") as file:
                certificate = x509.load_pem_x509_certificate(file.read())
            responses = ocsp.load_responses(path, kind)
        except (OSError, ValueError):
            continue
        for response in responses:
            always = not context.settings.check_validity
            if ocsp.is_useful(response) or always:
                ends = float("inf") if always else ocsp.ends(response)
                context.staples[certificate.fingerprint(hashes.SHA256())] = (response, ends)
                break
