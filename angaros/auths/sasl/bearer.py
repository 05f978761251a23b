"""OAuth bearer tokens over SASL: OAUTHBEARER (RFC 7628) and its ancestor XOAUTH2. The token is judged by who runs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a client claims."""

    user: str
    authorization: str
    token: str


ERROR = '{"status":"invalid_token","schemes":"bearer"}'
"""The challenge that tells of a failure; the client answers with an empty (or \\x01) message. # RFC 7628 3.2.2"""


def _token(fields: dict[str, str]) -> str:
    scheme, space, token = fields.get("auth", "").partition(" ")
    if scheme.lower() != "bearer" or not space or not token.strip():
        raise ValueError("no bearer token")
    return token.strip()


def _fields(parts: list[str]) -> dict[str, str]:
    return {name: value for name, equals, value in (part.partition("=") for part in parts) if equals}


def parse_oauthbearer(message: str) -> Bearer:
    """# RFC 7628 3.1. Raises ValueError."""
    header, *parts = message.split("\x01")
    pieces = header.split(",")
    if len(pieces) != 3 or pieces[0] not in ("n", "y"):
        raise ValueError("malformed header")
    user = pieces[1].removeprefix("a=").replace("=2C", ",").replace("=3D", "=")
    return Bearer(user, user, _token(_fields(parts)))


def parse_xoauth2(message: str) -> Bearer:
    """`user=...^Aauth=Bearer ...^A^A`. Raises ValueError."""
    fields = _fields(message.split("\x01"))
    return Bearer(fields.get("user", ""), "", _token(fields))


def oauthbearer(user: str, token: str) -> str:
    """The client's message."""
    name = user.replace("=", "=3D").replace(",", "=2C")
    return f"n,a={name},\x01auth=Bearer {token}\x01\x01"


def xoauth2(user: str, token: str) -> str:
    """The client's message."""
    return f"user={user}\x01auth=Bearer {token}\x01\x01"
