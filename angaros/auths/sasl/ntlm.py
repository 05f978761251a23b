"""NTLM messages and responses. # MS-NLMP 2.2, 3.3

NTLMv1 without the LM hash, and NTLMv2; no session security: the mail session is protected by TLS or not at all.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass

from angaros.auths.sasl.md4 import md4
from angaros.model.text import octets, text

SIGNATURE = b"NTLMSSP\0"
UNICODE, OEM, REQUEST_TARGET, NTLM, ALWAYS_SIGN, TARGET_INFO = 0x1, 0x2, 0x4, 0x200, 0x8000, 0x800000
NEGOTIATE_FLAGS = UNICODE | OEM | REQUEST_TARGET | NTLM | ALWAYS_SIGN
CHALLENGE_FLAGS = UNICODE | NTLM | ALWAYS_SIGN
AUTHENTICATE_HEAD = 64
EPOCH_1601 = 11644473600
"""Seconds from 1601 to 1970."""


@dataclass(frozen=True, slots=True)
class Response:
    """An AUTHENTICATE_MESSAGE as far as it counts. Names as text of octets (UTF-8)."""

    user: str
    domain: str
    wide_user: str
    wide_domain: str
    nt: bytes


def negotiate() -> bytes:
    """NEGOTIATE_MESSAGE without domain and workstation."""
    return SIGNATURE + struct.pack("<II", 1, NEGOTIATE_FLAGS) + bytes(16)


def challenge_message(nonce: bytes) -> bytes:
    """CHALLENGE_MESSAGE of a server without a name. The offset of the (empty) name is Exim's."""
    return SIGNATURE + struct.pack("<IHHII", 2, 0, 0, 0x2800, CHALLENGE_FLAGS) + nonce + bytes(16)


def parse_challenge(message: bytes) -> tuple[bytes, int, bytes]:
    """Nonce, flags and target information. ValueError when it is none."""
    if len(message) < 32 or message[:12] != SIGNATURE + b"\2\0\0\0":
        raise ValueError("no NTLM challenge")
    flags = struct.unpack_from("<I", message, 20)[0]
    information = _buffer(message, 40) if flags & TARGET_INFO and len(message) >= 48 else b""
    return message[24:32], flags, information


def _buffer(message: bytes, at: int) -> bytes:
    length, _, offset = struct.unpack_from("<HHI", message, at)
    if offset + length > len(message):
        raise ValueError("a field points outside of the message")
    return message[offset : offset + length]


def parse_authenticate(message: bytes) -> Response:
    """ValueError when it is none."""
    if len(message) < AUTHENTICATE_HEAD or message[:12] != SIGNATURE + b"\3\0\0\0":
        raise ValueError("no NTLM response")
    wide = bool(struct.unpack_from("<I", message, 60)[0] & UNICODE)
    domain, user = (_text(_buffer(message, at), wide) for at in (28, 36))
    return Response(text(user.encode()), text(domain.encode()), user, domain, _buffer(message, 20))


def _text(data: bytes, wide: bool) -> str:
    return data.decode("utf-16-le" if wide else "latin-1", "replace")


# --- Responses -----------------------------------------------------------------------------------------------------------


def _wide(value: str) -> str:
    """Octets of the configuration as characters."""
    return octets(value).decode("utf-8", "replace")


def nt_hash(password: str) -> bytes:
    """NTOWFv1."""
    return md4(_wide(password).encode("utf-16-le"))


def _des(key7: bytes, block: bytes) -> bytes:
    """DES with a key of 7 octets; as triple DES with three equal keys, which is all that the library offers."""
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import ECB

    bits = int.from_bytes(key7, "big")
    key = bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7))
    encryptor = Cipher(TripleDES(key * 3), ECB()).encryptor()
    return bytes(encryptor.update(block) + encryptor.finalize())


def v1_response(password: str, nonce: bytes) -> bytes:
    """DESL(). # MS-NLMP 3.3.1"""
    key = nt_hash(password) + bytes(5)
    return b"".join(_des(key[start : start + 7], nonce) for start in (0, 7, 14))


def v2_proof(password: str, user: str, domain: str, nonce: bytes, blob: bytes) -> bytes:
    """NTProofStr; names as characters. # MS-NLMP 3.3.2"""
    key = hmac.digest(nt_hash(password), (user.upper() + domain).encode("utf-16-le"), "md5")
    return hmac.digest(key, nonce + blob, "md5")


def verify(response: Response, password: str, nonce: bytes) -> bool:
    """Whether the client knows the password."""
    nt = response.nt
    if len(nt) == 24:
        return hmac.compare_digest(nt, v1_response(password, nonce))
    if len(nt) < 44:
        return False
    return hmac.compare_digest(nt[:16], v2_proof(password, response.wide_user, response.wide_domain, nonce, nt[16:]))


@dataclass(frozen=True, slots=True)
class Account:
    """Who a client is."""

    user: str
    password: str
    domain: str


def authenticate(account: Account, challenge: bytes, now: float, nonce: bytes) -> bytes:
    """AUTHENTICATE_MESSAGE; NTLMv2 when the server sent target information. `nonce`: 8 random octets. ValueError."""
    server_nonce, flags, information = parse_challenge(challenge)
    user, domain = _wide(account.user), _wide(account.domain)
    if information:
        stamp = struct.pack("<Q", int((now + EPOCH_1601) * 10_000_000))
        blob = b"\1\1" + bytes(6) + stamp + nonce + bytes(4) + information + bytes(4)
        nt = v2_proof(account.password, user, domain, server_nonce, blob) + blob
        lm = bytes(24)
    else:
        nt = lm = v1_response(account.password, server_nonce)
    coding = "utf-16-le" if flags & UNICODE else "latin-1"
    texts = [name.encode(coding, "replace") for name in (domain, user, "")]
    head, payload = b"", b""
    for part in (lm, nt, *texts, b""):
        head += struct.pack("<HHI", len(part), len(part), AUTHENTICATE_HEAD + len(payload))
        payload += part
    chosen = (UNICODE if flags & UNICODE else OEM) | NTLM | ALWAYS_SIGN
    return SIGNATURE + struct.pack("<I", 3) + head + struct.pack("<I", chosen) + payload
