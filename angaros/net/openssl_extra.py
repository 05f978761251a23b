"""The few things of OpenSSL that pyOpenSSL does not show. One file, so that a change there breaks nothing else.

Law: each function gives a harmless answer when the library below does not have what it needs.
"""

from __future__ import annotations

from typing import Any

REASON_CODES = {
    "peer did not return a certificate": 199, "no shared cipher": 193, "wrong version number": 267,
    "unsupported protocol": 258, "certificate verify failed": 134, "unexpected eof while reading": 294, "http request": 156,
    "unknown protocol": 252, "no suitable signature algorithm": 118, "dh key too small": 394, "ee key too small": 399,
    "ca md too weak": 398, "no protocols available": 191, "no ciphers available": 181, "no cipher match": 185,
    "bad record type": 443, "decryption failed or bad record mac": 281, "packet length too long": 198,
    "record layer failure": 313, "bad packet length": 115, "sslv3 alert unexpected message": 1010,
    "sslv3 alert bad record mac": 1020, "sslv3 alert handshake failure": 1040, "sslv3 alert no certificate": 1041,
    "sslv3 alert bad certificate": 1042, "sslv3 alert unsupported certificate": 1043, "sslv3 alert certificate revoked": 1044,
    "sslv3 alert certificate expired": 1045, "sslv3 alert certificate unknown": 1046, "sslv3 alert illegal parameter": 1047,
    "tlsv1 alert unknown ca": 1048, "tlsv1 alert access denied": 1049, "tlsv1 alert decode error": 1050,
    "tlsv1 alert decrypt error": 1051, "tlsv1 alert protocol version": 1070, "tlsv1 alert insufficient security": 1071,
    "tlsv1 alert internal error": 1080, "tlsv1 alert user cancelled": 1090, "tlsv1 alert no renegotiation": 1100,
    "tlsv13 alert missing extension": 1109, "tlsv1 unsupported extension": 1110, "tlsv1 unrecognized name": 1112,
    "tlsv1 bad certificate status response": 1113, "tlsv13 alert certificate required": 1116,
    "tlsv1 alert no application protocol": 1120, "no application protocol": 235, "tlsv1 alert inappropriate fallback": 1086,
    "no certificate or crl found": 136,
}  # fmt: skip
"""Reason numbers of the SSL library, and one of the x509 library (its error strings begin with them)."""

LIBRARY_CODES = {"SSL routines": 20, "system library": 2, "BIO routines": 32, "PEM routines": 9, "x509 certificate routines": 11}


def error_text(error: BaseException) -> str:
    """`error:0A000086:SSL routines::certificate verify failed` of an OpenSSL error."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    if not entries:
        return str(error.args[-1]) if error.args else type(error).__name__
    library, function, reason = entries[0]
    number = LIBRARY_CODES.get(library, 20) << 23 | REASON_CODES.get(reason, 0)
    return f"error:{number:08X}:{library}:{function}:{reason}"


def _lib() -> Any:
    from OpenSSL import _util

    return _util


def verify_error_text(number: int) -> str:
    """What OpenSSL says about a verification error."""
    try:
        util = _lib()
        text: str = util.ffi.string(util.lib.X509_verify_cert_error_string(number)).decode("ascii")
        return text
    except AttributeError:
        return f"error number {number}"


def session_reused(connection: Any) -> bool:
    """Whether the handshake resumed a session."""
    try:
        return bool(_lib().lib.SSL_session_reused(connection._ssl))
    except AttributeError:
        return False


def set_groups(context: Any, names: str) -> bool:
    """Key-exchange groups of a context, `X25519:P-256`; False when the list is not understood."""
    try:
        return bool(_lib().lib.SSL_CTX_set1_curves_list(context._context, names.encode("ascii")) == 1)
    except AttributeError:
        return True
    finally:
        _clear_errors()


def set_tmp_dh(context: Any, pem: bytes) -> None:
    """Diffie-Hellman parameters of a server. Raises as pyOpenSSL does."""
    util = _lib()
    data = util.ffi.from_buffer(pem)
    bio = util.ffi.gc(util.lib.BIO_new_mem_buf(data, len(pem)), util.lib.BIO_free)
    parameters = util.lib.PEM_read_bio_DHparams(bio, util.ffi.NULL, util.ffi.NULL, util.ffi.NULL)
    if parameters == util.ffi.NULL:
        util.exception_from_error_queue(_ssl_error())
    parameters = util.ffi.gc(parameters, util.lib.DH_free)
    if util.lib.SSL_CTX_set_tmp_dh(context._context, parameters) != 1:
        util.exception_from_error_queue(_ssl_error())


def _ssl_error() -> type[Exception]:
    from OpenSSL import SSL

    return SSL.Error


def accept_until_flight(connection: Any) -> None:
    """Server: go on until our first flight is ready, without taking early data. Raises as pyOpenSSL does."""
    util = _lib()
    taken, buffer = util.ffi.new("size_t *"), util.ffi.new("char[]", 1)
    result = util.lib.SSL_read_early_data(connection._ssl, buffer, 1, taken)
    if result == 0:
        connection._raise_ssl_error(connection._ssl, result)


def write_after_flight(connection: Any, data: bytes) -> bool:
    """Server: send before the client's Finished has come (TLS 1.3); False when that is not possible."""
    util = _lib()
    try:
        written = util.ffi.new("size_t *")
        return bool(util.lib.SSL_write_early_data(connection._ssl, data, len(data), written) == 1 and written[0] == len(data))
    finally:
        _clear_errors()


def _clear_errors() -> None:
    try:
        _lib().lib.ERR_clear_error()
    except AttributeError:
        pass


def session_bytes(connection: Any) -> bytes:
    """The session as DER, for resumption later; b"" when there is none."""
    util = _lib()
    try:
        session = util.lib.SSL_get_session(connection._ssl)
        if session == util.ffi.NULL:
            return b""
        length = util.lib.i2d_SSL_SESSION(session, util.ffi.NULL)
        if length <= 0:
            return b""
        buffer = util.ffi.new("unsigned char[]", length)
        pointer = util.ffi.new("unsigned char **", buffer)
        util.lib.i2d_SSL_SESSION(session, pointer)
        return bytes(util.ffi.buffer(buffer, length))
    except AttributeError:
        return b""


def use_session(connection: Any, der: bytes) -> bool:
    """Offer a stored session; False when it is not understood."""
    util = _lib()
    try:
        buffer = util.ffi.from_buffer(der)
        pointer = util.ffi.new("unsigned char **", util.ffi.cast("unsigned char *", buffer))
        session = util.lib.d2i_SSL_SESSION(util.ffi.NULL, pointer, len(der))
        if session == util.ffi.NULL:
            return False
        session = util.ffi.gc(session, util.lib.SSL_SESSION_free)
        return bool(util.lib.SSL_set_session(connection._ssl, session) == 1)
    except (AttributeError, TypeError):
        return False
    finally:
        _clear_errors()
