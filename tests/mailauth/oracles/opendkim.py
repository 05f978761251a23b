"""OpenDKIM's library through ctypes; numbers from its documented interface (dkim.h)."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_ssize_t, c_ubyte, c_uint, c_void_p

OK = 0
NOSIG = 2
SIMPLE, RELAXED = 0, 1
RSA_SHA256 = 1
_SETOPT = 1
_OPTS_FLAGS, _OPTS_SIGNHDRS, _OPTS_FIXEDTIME = 0, 4, 8
_CB_CONTINUE, _CB_NOTFOUND = 0, 3
_LOOKUP = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_size_t)

Lines = list[bytes]


class OpenDkim:
    """A handle. `records` holds the TXT records by name."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libopendkim.so.11")
        self._declare()
        self.handle = self.library.dkim_init(None, None)
        self.records: dict[str, bytes] = {}
        self._callback = _LOOKUP(self._lookup)
        self.library.dkim_set_key_lookup(self.handle, self._callback)

    def _declare(self) -> None:
        library = self.library
        library.dkim_init.restype = c_void_p
        library.dkim_init.argtypes = [c_void_p, c_void_p]
        library.dkim_set_key_lookup.argtypes = [c_void_p, _LOOKUP]
        for name in ("dkim_sign", "dkim_verify"):
            getattr(library, name).restype = c_void_p
        library.dkim_sign.argtypes = [
            c_void_p, c_char_p, c_void_p, c_char_p, c_char_p, c_char_p, c_int, c_int, c_int, c_ssize_t, POINTER(c_int)
        ]  # fmt: skip
        library.dkim_verify.argtypes = [c_void_p, c_char_p, c_void_p, POINTER(c_int)]
        library.dkim_header.argtypes = [c_void_p, c_char_p, c_size_t]
        library.dkim_eoh.argtypes = [c_void_p]
        library.dkim_body.argtypes = [c_void_p, c_char_p, c_size_t]
        library.dkim_eom.argtypes = [c_void_p, c_void_p]
        library.dkim_free.argtypes = [c_void_p]
        library.dkim_getsighdr_d.argtypes = [c_void_p, c_size_t, POINTER(POINTER(c_ubyte)), POINTER(c_size_t)]
        library.dkim_sig_getdomain.restype = library.dkim_sig_getselector.restype = c_char_p
        library.dkim_sig_getdomain.argtypes = library.dkim_sig_getselector.argtypes = [c_void_p]
        library.dkim_options.argtypes = [c_void_p, c_int, c_int, c_void_p, c_size_t]

    def _lookup(self, _: int, signature: int, buffer: int, size: int) -> int:
        domain = self.library.dkim_sig_getdomain(signature)
        selector = self.library.dkim_sig_getselector(signature)
        record = self.records.get(f"{selector.decode()}._domainkey.{domain.decode()}")
        if record is None:
            return _CB_NOTFOUND
        ctypes.memmove(buffer, record[: size - 1] + b"\0", min(len(record), size - 1) + 1)
        return _CB_CONTINUE

    def set_time(self, seconds: int) -> None:
        """Stop the clock."""
        value = ctypes.c_uint64(seconds)
        self.library.dkim_options(self.handle, _SETOPT, _OPTS_FIXEDTIME, byref(value), ctypes.sizeof(value))

    def set_flags(self, flags: int) -> None:
        """DKIM_LIBFLAGS_*."""
        value = c_uint(flags)
        self.library.dkim_options(self.handle, _SETOPT, _OPTS_FLAGS, byref(value), ctypes.sizeof(value))

    def _feed(self, context: int, headers: Lines, body: bytes) -> int:
        library = self.library
        for line in headers:
            data = line.removesuffix(b"\r\n")
            status = library.dkim_header(context, data, len(data))
            if status != OK:
                return int(status)
        status = library.dkim_eoh(context)
        if status != OK:
            return int(status)
        if body:
            library.dkim_body(context, body, len(body))
        return int(library.dkim_eom(context, None))

    def verify(self, headers: Lines, body: bytes) -> int:
        """The status of the message; 0 is a pass."""
        status = c_int()
        context = self.library.dkim_verify(self.handle, b"v", None, byref(status))
        try:
            return self._feed(context, headers, body)
        finally:
            self.library.dkim_free(context)

    def sign(self, headers: Lines, body: bytes, pem: bytes, domain: str, selector: str, header: int, bodies: int) -> bytes:
        """The header line, with its CRLF."""
        status = c_int()
        context = self.library.dkim_sign(
            self.handle, b"s", None, pem, selector.encode(), domain.encode(), header, bodies, RSA_SHA256, -1, byref(status)
        )
        assert context, status.value
        try:
            result = self._feed(context, headers, body)
            assert result == OK, result
            buffer, size = POINTER(c_ubyte)(), c_size_t()
            self.library.dkim_getsighdr_d(context, len("DKIM-Signature: "), byref(buffer), byref(size))
            return b"DKIM-Signature: " + bytes(buffer[: size.value]) + b"\r\n"
        finally:
            self.library.dkim_free(context)
