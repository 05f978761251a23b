"""SCRAM with SHA-1 and its successors, with and without channel binding. # RFC 5802, RFC 7677, RFC 9266

The pure parts: messages taken apart and put together, keys. The drivers carry them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from angaros.auths.sasl.saslprep import saslprep
from angaros.model.text import octets, text

HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
"""Mechanism (without `-PLUS`) -> hash."""
MAX_ITERATIONS = 10_000_000
"""Rounds that a client lets a server ask for: some seconds of work, no more."""
MIN_ITERATIONS = 4096
"""# RFC 7677 4"""


class ScramError(ValueError):
    """A message breaks the rules, or the proof is wrong; `str()` is for the log."""


def hash_of(mechanism: str) -> str:
    """The hash behind a mechanism name."""
    return HASHES[mechanism.upper().removesuffix("-PLUS")]


@dataclass(frozen=True, slots=True)
class Keys:
    """What a server keeps of a password."""

    stored: bytes
    server: bytes


def salted_password(password: str, salt: bytes, iterations: int, algorithm: str) -> bytes:
    """Hi(). # RFC 5802 2.2"""
    return hashlib.pbkdf2_hmac(algorithm, saslprep(password), salt, iterations)


def keys_of(salted: bytes, algorithm: str) -> Keys:
    """StoredKey and ServerKey. # RFC 5802 3"""
    client_key = hmac.digest(salted, b"Client Key", algorithm)
    return Keys(hashlib.new(algorithm, client_key).digest(), hmac.digest(salted, b"Server Key", algorithm))


def attributes(message: str) -> dict[str, str]:
    """`r=...,s=...`."""
    found: dict[str, str] = {}
    for part in message.split(","):
        name, equals, value = part.partition("=")
        if len(name) != 1 or not equals:
            raise ScramError("malformed message")
        found.setdefault(name, value)
    return found


def decode(value: str) -> bytes:
    """Base64 of an attribute."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ScramError("malformed base64") from None


def encode(data: bytes) -> str:
    """The other way."""
    return text(base64.b64encode(data))


def quote_name(name: str) -> str:
    """A name in a message. # RFC 5802 5.1"""
    return text(saslprep(name)).replace("=", "=3D").replace(",", "=2C")


def unquote_name(name: str) -> str:
    """The name meant."""
    plain = name.replace("=2C", "\0").replace("=3D", "\1")
    if "=" in plain:
        raise ScramError("malformed name")
    return plain.replace("\0", ",").replace("\1", "=")


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """client-first-message. # RFC 5802 7"""

    header: str
    """The GS2 header, `n,,`."""
    bare: str
    binding: str
    """`n`, `y` or the name of a binding (`p=`)."""
    authorization: str
    user: str
    nonce: str


def parse_client_first(message: str) -> ClientFirst:
    """Raises `ScramError`."""
    flag, first, rest = message.partition(",")
    authorization, second, bare = rest.partition(",")
    if not first or not second or not (flag in ("n", "y") or flag.startswith("p=")):
        raise ScramError("malformed header")
    if authorization and not authorization.startswith("a="):
        raise ScramError("malformed authorization identity")
    values = attributes(bare)
    if "m" in values or not values.get("n") or not values.get("r"):
        raise ScramError("malformed first message")
    return ClientFirst(
        header=f"{flag},{authorization},",
        bare=bare,
        binding=flag.removeprefix("p="),
        authorization=unquote_name(authorization[2:]),
        user=unquote_name(values["n"]),
        nonce=values["r"],
    )


def check_proof(first: ClientFirst, server_first: str, final: str, keys: Keys, binding: bytes, algorithm: str) -> str:
    """The server's last message when the client's proof is right. `binding`: channel binding data. Raises `ScramError`."""
    without_proof, comma, proof = final.rpartition(",p=")
    values = attributes(without_proof)
    if not comma or values.get("c") != encode(octets(first.header) + binding):
        raise ScramError("channel binding does not match")
    if values.get("r") != attributes(server_first)["r"]:
        raise ScramError("wrong nonce")
    message = octets(f"{first.bare},{server_first},{without_proof}")
    signature = hmac.digest(keys.stored, message, algorithm)
    given = decode(proof)
    if len(given) != len(signature):
        raise ScramError("proof of wrong length")
    client_key = bytes(a ^ b for a, b in zip(given, signature, strict=True))
    if not hmac.compare_digest(hashlib.new(algorithm, client_key).digest(), keys.stored):
        raise ScramError("wrong password")
    return f"v={encode(hmac.digest(keys.server, message, algorithm))}"


@dataclass(slots=True)
class Client:
    """The client's side of one exchange."""

    algorithm: str
    user: str
    authorization: str
    nonce: str
    binding_name: str = ""
    """`tls-exporter`, `tls-unique`; "" without channel binding."""
    binding: bytes = b""
    signature: bytes = b""
    """What the server has to prove."""

    @property
    def header(self) -> str:
        """The GS2 header."""
        flag = f"p={self.binding_name}" if self.binding_name else "n"
        return f"{flag},{f'a={quote_name(self.authorization)}' if self.authorization else ''},"

    @property
    def bare(self) -> str:
        """client-first-message-bare."""
        return f"n={quote_name(self.user)},r={self.nonce}"

    def parameters(self, server_first: str) -> tuple[bytes, int]:
        """Salt and iterations that the server wants. Raises `ScramError`."""
        values = attributes(server_first)
        if not values.get("r", "").startswith(self.nonce) or values["r"] == self.nonce or not values.get("i", "").isdigit():
            raise ScramError("malformed first message of the server")
        iterations = int(values["i"])
        if not 0 < iterations <= MAX_ITERATIONS:
            raise ScramError("unacceptable iteration count")
        return decode(values.get("s", "")), iterations

    def final(self, server_first: str, salted: bytes) -> str:
        """client-final-message."""
        channel = encode(octets(self.header) + self.binding)
        without_proof = f"c={channel},r={attributes(server_first)['r']}"
        message = octets(f"{self.bare},{server_first},{without_proof}")
        keys = keys_of(salted, self.algorithm)
        client_key = hmac.digest(salted, b"Client Key", self.algorithm)
        signature = hmac.digest(keys.stored, message, self.algorithm)
        self.signature = hmac.digest(keys.server, message, self.algorithm)
        return f"{without_proof},p={encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True)))}"

    def check_server(self, server_final: str) -> None:
        """The server knows the password too. Raises `ScramError`."""
        values = attributes(server_final)
        if "e" in values:
            raise ScramError(values["e"])
        if not hmac.compare_digest(decode(values.get("v", "")), self.signature):
            raise ScramError("the server's signature is wrong")
