"""Verifying the signatures of a message. # RFC 6376 6

Laws:
- `header` sees the lines as they came, `body` each octet once; `finish` asks for keys. Nothing is read again.
- One hash for all signatures that want the same.
- Where RFC 6376 says MUST we follow it, also where Exim is lenient (a tag twice, i= outside of d=, k= and t=s of keys, l= beyond
  the body); where it leaves the choice, as with expiry, and for an unsigned From: we do as Exim: policy has the variables.
- A key is asked for only when the body hash is right: nobody makes us ask the DNS with a body of his own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from angaros.mailauth.dkim import keys
from angaros.mailauth.dkim.canon import BodyHasher
from angaros.mailauth.dkim.signature import (
    FAIL,
    INVALID,
    PASS,
    Signature,
    identity_is_below,
    parse_signature,
    select_headers,
    signed_data,
)

MAX_SIGNATURES = 20
"""More are taken for an attack on our time: none is verified. # Exim ChangeLog 4.92"""
MAX_LINE = 16384
"""Octets of a body line: no mail has longer ones, and Exim stops verifying there."""

Fetch = Callable[[str], "Sequence[str] | None"]
"""The TXT records of a name; None when the DNS cannot say now. [] when there are none."""


class KeyUnavailable(Exception):
    """No key: the DNS has none, or cannot say."""


@dataclass(slots=True)
class Limits:
    """What the main options dkim_verify_* accept."""

    hashes: tuple[str, ...] = ("sha256", "sha512")
    key_types: tuple[str, ...] = ("ed25519", "rsa")
    min_bits: dict[str, int] = field(default_factory=lambda: {"rsa": 1024, "ed25519": 250})


class TooMuch(Exception):
    """The message is beyond a limit; `args[0]` is what Exim calls it."""


class Watcher:
    """Body hashes for whoever wants them, while the body streams by."""

    def __init__(self) -> None:
        self._hashers: dict[tuple[str, str, int | None], BodyHasher] = {}
        self._line = 0
        """Octets of the line that has no end yet."""

    def hasher(self, algorithm: str, method: str, limit: int | None) -> BodyHasher:
        """The one for these; shared."""
        key = (algorithm, method, limit)
        found = self._hashers.get(key)
        if found is None:
            found = self._hashers[key] = BodyHasher(algorithm, method, limit)
        return found

    @property
    def wanted(self) -> bool:
        """Whether there is anything to hash."""
        return bool(self._hashers)

    def body(self, piece: bytes) -> None:
        """The next octets. Raises TooMuch."""
        if not self._hashers:
            return
        if len(piece) + self._line > MAX_LINE:
            self._measure(piece)
        else:
            last = piece.rfind(b"\n")
            self._line = self._line + len(piece) if last < 0 else len(piece) - last - 1
        for hasher in self._hashers.values():
            hasher.feed(piece)

    def _measure(self, piece: bytes) -> None:
        """Only every `MAX_LINE` octets a line end has to be found, not each."""
        start, size = -self._line, len(piece)
        while size - start > MAX_LINE:
            end = piece.rfind(b"\n", max(start, 0), start + MAX_LINE)
            if end < 0:
                raise TooMuch("LONG_LINE")
            start = end + 1
        self._line = size - max(piece.rfind(b"\n") + 1, start)

    def finish(self) -> dict[tuple[str, str, int | None], tuple[bytes, bool]]:
        """The digests, and whether the body was shorter than its limit."""
        return {key: (hasher.finish(), hasher.short) for key, hasher in self._hashers.items()}


class Verifier:
    """All signatures of one message."""

    def __init__(self, limits: Limits, watcher: Watcher) -> None:
        self.limits = limits
        self.watcher = watcher
        self.signatures: list[Signature] = []
        """In the order in which they are verified."""
        self._headers: list[str] = []

    def header(self, lines: list[str]) -> None:
        """All header lines, complete. Raises TooMuch."""
        self._headers = lines
        found = [line for line in lines if line[:14].lower() == "dkim-signature" and is_signature(line)]
        if len(found) > MAX_SIGNATURES:
            raise TooMuch("EXCESS_SIGS")
        signatures = [parse_signature(line) for line in found]
        self.signatures = self._in_order([one for one in signatures if self._acceptable(one)])
        for signature in self.signatures:
            if not signature.problem:
                signature.hasher = self.watcher.hasher(*signature.wants())

    def _acceptable(self, one: Signature) -> bool:
        """Algorithms that are not listed are as if not there. # Exim spec 14, dkim_verify_hashes"""
        if not one.algorithm:
            return True
        return one.digest in self.limits.hashes and one.key_type in self.limits.key_types

    def _in_order(self, signatures: list[Signature]) -> list[Signature]:
        """The lists are orders of preference too."""
        types, hashes = self.limits.key_types, self.limits.hashes

        def rank(one: Signature) -> tuple[int, int]:
            if not one.algorithm:
                return len(types), len(hashes)
            return types.index(one.key_type), hashes.index(one.digest)

        return sorted(signatures, key=rank)

    def judge(self, one: Signature, digests: dict[tuple[str, str, int | None], tuple[bytes, bool]], fetch: Fetch) -> None:
        """The status of one signature. # RFC 6376 6.1.1 to 6.1.3"""
        if one.problem:
            one.status, one.reason = INVALID, one.problem
            return
        digest, short = digests[one.wants()]
        if digest != one.body_hash or short:
            one.status, one.reason = FAIL, "bodyhash"
            return
        try:
            self._load_key(one, fetch)
        except KeyUnavailable:
            one.status, one.reason = INVALID, "unavailable"
            return
        except keys.KeyRecordError as error:
            one.status, one.reason, one.library = INVALID, "key_octets" if error.library else "key_syntax", error.library
            return
        one.status, one.reason = self._verdict(one)

    def _load_key(self, one: Signature, fetch: Fetch) -> None:
        record = fetch_record(one, fetch)
        if not {"*", "email"} & set(record.services):
            raise keys.KeyRecordError("not for email")
        one.record = record
        one.key = keys.import_public_key(one.record.key_type, one.record.public)

    def _verdict(self, one: Signature) -> tuple[str, str]:
        record, key = one.record, one.key
        assert record is not None and key is not None
        if not key_permits(one, record):
            return FAIL, "unspecified"
        if key.bits < self.limits.min_bits.get(key.key_type, 0):
            return FAIL, "key_short"
        chosen = select_headers(one.headers, [line for line in self._headers if line is not one.line])
        if not key.verify(one.signature, signed_data(chosen, one.line, one.header_canon), one.digest):
            one.library = keys.BAD_SIGNATURE
            return FAIL, "signature"
        return PASS, ""


def is_signature(line: str) -> bool:
    """Whether a header line is a DKIM-Signature."""
    return line.partition(":")[0].rstrip(" \t").lower() == "dkim-signature"


def fetch_record(one: Signature, fetch: Fetch) -> keys.KeyRecord:
    """The key record of a selector. # RFC 6376 3.6.2.1"""
    texts = fetch(f"{one.selector}._domainkey.{one.domain}")
    if not texts:
        raise KeyUnavailable
    return keys.choose_record(texts)


def key_permits(one: Signature, record: keys.KeyRecord) -> bool:
    """Whether the owner of the key allows it for this. # RFC 6376 3.6.1"""
    if record.key_type != one.key_type:
        return False
    if record.hashes and one.digest not in record.hashes:
        return False
    if not {"*", "email"} & set(record.services):
        return False
    return not (record.no_subdomains and identity_is_below(one))
