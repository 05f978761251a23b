"""Key records in the DNS, and private keys. # RFC 6376 3.6.1, RFC 8301, RFC 8463

Laws:
- A private key is never shown: errors say what is wrong, not what was read.
- A key from the DNS is parsed by the library only after its size is bounded.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from angaros.mailauth.dkim.tags import TagError, parse_tags, split_colons, without_white

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_RECORD = 4096
"""Octets of a key record: 16384-bit RSA keys fit."""
MAX_RSA_BITS = 8192
"""Larger keys cost too much to try: a signature is not verified. # RFC 6376 3.3.3 asks for 512 to 2048"""
ED25519_OCTETS = 32
ED25519_BITS = 253
"""What Exim gives for the length of such a key: the order of the group."""
_ED25519_WRAPPED = bytes.fromhex("302a300506032b6570032100")
"""SubjectPublicKeyInfo around a bare key: a form that was a candidate for RFC 8463. # Exim spec 58.2"""

RSA, ED25519 = "rsa", "ed25519"

NO_OCTETS = "error:068000E0:asn1 encoding routines::too small"
NO_KEY = "error:0688010A:asn1 encoding routines::nested asn1 error"
BAD_SIGNATURE = "error:02000068:rsa routines::bad signature"
NO_PEM = "error:1E08010C:DECODER routines::unsupported"
"""OpenSSL's words, as Exim logs them; the library that we use has others."""

_REVOKED = re.compile(r"(?:\A|;)[ \t\r\n]*p[ \t\r\n]*=(?:;|\Z)")
"""p= without anything: the key was revoked. # RFC 6376 3.6.1"""


class KeyRecordError(ValueError):
    """A record that is no key. `str()` says why."""

    def __init__(self, text: str, *, library: str = "") -> None:
        super().__init__(text)
        self.library = library
        """What OpenSSL says, when the record was well-formed and the key in it is not."""


class PrivateKeyError(ValueError):
    """A private key that cannot be used. `str()` never shows it."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the DNS says about a selector."""

    key_type: str
    hashes: tuple[str, ...]
    """Empty: all."""
    services: tuple[str, ...]
    flags: tuple[str, ...]
    notes: str
    granularity: str
    public: bytes
    """The key; empty when it was revoked."""

    @property
    def testing(self) -> bool:
        """t=y"""
        return "y" in self.flags

    @property
    def no_subdomains(self) -> bool:
        """t=s"""
        return "s" in self.flags


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that can verify."""

    key_type: str
    bits: int
    key: Any

    def verify(self, signature: bytes, data: bytes, digest: str) -> bool:
        """Whether `signature` was made over `data`. # RFC 8463 3: Ed25519 signs the SHA-256 of the data"""
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        try:
            if self.key_type == ED25519:
                import hashlib

                self.key.verify(signature, hashlib.new(digest, data, usedforsecurity=False).digest())
            else:
                self.key.verify(signature, data, PKCS1v15(), hash_of(digest))
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True


def hash_of(name: str) -> Any:
    """The library's object for a digest."""
    from cryptography.hazmat.primitives import hashes

    known: dict[str, Any] = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha512": hashes.SHA512}
    return known[name]()


def parse_key_record(text: str) -> KeyRecord:
    """A TXT record, its strings joined. # RFC 6376 3.6.1"""
    if len(text) > MAX_RECORD:
        raise KeyRecordError("overlong record")
    try:
        tags = parse_tags(text)
    except TagError as error:
        raise KeyRecordError(str(error)) from None
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        raise KeyRecordError("Bad v= field")
    if "p" not in tags:
        raise KeyRecordError("no p= field")
    value = without_white(tags["p"])
    if not value and not _REVOKED.search(text):
        raise KeyRecordError("blank p= field")
    try:
        public = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise KeyRecordError("bad base64 in p=") from None
    return KeyRecord(
        key_type=tags.get("k", RSA) or RSA,
        hashes=split_colons(tags["h"]) if "h" in tags else (),
        services=split_colons(tags.get("s", "*")),
        flags=split_colons(tags.get("t", "")),
        notes=tags.get("n", ""),
        granularity=tags.get("g", "*"),
        public=public,
    )


@lru_cache(maxsize=256)
def import_public_key(key_type: str, octets: bytes) -> PublicKey:
    """The key of a record. Raises KeyRecordError."""
    if not octets:
        raise KeyRecordError("revoked key", library=NO_OCTETS)
    if key_type == ED25519:
        return _import_ed25519(octets)
    if key_type != RSA:
        raise KeyRecordError("unknown key type")
    return _import_rsa(octets)


def _import_ed25519(octets: bytes) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    octets = octets.removeprefix(_ED25519_WRAPPED) if len(octets) == ED25519_OCTETS + len(_ED25519_WRAPPED) else octets
    if len(octets) != ED25519_OCTETS:
        raise KeyRecordError("bad length of an Ed25519 key")
    return PublicKey(ED25519, ED25519_BITS, Ed25519PublicKey.from_public_bytes(octets))


def _import_rsa(octets: bytes) -> PublicKey:
    """SubjectPublicKeyInfo, or the bare RSAPublicKey that RFC 6376 3.6.1 names (with erratum 3017 both are in use)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRecordError("no RSA key", library=NO_KEY) from None
    if not isinstance(key, RSAPublicKey):
        raise KeyRecordError("no RSA key")
    if key.key_size > MAX_RSA_BITS:
        raise KeyRecordError("RSA key too large")
    return PublicKey(RSA, key.key_size, key)


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """A key that can sign. Its repr shows nothing."""

    key_type: str
    key: Any

    def sign(self, data: bytes, digest: str) -> bytes:
        """The signature over `data`."""
        if self.key_type == ED25519:
            import hashlib

            signed: bytes = self.key.sign(hashlib.new(digest, data, usedforsecurity=False).digest())
            return signed
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        made: bytes = self.key.sign(data, PKCS1v15(), hash_of(digest))
        return made

    @property
    def signature_size(self) -> int:
        """Octets of a signature."""
        return 64 if self.key_type == ED25519 else (self.key.key_size + 7) // 8


@lru_cache(maxsize=64)
def import_private_key(pem: bytes) -> PrivateKey:
    """From PEM text. Raises PrivateKeyError. Loading checks the key, which costs more than a signature: hence the cache."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PrivateKeyError(NO_PEM) from None
    if isinstance(key, RSAPrivateKey):
        return PrivateKey(RSA, key)
    if isinstance(key, Ed25519PrivateKey):
        return PrivateKey(ED25519, key)
    raise PrivateKeyError(NO_PEM)


def choose_record(texts: Sequence[str], parse: Callable[[str], KeyRecord] = parse_key_record) -> KeyRecord:
    """The key among a name's TXT records: the first that is one. # RFC 6376 3.6.2.2"""
    problem: KeyRecordError | None = None
    for text in texts:
        try:
            return parse(text)
        except KeyRecordError as error:
            problem = problem or error
    raise problem or KeyRecordError("no record")
