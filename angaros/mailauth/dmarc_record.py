"""DMARC records: from text to policy. RFC 7489 6.3, 6.4; DMARCbis adds `np`, `psd`, `t`. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

RECORDS_KEPT = 2048
"""Parsed records in memory."""
DEFAULT_INTERVAL = 86400
"""`ri`. RFC 7489 6.3"""
MAX_URIS = 5
"""Report addresses of one record that are looked at; RFC 7489 6.3 asks for two at least."""

_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_MAILTO = re.compile(r"mailto:([^!?\s]+@[^!?\s]+)(?:![0-9]+[kmgtKMGT]?)?\Z", re.IGNORECASE)
_SIZE = re.compile(r"!([0-9]{1,12})([kmgt]?)\Z", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_POLICIES = ("none", "quarantine", "reject")


@dataclass(frozen=True, slots=True)
class ReportUri:
    """Where reports go. RFC 7489 6.2"""

    text: str
    """As it stands in the record."""
    address: str
    limit: int = 0
    """Octets that it takes; 0: any number."""

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """A usable record."""

    p: str
    sp: str = ""
    np: str = ""
    """Policy for subdomains that do not exist (RFC 9091)."""
    adkim: str = "r"
    aspf: str = "r"
    pct: int = 100
    fo: tuple[str, ...] = ("0",)
    ri: int = DEFAULT_INTERVAL
    rua: tuple[str, ...] = ()
    """As they stand in the record."""
    ruf: tuple[str, ...] = ()
    psd: str = "u"
    testing: bool = False

    def report_uris(self) -> tuple[ReportUri, ...]:
        """Mail addresses for aggregate reports."""
        return parse_uris(self.rua)

    def failure_uris(self) -> tuple[ReportUri, ...]:
        """Mail addresses for failure reports."""
        return parse_uris(self.ruf)


def is_dmarc(text: str) -> bool:
    """Whether a TXT record claims to be DMARC: the version comes first. RFC 7489 6.6.3"""
    return _VERSION.match(text) is not None


@lru_cache(maxsize=RECORDS_KEPT)
def parse_record(text: str) -> DmarcRecord | None:
    """None when DMARC does not apply. RFC 7489 6.6.3: tags with errors count as absent."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    policy = _word(tags, "p", _POLICIES)
    rua = _list(tags.get("rua", ""))
    if not policy or (tags.get("sp") and not _word(tags, "sp", _POLICIES)):
        if not parse_uris(rua):
            return None
        policy = "none"  # RFC 7489 6.6.3, step 6
        tags.pop("sp", None)
    fo = tuple(word for word in tags.get("fo", "0").lower().replace(" ", "").split(":") if word in ("0", "1", "d", "s"))
    return DmarcRecord(
        policy,
        _word(tags, "sp", _POLICIES),
        _word(tags, "np", _POLICIES),
        _word(tags, "adkim", ("r", "s"), "r"),
        _word(tags, "aspf", ("r", "s"), "r"),
        _number(tags.get("pct", ""), 100, 100),
        fo or ("0",),
        _number(tags.get("ri", ""), DEFAULT_INTERVAL, (1 << 32) - 1),
        rua,
        _list(tags.get("ruf", "")),
        _word(tags, "psd", ("y", "n", "u"), "u"),
        _word(tags, "t", ("y", "n"), "n") == "y",
    )


def _word(tags: dict[str, str], name: str, allowed: tuple[str, ...], default: str = "") -> str:
    value = tags.get(name, "").lower()
    return value if value in allowed else default


def _number(text: str, default: int, most: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most else default


def _list(text: str) -> tuple[str, ...]:
    return tuple(uri for part in text.split(",") if (uri := part.strip()))


@lru_cache(maxsize=RECORDS_KEPT)
def parse_uris(texts: tuple[str, ...]) -> tuple[ReportUri, ...]:
    """The `mailto:` ones, with their size limits."""
    found: list[ReportUri] = []
    for text in texts:
        match = _MAILTO.match(text)
        if match is None:
            continue
        size = _SIZE.search(text)
        limit = int(size[1]) * _UNITS[size[2].lower()] if size is not None else 0
        found.append(ReportUri(text, unquote(match[1], "latin-1"), limit))
    return tuple(found[:MAX_URIS])
