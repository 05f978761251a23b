"""DIGEST-MD5 without I/O (RFC 2831), quality of protection `auth`: what both sides say and how it is checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_CHALLENGE = 2048
"""Octets of a challenge. # RFC 2831 2.1.1"""
MAX_RESPONSE = 4096
"""Octets of a response. # RFC 2831 2.1.2"""
FIRST_USE = "00000001"
"""Nonces are used once: there is no second authentication with one (RFC 2831 2.2)."""
QUOTED = frozenset({"username", "realm", "nonce", "cnonce", "digest-uri", "authzid", "qop"})
"""Directives whose value is a quoted string (of `qop`: in challenges only)."""
_DIRECTIVE = re.compile(
    r'[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",=]+))[ \t]*(?:,|$)', re.S
)


class DigestError(ValueError):
    """The other side's message breaks the rules."""


def parse(message: str, limit: int) -> dict[str, str]:
    """Directives by name in lower case; the first of several realms stands. # RFC 2831 7.1"""
    if len(message) > limit:
        raise DigestError("message too long")
    found: dict[str, str] = {}
    position = 0
    while position < len(message):
        if message[position] in ", \t\r\n":
            position += 1
            continue
        match = _DIRECTIVE.match(message, position)
        if match is None:
            raise DigestError("malformed directive")
        name, quoted, token = match[1].lower(), match[2], match[3]
        if name in found and name != "realm":
            raise DigestError(f"{name} twice")
        found.setdefault(name, re.sub(r"\\(.)", r"\1", quoted, flags=re.S) if quoted is not None else token)
        position = match.end()
    return found


def show(directives: Mapping[str, str], *, challenge: bool = False) -> str:
    """The directives on the wire."""
    return ",".join(
        f"{name}={_quote(value) if name in QUOTED and (challenge or name != 'qop') else value}"
        for name, value in directives.items()
    )


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def challenge(realm: str, nonce: str) -> str:
    """What the server says first; without `realm` the client may say one. # RFC 2831 2.1.1"""
    first = {"realm": realm} if realm else {}
    return show({**first, "nonce": nonce, "qop": "auth", "algorithm": "md5-sess", "charset": "utf-8"}, challenge=True)


def _hashed(text: str, utf8: bool) -> bytes:
    """A name or password as it enters the hash: ISO 8859-1 where all of it is in there. # RFC 2831 2.1.2.1"""
    octets = text.encode("latin-1")
    if not utf8:
        return octets
    try:
        return octets.decode("utf-8").encode("latin-1")
    except UnicodeError:
        return octets


def _hex(octets: bytes) -> str:
    return hashlib.md5(octets, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Response:
    """What a client answers."""

    directives: Mapping[str, str]

    @property
    def user(self) -> str:
        return self.directives["username"]

    @property
    def realm(self) -> str:
        return self.directives.get("realm", "")

    @property
    def authorization(self) -> str:
        return self.directives.get("authzid", "")

    @property
    def uri(self) -> tuple[str, str]:
        """Type of service and host."""
        kind, _, host = self.directives["digest-uri"].partition("/")
        return kind.lower(), host.partition("/")[0].lower()

    def digest(self, password: str, *, server: bool = False) -> str:
        """The response value; `server`: what proves the server. # RFC 2831 2.1.2.1, 2.1.3"""
        said = self.directives
        utf8 = said.get("charset", "").lower() == "utf-8"
        name, realm, word = (_hashed(value, utf8) for value in (self.user, self.realm, password))
        secret = hashlib.md5(b":".join((name, realm, word)), usedforsecurity=False).digest()
        parts = [secret, said["nonce"].encode("latin-1"), said["cnonce"].encode("latin-1")]
        if self.authorization:
            parts.append(self.authorization.encode("latin-1"))
        method = "" if server else "AUTHENTICATE"
        second = _hex(f"{method}:{said['digest-uri']}".encode("latin-1"))
        middle = ":".join((said["nonce"], said["nc"], said["cnonce"], said.get("qop", "auth")))
        return _hex(f"{_hex(b':'.join(parts))}:{middle}:{second}".encode("latin-1"))


_NEEDED = ("username", "nonce", "cnonce", "nc", "digest-uri", "response")


def parse_response(message: str, nonce: str, realm: str) -> Response:
    """The client's answer to our challenge. # RFC 2831 2.1.2"""
    directives = parse(message, MAX_RESPONSE)
    if any(not directives.get(name) for name in _NEEDED):
        raise DigestError("a directive is missing")
    if directives["nonce"] != nonce or directives["nc"] != FIRST_USE:
        raise DigestError("not an answer to this challenge")
    if directives.get("qop", "auth") != "auth" or (realm and directives.get("realm", "") != realm):
        raise DigestError("neither quality of protection nor realm may be chosen so")
    if directives.get("charset", "utf-8").lower() != "utf-8":
        raise DigestError("unknown charset")
    return Response(directives)


@dataclass(frozen=True, slots=True)
class Account:
    """Who a client is."""

    user: str
    password: str
    authorization: str = ""


def respond(challenge_text: str, account: Account, uri: str, cnonce: str) -> tuple[str, str]:
    """The client's answer to a challenge, and the `rspauth` that will prove the server. # RFC 2831 2.1.2"""
    said = parse(challenge_text, MAX_CHALLENGE)
    if not said.get("nonce") or said.get("algorithm", "").lower() != "md5-sess":
        raise DigestError("malformed challenge")
    if "auth" not in re.split(r"[ \t]*,[ \t]*", said.get("qop", "auth").lower()):
        raise DigestError("the server insists on a security layer")
    directives = {"username": account.user}
    if "realm" in said:
        directives["realm"] = said["realm"]
    directives |= {"nonce": said["nonce"], "cnonce": cnonce, "nc": FIRST_USE, "qop": "auth", "digest-uri": uri}
    if said.get("charset", "").lower() == "utf-8":
        directives["charset"] = "utf-8"
    if account.authorization:
        directives["authzid"] = account.authorization
    response = Response(directives)
    return show({**directives, "response": response.digest(account.password)}), response.digest(account.password, server=True)
