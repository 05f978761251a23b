"""Conditions that check passwords: `crypteq`, `pam`, `radius`, `ldapauth`, `saslauthd`."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from angaros.expand.conditions.compare import ascii_lower, tests
from angaros.expand.nodes import BrokenCond, Cond, Test, fail
from angaros.expand.parser import Parser

if TYPE_CHECKING:
    from angaros.model.scope import Scope

SASLAUTHD_SOCKET = "/var/run/saslauthd/mux"
SASLAUTHD_TIMEOUT = 30.0
"""Seconds to wait for the daemon."""
MAX_FIELD = 1 << 16
"""saslauthd's protocol has 16-bit lengths."""


def same(a: bytes, b: bytes) -> bool:
    """Comparison that takes the same time wherever they differ."""
    return hmac.compare_digest(a, b)


# --- crypteq -----------------------------------------------------------------------------------------------------------


def crypt(password: bytes, salt: bytes) -> bytes | None:
    """crypt(3)."""
    import ctypes

    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    library.crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    result: bytes | None = library.crypt(password, salt)
    return result


def crypt16(password: bytes, salt: bytes) -> bytes | None:
    """Two calls of crypt(3), the second for octets 9 to 16, salted by the result of the first. # Exim spec 11.7 (crypteq)"""
    first = crypt(password[:8], salt)
    if first is None or len(password) <= 8:
        return first
    second = crypt(password[8:16], first[2:4])
    return None if second is None else first + second[2:]


def _digest_equal(algorithm: str, password: bytes, coded: str) -> bool:
    import binascii
    import hashlib

    digest = hashlib.new(algorithm, password).digest()
    octets = coded.encode("latin-1")
    base64 = binascii.b2a_base64(digest, newline=False)
    if len(octets) == len(base64):
        return same(octets, base64)
    if len(octets) == 2 * len(digest):
        return same(octets.lower(), binascii.hexlify(digest))
    return False


def _crypteq(texts: list[str], scope: Scope) -> bool:
    """# Exim spec 11.7 (crypteq)"""
    password, stored = texts[0].encode("latin-1"), str(texts[1])
    scheme = "crypt"
    if stored.startswith("{"):
        name, brace, rest = stored[1:].partition("}")
        scheme = ascii_lower(name)
        if not brace or scheme not in ("md5", "sha1", "crypt", "crypt16"):
            raise fail(f'unknown encryption mechanism in "{stored}"')
        stored = rest
        if scheme in ("md5", "sha1"):
            return _digest_equal(scheme, password, stored)
    salt = stored.encode("latin-1")
    if len(salt) < 2 or 0 in password or 0 in salt:
        return False
    result = (crypt16 if scheme == "crypt16" else crypt)(password, salt)
    return result is not None and not result.startswith(b"*") and same(result, salt)


parse_crypteq = tests(2, _crypteq)


# --- pam, radius, ldapauth: elsewhere, by hook -------------------------------------------------------------------------


def _hook(scope: Scope, name: str, module: str) -> Any:
    """The function that does it: `services.extra[name]`, else from the `auths` room, found at run time."""
    hook = scope.services.extra.get(name)
    if hook is None:
        raise fail(f'support for "{name}" is not available (no {module})')
    return hook


def _pam(texts: list[str], scope: Scope) -> bool:
    """# Exim spec 11.7 (pam)"""
    from angaros.expand.conditions.pam import authenticate
    from angaros.lists.parse import split_list

    return authenticate(split_list(texts[0], ":"), scope)


def _radius(texts: list[str], scope: Scope) -> bool:
    """# Exim spec 11.7 (radius)"""
    from angaros.expand.conditions.radius import authenticate
    from angaros.lists.parse import split_list

    return authenticate(split_list(texts[0], ":"), scope)


def _ldapauth(texts: list[str], scope: Scope) -> bool:
    """# Exim spec 11.7 (ldapauth)"""
    return bool(_hook(scope, "ldapauth", "LDAP lookups")(texts[0], scope))


parse_pam = tests(1, _pam)
parse_radius = tests(1, _radius)
parse_ldapauth = tests(1, _ldapauth)


# --- saslauthd ---------------------------------------------------------------------------------------------------------


def _saslauthd(texts: list[str], scope: Scope) -> bool:
    """# Exim spec 11.7 (saslauthd)"""
    fields = [*texts, "", ""][:4] if len(texts) < 4 else texts
    if len(texts) < 3:
        fields[2] = "exim"
    return ask_saslauthd(fields, scope)


def ask_saslauthd(fields: list[str], scope: Scope) -> bool:
    """Ask the daemon: user, password, service and realm as counted strings; the answer is one, `OK ...` or `NO ...`. Raises
    ExpansionError."""
    path = scope.services.site.other.get("CYRUS_SASLAUTHD_SOCKET") or SASLAUTHD_SOCKET
    octets = [field.encode("latin-1") for field in fields]
    if any(len(field) >= MAX_FIELD for field in octets):
        raise fail("saslauthd: a string is too long")
    request = b"".join(len(field).to_bytes(2, "big") + field for field in octets)
    try:
        stream = scope.services.waiter.connect_unix(path, timeout=SASLAUTHD_TIMEOUT)
    except OSError as error:
        raise fail(f"cannot connect to saslauthd daemon at {path}: {error.strerror or error}") from None
    try:
        stream.write(request, timeout=SASLAUTHD_TIMEOUT)
        answer = _answer(stream)
    except OSError as error:
        raise fail(f"error reading from saslauthd daemon: {error.strerror or error}") from None
    finally:
        stream.close()
    return answer.startswith(b"OK")


def _answer(stream: Any) -> bytes:
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        more = stream.read(MAX_FIELD, SASLAUTHD_TIMEOUT)
        if not more:
            break
        data += more
    return data[2:]


def parse_saslauthd(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (saslauthd)"""
    from angaros.expand.conditions.lists import read_inner_arguments

    nodes = read_inner_arguments(p, name, 2, 4)
    return BrokenCond(nodes) if p.broken else Test(_saslauthd, nodes)
