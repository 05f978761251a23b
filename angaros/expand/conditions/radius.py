"""RADIUS for `${if radius{user:password}}`: one Access-Request over UDP. # RFC 2865 # Exim spec 11.7 (radius)

`RADIUS_CONFIG_FILE` in the site file names a radiusclient configuration; of it we read `authserver host[:port]` (several: tried
in order), `servers file` (lines `host secret`), `radius_timeout`, `radius_retries`.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from angaros.expand.nodes import fail

if TYPE_CHECKING:
    from angaros.model.scope import Scope

PORT = 1812
_ACCESS_REQUEST, _ACCESS_ACCEPT, _ACCESS_REJECT, _ACCESS_CHALLENGE = 1, 2, 3, 11
_USER_NAME, _USER_PASSWORD, _NAS_IDENTIFIER, _SERVICE_TYPE, _MESSAGE_AUTHENTICATOR = 1, 2, 32, 6, 80
_AUTHENTICATE_ONLY = (8).to_bytes(4, "big")
MAX_PASSWORD = 128
"""RFC 2865 5.2."""


@dataclass(slots=True)
class Client:
    """What the configuration file says."""

    servers: list[tuple[str, int]] = field(default_factory=list)
    secrets: dict[str, bytes] = field(default_factory=dict)
    timeout: float = 10.0
    retries: int = 3


def read_client(path: str) -> Client:
    """Read a radiusclient.conf. Raises OSError."""
    found = Client()
    for line in _lines(path):
        word, _, rest = line.partition(" ")
        value = rest.strip()
        if word == "authserver":
            host, _, port = value.partition(":")
            found.servers.append((host, int(port.partition(":")[0] or PORT)))
        elif word == "servers":
            for entry in _lines(value):
                host, _, secret = entry.partition(" ")
                found.secrets[host.partition("/")[0]] = secret.strip().encode("latin-1")
        elif word == "radius_timeout" and value.isdigit():
            found.timeout = float(value)
        elif word == "radius_retries" and value.isdigit():
            found.retries = int(value)
    return found


def _lines(path: str) -> list[str]:
    with open(path, encoding="latin-1") as file:
        lines = [line.split("#")[0].replace("\t", " ").strip() for line in file]
    return [line for line in lines if line]


def hide_password(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """# RFC 2865 5.2"""
    padded = password + b"\0" * (-len(password) % 16 or (16 if not password else 0))
    out, last = b"", authenticator
    for start in range(0, len(padded), 16):
        key = hashlib.md5(secret + last).digest()
        last = bytes(a ^ b for a, b in zip(padded[start : start + 16], key, strict=True))
        out += last
    return out


def _attribute(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


def build_request(user: bytes, password: bytes, secret: bytes, authenticator: bytes, identifier: int) -> bytes:
    """An Access-Request with a Message-Authenticator. # RFC 2865 4.1 # RFC 3579 3.2"""
    attributes = (
        _attribute(_MESSAGE_AUTHENTICATOR, b"\0" * 16)
        + _attribute(_USER_NAME, user)
        + _attribute(_USER_PASSWORD, hide_password(password, secret, authenticator))
        + _attribute(_SERVICE_TYPE, _AUTHENTICATE_ONLY)
        + _attribute(_NAS_IDENTIFIER, b"exim")
    )
    head = bytes((_ACCESS_REQUEST, identifier)) + (20 + len(attributes)).to_bytes(2, "big") + authenticator
    signature = hmac.new(secret, head + attributes, "md5").digest()
    return head + attributes[:2] + signature + attributes[18:]


def check_answer(answer: bytes, secret: bytes, authenticator: bytes, identifier: int) -> int | None:
    """The code of a genuine answer, else None. # RFC 2865 3"""
    if len(answer) < 20 or answer[1] != identifier:
        return None
    length = int.from_bytes(answer[2:4], "big")
    answer = answer[:length]
    wanted = hashlib.md5(answer[:4] + authenticator + answer[20:] + secret).digest()
    return answer[0] if hmac.compare_digest(wanted, answer[4:20]) else None


def authenticate(items: Sequence[str], scope: Scope) -> bool:
    """`user`, `password`. An empty password is sent as it is."""
    path = scope.services.site.other.get("RADIUS_CONFIG_FILE", "")
    if not path:
        raise fail('support for "radius" not compiled')
    try:
        client = read_client(path)
    except OSError as error:
        raise fail(f"RADIUS: can't open {path}: {error.strerror}") from None
    user = (items[0] if items else "").encode("latin-1")
    password = (items[1] if len(items) > 1 else "").encode("latin-1")
    if not user or len(user) > 253 or len(password) > MAX_PASSWORD:
        return False
    for host, port in client.servers:
        code = _ask(host, port, client, (user, password), scope)
        if code == _ACCESS_ACCEPT:
            return True
        if code is not None:
            return False
    raise fail("RADIUS: no response from any server")


def _ask(host: str, port: int, client: Client, login: tuple[bytes, bytes], scope: Scope) -> int | None:
    secret = client.secrets.get(host)
    if secret is None:
        raise fail(f"RADIUS: no secret for server {host}")
    try:
        address = socket.gethostbyname(host) if not host.replace(".", "").isdigit() else host
    except OSError:
        return None
    services = scope.services
    authenticator, identifier = services.random.token(16), services.random.token(1)[0]
    request = build_request(*login, secret, authenticator, identifier)
    for _ in range(max(1, client.retries)):
        try:
            answer = services.waiter.exchange_udp(address, port, request, timeout=client.timeout)
        except OSError:
            continue
        code = check_answer(answer, secret, authenticator, identifier)
        if code is not None:
            return code
    return None
