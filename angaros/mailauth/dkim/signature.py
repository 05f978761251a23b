"""One signature: a header line that was parsed, and what became of it. # RFC 6376 3.5, 3.7

Also the base of ARC-Message-Signature and ARC-Seal, which share tags and algorithms (RFC 8617 4.1).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from angaros.mailauth.dkim.canon import METHODS, SIMPLE, BodyHasher, header_line
from angaros.mailauth.dkim.keys import KeyRecord, PublicKey
from angaros.mailauth.dkim.tags import TagError, parse_tags, split_colons, without_white

NONE, INVALID, FAIL, PASS = "none", "invalid", "fail", "pass"

HASHES = {"sha1": 20, "sha256": 32, "sha512": 64}
"""Digests and their octets."""
NO_LIMIT = 9999999999999
"""`$dkim_bodylength`, `$dkim_expires` when the signer set none. # Exim spec 58.3"""
MAX_NUMBER = 12
"""Digits of t=, x= (RFC 6376 3.5: 12), and of l= (76 there; no message has 10^12 octets)."""

_DOMAIN = re.compile(r"[A-Za-z0-9_\-\x80-\xff]+(?:\.[A-Za-z0-9_\-\x80-\xff]+)*\.?\Z")
"""d=, s=: domain names, internationalised ones as A-labels or UTF-8. # RFC 6376 3.5, RFC 8616 4"""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_B_VALUE = re.compile(r"(?:(?<=;)|\A)([ \t\r\n]*b[ \t\r\n]*=)[^;]*")


@dataclass(slots=True)
class Signature:
    """A DKIM-Signature line. What cannot be read is empty, and `problem` says so."""

    line: str
    """The whole header line, LF or CRLF line ends."""
    tags: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    """Key of `report.REASONS`; "" when the line can be verified."""
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    """`rsa-sha256`"""
    key_type: str = ""
    digest: str = ""
    header_canon: str = SIMPLE
    body_canon: str = SIMPLE
    headers: tuple[str, ...] = ()
    """h=, as written."""
    signature: bytes = b""
    body_hash: bytes = b""
    identity: str = ""
    length: int | None = None
    created: int | None = None
    expires: int | None = None
    hasher: BodyHasher | None = None
    status: str = NONE
    reason: str = ""
    """Key of `report.REASONS`."""
    library: str = ""
    """What the cryptographic library said."""
    record: KeyRecord | None = None
    key: PublicKey | None = None
    forced: tuple[str, str] | None = None
    """Status and reason that the DKIM ACL set."""

    @property
    def verdict(self) -> str:
        """The status that counts: the ACL's if it set one. # Exim spec 58.3"""
        return self.forced[0] if self.forced is not None else self.status

    def wants(self) -> tuple[str, str, int | None]:
        """What body hash it needs."""
        return self.digest, self.body_canon, self.length


def parse_signature(line: str) -> Signature:
    """A DKIM-Signature header line."""
    found = Signature(line)
    try:
        found.tags = parse_tags(line.partition(":")[2])
    except TagError:
        found.problem = "syntax"
        return found
    read_common(found)
    tags = found.tags
    if tags.get("v") != "1":  # RFC 6376 3.5, v=
        found.problem = "version" if "v" in tags else "syntax"
    read_canon(found, tags.get("c", "simple/simple"))
    found.identity = _shown(tags.get("i", ""))
    _read_numbers(found)
    if "q" in tags and "dns/txt" not in split_colons(tags["q"].lower()):
        found.problem = found.problem or "syntax"
    if found.identity and not _identity_fits(found.identity, found.domain):
        found.problem = found.problem or "syntax"  # RFC 6376 6.1.1: DOMAIN MISMATCH
    return found


def read_common(found: Signature, *, sealed: bool = False) -> None:
    """The tags that ARC has too: a, b, bh, d, s, h; `sealed`: h= is not needed."""
    tags = found.tags
    found.domain = _shown(tags.get("d", "")).lower()
    found.selector = _shown(tags.get("s", ""))
    found.algorithm = _shown(tags.get("a", "")).lower()
    found.key_type, _, found.digest = found.algorithm.partition("-")
    found.headers = split_colons(tags.get("h", ""))
    found.signature = _base64(tags.get("b", ""))
    found.body_hash = _base64(tags.get("bh", ""))
    names = _DOMAIN.match(found.domain) and _DOMAIN.match(found.selector)
    needed = (found.domain, found.selector, found.algorithm, found.signature, sealed or found.headers)
    if not names or not all(needed) or found.digest not in HASHES or found.key_type not in ("rsa", "ed25519"):
        found.problem = "syntax"


def _shown(text: str) -> str:
    """A value that goes into logs and header lines: no white space, no control characters."""
    return _CONTROL.sub("?", without_white(text))


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(without_white(text), validate=True)
    except (binascii.Error, ValueError):
        return b""


def read_canon(found: Signature, text: str) -> None:
    """c=; the body's is simple when only the header's is given. # RFC 6376 3.5, c="""
    header, _, body = without_white(text).lower().partition("/")
    found.header_canon, found.body_canon = header, body or SIMPLE
    if header not in METHODS or found.body_canon not in METHODS:
        found.problem = found.problem or "syntax"
        found.header_canon = found.body_canon = SIMPLE


def _read_numbers(found: Signature) -> None:
    values: list[int | None] = []
    for name in ("l", "t", "x"):
        text = found.tags.get(name)
        number = None
        if text is not None:
            if not (text.isascii() and text.isdigit()) or len(text) > MAX_NUMBER:
                found.problem = found.problem or "syntax"
            else:
                number = int(text)
        values.append(number)
    found.length, found.created, found.expires = values
    if found.created is not None and found.expires is not None and found.expires <= found.created:
        found.problem = found.problem or "syntax"  # RFC 6376 3.5, x=: it MUST be greater


def _identity_fits(identity: str, domain: str) -> bool:
    """i= is in the signing domain or below. # RFC 6376 3.5, i="""
    _, at, part = identity.rpartition("@")
    part = part.lower()
    return bool(at) and (part == domain or part.endswith("." + domain))


def identity_is_below(found: Signature) -> bool:
    """i= is in a proper subdomain, which a key with t=s forbids. # RFC 6376 3.6.1, t=s"""
    return bool(found.identity) and found.identity.rpartition("@")[2].lower() != found.domain


def without_b(line: str) -> str:
    """The line with an empty b=. # RFC 6376 3.7"""
    name, colon, value = line.partition(":")
    return name + colon + _B_VALUE.sub(r"\1", value, count=1)


def select_headers(names: tuple[str, ...], headers: list[str]) -> list[str]:
    """The header lines that h= names: bottom up, each once; a name too many is nothing. # RFC 6376 5.4.2"""
    by_name: dict[str, list[str]] = {}
    for line in headers:
        by_name.setdefault(line.partition(":")[0].rstrip(" \t").lower(), []).append(line)
    chosen = []
    for name in names:
        lines = by_name.get(name.lower())
        if lines:
            chosen.append(lines.pop())
    return chosen


def signed_data(chosen: list[str], line: str, method: str) -> bytes:
    """What a signature is over: the chosen header lines and its own, without line end and without b=. # RFC 6376 3.7"""
    parts = [header_line(one, method) for one in chosen]
    parts.append(header_line(without_b(line), method).removesuffix("\r\n"))
    return "".join(parts).encode("latin-1")
