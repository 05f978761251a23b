"""The GSS-API of Kerberos (RFC 2744) by ctypes: what RFC 4752 and RFC 5801 need of it, no more.

Laws: the library is loaded when the first context is made; a context is used by one thread at a time and must be closed; every
call may block (keytab, replay cache, a KDC for the client), so who calls does it in a thread. Octets in, octets out.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from typing import Any

from angaros.config.native import GSSAPI, find_library

_CONTINUE_NEEDED = 1
_GSS_ERRORS = 0xFFFF0000
_ACCEPT = 2
_MUTUAL_FLAG, _INTEGRITY_FLAG = 2, 32
_GSS_CODE, _MECH_CODE = 1, 2
_MAX_STATUS_LINES = 5

KRB5 = bytes.fromhex("2a864886f712010202")
"""1.2.840.113554.1.2.2. # RFC 4121 1"""
_HOSTBASED_SERVICE = bytes.fromhex("2a864886f71201020104")
"""GSS_C_NT_HOSTBASED_SERVICE, 1.2.840.113554.1.2.1.4. # RFC 2743 4.1"""


class _Oid(Structure):
    _fields_ = [("length", c_uint32), ("elements", c_void_p)]


class _OidSet(Structure):
    _fields_ = [("count", c_size_t), ("elements", POINTER(_Oid))]


class _Buffer(Structure):
    _fields_ = [("length", c_size_t), ("value", c_void_p)]


class _Bindings(Structure):
    _fields_ = [
        ("initiator_addrtype", c_uint32),
        ("initiator_address", _Buffer),
        ("acceptor_addrtype", c_uint32),
        ("acceptor_address", _Buffer),
        ("application_data", _Buffer),
    ]


class _Element(Structure):
    _fields_ = [("key", c_char_p), ("value", c_char_p)]


class _Store(Structure):
    _fields_ = [("count", c_uint32), ("elements", POINTER(_Element))]


class GssError(ValueError):
    """The library said no; `str()` is its words."""


class NoCredentials(GssError):
    """There is nothing to authenticate with: no keytab, no entry for the service, no ticket. Not the peer's fault."""


@cache
def _library() -> Any:
    name = find_library(*GSSAPI)
    if not name:
        raise NoCredentials("no GSS-API library (libgssapi_krb5.so.2 or libgssapi.so.3) is installed")
    return ctypes.CDLL(name)


_registering = threading.Lock()
"""`gsskrb5_register_acceptor_identity` is for the whole process: only one may do so at a time."""


def _oid(octets: bytes) -> _Oid:
    return _Oid(len(octets), ctypes.cast(ctypes.create_string_buffer(octets, len(octets)), c_void_p))


def _given(octets: bytes) -> _Buffer:
    return _Buffer(len(octets), ctypes.cast(ctypes.create_string_buffer(octets, len(octets)), c_void_p))


@contextmanager
def _returned() -> Iterator[_Buffer]:
    """A buffer that the library fills and that is given back to it."""
    buffer = _Buffer()
    try:
        yield buffer
    finally:
        _library().gss_release_buffer(byref(c_uint32()), byref(buffer))


def _octets(buffer: _Buffer) -> bytes:
    return ctypes.string_at(buffer.value, buffer.length) if buffer.value else b""


def _status_words(code: int, kind: int) -> str:
    mechanism, more, words = _oid(KRB5), c_uint32(0), []
    for _ in range(_MAX_STATUS_LINES):
        with _returned() as text:
            status = _library().gss_display_status(
                byref(c_uint32()), c_uint32(code), kind, byref(mechanism), byref(more), byref(text)
            )
            if c_uint32(status).value & _GSS_ERRORS:
                break
            words.append(_octets(text).decode("utf-8", "replace").strip())
        if not more.value:
            break
    return ": ".join(words)


def _call(function: str, *arguments: Any, error: type[GssError] = GssError) -> int:
    """Call with a minor status before the arguments; the major status, when it is no error."""
    minor = c_uint32()
    major = c_uint32(getattr(_library(), function)(byref(minor), *arguments)).value
    if major & _GSS_ERRORS:
        detail = _status_words(minor.value, _MECH_CODE) if minor.value else ""
        raise error(f"{function}: {_status_words(major, _GSS_CODE)}{f' ({detail})' if detail else ''}")
    return major


def _import_name(text: str, kind: bytes) -> c_void_p:
    name = c_void_p()
    _call("gss_import_name", byref(_given(text.encode("latin-1"))), byref(_oid(kind)), byref(name))
    return name


def _bindings(data: bytes) -> Any:
    return byref(_Bindings(application_data=_given(data))) if data else None


class Context:
    """One security context under way. `step` until `complete`."""

    def __init__(self) -> None:
        self._handle = c_void_p()
        self._credentials = c_void_p()
        self._peer = c_void_p()
        self.complete = False

    def step(self, token: bytes) -> bytes:
        """The peer's token in, ours out. Raises GssError."""
        raise NotImplementedError

    def _continue(self, major: int) -> None:
        self.complete = not major & _CONTINUE_NEEDED

    def wrap(self, message: bytes) -> bytes:
        """With integrity, without confidentiality. Raises GssError."""
        with _returned() as sealed:
            _call("gss_wrap", self._handle, 0, c_uint32(0), byref(_given(message)), byref(c_int()), byref(sealed))
            return _octets(sealed)

    def unwrap(self, sealed: bytes) -> bytes:
        """Raises GssError when it was not made by the peer of this context."""
        with _returned() as message:
            _call("gss_unwrap", self._handle, byref(_given(sealed)), byref(message), byref(c_int()), byref(c_uint32()))
            return _octets(message)

    def close(self) -> None:
        """Give all back; twice does no harm."""
        minor = byref(c_uint32())
        if self._handle:
            _library().gss_delete_sec_context(minor, byref(self._handle), None)
        if self._peer:
            _library().gss_release_name(minor, byref(self._peer))
        if self._credentials:
            _library().gss_release_cred(minor, byref(self._credentials))


class Acceptor(Context):
    """The server: `service` at `hostname`, its key in `keytab` ("": the system's)."""

    def __init__(self, service: str, hostname: str, keytab: str = "", binding: bytes = b"") -> None:
        super().__init__()
        self._binding = binding
        name = _import_name(f"{service}@{hostname}", _HOSTBASED_SERVICE)
        try:
            self._acquire(name, keytab)
        finally:
            _library().gss_release_name(byref(c_uint32()), byref(name))

    def _acquire(self, name: c_void_p, keytab: str) -> None:
        mechanism = _oid(KRB5)
        wanted = _OidSet(1, ctypes.pointer(mechanism))
        first = (name, c_uint32(0xFFFFFFFF), byref(wanted), _ACCEPT)
        last = (byref(self._credentials), None, None)
        if not keytab:
            _call("gss_acquire_cred", *first, *last, error=NoCredentials)
            return
        path = keytab.encode("latin-1")
        if hasattr(_library(), "gss_acquire_cred_from"):
            element = _Element(b"keytab", b"FILE:" + path)
            store = _Store(1, ctypes.pointer(element))
            _call("gss_acquire_cred_from", *first, byref(store), *last, error=NoCredentials)
            return
        with _registering:
            _library().gsskrb5_register_acceptor_identity(c_char_p(path))
            _call("gss_acquire_cred", *first, *last, error=NoCredentials)

    def step(self, token: bytes) -> bytes:
        """The peer's token in, ours out."""
        with _returned() as answer:
            major = _call(
                "gss_accept_sec_context", byref(self._handle), self._credentials, byref(_given(token)), _bindings(self._binding),
                byref(self._peer), None, byref(answer), byref(c_uint32()), None, None,
            )  # fmt: skip
            self._continue(major)
            return _octets(answer)

    def peer_name(self) -> str:
        """The client's name as it is shown, `user@REALM`."""
        with _returned() as name:
            _call("gss_display_name", self._peer, byref(name), None)
            return _octets(name).decode("latin-1")


class Initiator(Context):
    """The client, with the tickets that its environment names (KRB5CCNAME, or a client keytab)."""

    def __init__(self, service: str, hostname: str, binding: bytes = b"") -> None:
        super().__init__()
        self._binding = binding
        self._peer = _import_name(f"{service}@{hostname}", _HOSTBASED_SERVICE)

    def step(self, token: bytes) -> bytes:
        """The peer's token in (none yet: empty), ours out."""
        given = byref(_given(token)) if token else None
        with _returned() as answer:
            major = _call(
                "gss_init_sec_context", None, byref(self._handle), self._peer, byref(_oid(KRB5)),
                c_uint32(_MUTUAL_FLAG | _INTEGRITY_FLAG), c_uint32(0), _bindings(self._binding), given, None, byref(answer),
                None, None, error=GssError if token else NoCredentials,
            )  # fmt: skip
            self._continue(major)
            return _octets(answer)


# --- The frame of the first token (RFC 2743 3.1) ---------------------------------------------------------------------------


def framed(inner: bytes) -> bytes:
    """A first token of Kerberos that came without its frame. # RFC 5801 3.1"""
    body = b"\x06" + bytes((len(KRB5),)) + KRB5 + inner
    size = len(body)
    if size < 0x80:
        return b"\x60" + bytes((size,)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return b"\x60" + bytes((0x80 | len(length),)) + length + body


def unframed(token: bytes) -> bytes:
    """The opposite. Raises GssError for another mechanism's token."""
    start = 2 + (token[1] & 0x7F if len(token) > 1 and token[1] & 0x80 else 0)
    head = b"\x06" + bytes((len(KRB5),)) + KRB5
    if token[:1] != b"\x60" or token[start : start + len(head)] != head:
        raise GssError("not a first token of Kerberos")
    return token[start + len(head) :]
