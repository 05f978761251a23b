"""SPF records: from text to terms. RFC 7208 4.6, 7.1, 12. No I/O; a parsed record is a value, kept for the next message."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from functools import lru_cache

VERSION = "v=spf1"
RECORDS_KEPT = 2048
"""Parsed records in memory: some 4 MB at most."""

_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)\Z", re.DOTALL)
_MECHANISM = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9]*)([:/].*)?\Z", re.DOTALL)
_DUAL_CIDR = re.compile(r"(.*?)(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?\Z", re.DOTALL)
_CIDR = re.compile(r"([^/]*)(?:/(0|[1-9][0-9]{0,2}))?\Z")
_MACRO = re.compile(r"%(?:\{([a-zA-Z])([0-9]*)([rR]?)([.+,/_=-]*)\}|([%_-]))")
_LITERAL = re.compile(r"[\x21-\x24\x26-\x7e]*\Z")
_TEXT_LITERAL = re.compile(r"[\x20-\x24\x26-\x7e]*\Z")
_END = re.compile(r"\.(?![0-9]+\.?\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?\Z")
"""domain-end that is not a macro: `.toplabel`, with a letter or a hyphen in it."""

_LETTERS = frozenset("slodiphv")
_TEXT_LETTERS = _LETTERS | frozenset("crt")
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
_QUALIFIERS = {"": "pass", "+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


class SpfSyntaxError(Exception):
    """The record is not one: `permerror`. `str()` says where."""


@dataclass(frozen=True, slots=True)
class Macro:
    """`%{d2r.}`. RFC 7208 7.1"""

    letter: str
    digits: int
    """Right-hand parts to keep; 0: all."""
    reverse: bool
    delimiters: str
    escape: bool
    """An upper-case letter: the value is URL-escaped."""


Spec = tuple["str | Macro", ...]
"""A macro-string: literal text and macros."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One directive. RFC 7208 5"""

    name: str
    result: str
    """What a match means."""
    domain: Spec | None = None
    """None: the current domain."""
    cidr4: int = 32
    cidr6: int = 128
    network: tuple[int, int] | None = None
    """`ip4`, `ip6`: length of the address in bits, and its prefix."""
    text: str = ""
    """As it stands in the record."""


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record."""

    mechanisms: tuple[Mechanism, ...]
    redirect: Spec | None = None
    exp: Spec | None = None


def is_spf(text: str) -> bool:
    """Whether a TXT record claims to be SPF. RFC 7208 4.5"""
    return text[:6].lower() == VERSION and (len(text) == 6 or text[6] == " ")


@lru_cache(maxsize=RECORDS_KEPT)
def parse_record(text: str) -> Record:
    """Raises `SpfSyntaxError`. RFC 7208 4.6"""
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, Spec] = {}
    for term in text[len(VERSION) :].split(" "):
        if not term:
            continue
        modifier = _MODIFIER.match(term)
        if modifier is not None:
            _modifier(modifier, modifiers)
        else:
            mechanisms.append(_mechanism(term))
    return Record(tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"))


def _modifier(found: re.Match[str], modifiers: dict[str, Spec]) -> None:
    name = found[1].lower()
    if name in ("redirect", "exp"):
        if name in modifiers:
            raise SpfSyntaxError(f"{name}= is there twice")
        modifiers[name] = domain_spec(found[2])
    else:
        macro_string(found[2])  # RFC 7208 6: unknown, but its syntax counts


def _mechanism(term: str) -> Mechanism:
    found = _MECHANISM.match(term)
    if found is None:
        raise SpfSyntaxError(f"bad term '{term}'")
    name, rest = found[2].lower(), found[3] or ""
    read = _READERS.get(name)
    if read is None:
        raise SpfSyntaxError(f"unknown mechanism '{name}'")
    return read(term, name, _QUALIFIERS[found[1]], rest)


def _all(term: str, name: str, result: str, rest: str) -> Mechanism:
    if rest:
        raise SpfSyntaxError(f"bad term '{term}'")
    return Mechanism(name, result, text=term)


def _with_domain(term: str, name: str, result: str, rest: str) -> Mechanism:
    """`include`, `exists`: the domain must be there."""
    if not rest.startswith(":"):
        raise SpfSyntaxError(f"'{name}' without a domain")
    return Mechanism(name, result, domain_spec(rest[1:]), text=term)


def _ptr(term: str, name: str, result: str, rest: str) -> Mechanism:
    return _with_domain(term, name, result, rest) if rest else Mechanism(name, result, text=term)


def _hosts(term: str, name: str, result: str, rest: str) -> Mechanism:
    """`a`, `mx`."""
    found = _DUAL_CIDR.match(rest)
    assert found is not None
    domain = found[1]
    cidr4, cidr6 = int(found[2] or 32), int(found[3] or 128)
    if cidr4 > 32 or cidr6 > 128:
        raise SpfSyntaxError(f"bad prefix length in '{term}'")
    if domain and not domain.startswith(":"):
        raise SpfSyntaxError(f"bad term '{term}'")
    return Mechanism(name, result, domain_spec(domain[1:]) if domain else None, cidr4, cidr6, text=term)


def _network(term: str, name: str, result: str, rest: str) -> Mechanism:
    """`ip4`, `ip6`."""
    family, bits = (socket.AF_INET, 32) if name == "ip4" else (socket.AF_INET6, 128)
    found = _CIDR.match(rest[1:]) if rest.startswith(":") else None
    if found is None:
        raise SpfSyntaxError(f"bad term '{term}'")
    cidr = int(found[2]) if found[2] else bits
    try:
        address = int.from_bytes(socket.inet_pton(family, found[1]), "big")
    except (OSError, ValueError):
        raise SpfSyntaxError(f"bad address in '{term}'") from None
    if cidr > bits:
        raise SpfSyntaxError(f"bad prefix length in '{term}'")
    return Mechanism(name, result, cidr4=cidr, cidr6=cidr, network=(bits, address >> (bits - cidr)), text=term)


_READERS = {
    "all": _all,
    "include": _with_domain,
    "a": _hosts,
    "mx": _hosts,
    "ptr": _ptr,
    "ip4": _network,
    "ip6": _network,
    "exists": _with_domain,
}


def domain_spec(text: str) -> Spec:
    """A macro-string that ends like a domain. RFC 7208 7.1"""
    spec = macro_string(text)
    last = _MACRO.search(text)
    tail_start = 0
    while last is not None:
        tail_start = last.end()
        last = _MACRO.search(text, tail_start)
    if not text or (tail_start < len(text) and _END.search(text[tail_start:]) is None):
        raise SpfSyntaxError(f"'{text}' is no domain")
    return spec


@lru_cache(maxsize=RECORDS_KEPT)
def macro_string(text: str, explanation: bool = False) -> Spec:
    """Literals and macros. `explanation`: the text of `exp=`, which may have spaces and more letters."""
    parts: list[str | Macro] = []
    literal = _TEXT_LITERAL if explanation else _LITERAL
    letters = _TEXT_LETTERS if explanation else _LETTERS
    position = 0
    for found in _MACRO.finditer(text):
        _add(parts, text[position : found.start()], literal)
        position = found.end()
        if found[5]:
            _add(parts, _ESCAPES[found[5]], None)
        else:
            parts.append(_macro(found, letters))
    _add(parts, text[position:], literal)
    return tuple(parts)


def _add(parts: list[str | Macro], text: str, allowed: re.Pattern[str] | None) -> None:
    if allowed is not None and allowed.match(text) is None:
        raise SpfSyntaxError(f"bad character in '{text}'")
    if not text:
        return
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    else:
        parts.append(text)


def _macro(found: re.Match[str], letters: frozenset[str]) -> Macro:
    letter = found[1].lower()
    if letter not in letters:
        raise SpfSyntaxError(f"unknown macro '{found[0]}'")
    if found[2] and int(found[2][:4]) == 0:
        raise SpfSyntaxError(f"bad macro '{found[0]}'")
    return Macro(letter, int(found[2][:4] or 0), bool(found[3]), found[4] or ".", found[1].isupper())
