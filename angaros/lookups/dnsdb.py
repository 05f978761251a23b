"""`dnsdb`: the DNS as a database. # Exim spec 9.10-9.13"""

from __future__ import annotations

import copy
import dataclasses
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from angaros.lists.parse import split_list, take_separator
from angaros.lookups.base import NOT_FOUND, PlainDriver, Request
from angaros.model.errors import LookupDefer
from angaros.model.interfaces import DnsAnswer, LookupResult, Resolver
from angaros.model.scope import Scope
from angaros.model.text import taint

TYPES = frozenset(("a", "a+", "aaaa", "cname", "csa", "mx", "mxh", "ns", "ptr", "soa", "spf", "srv", "tlsa", "txt", "zns"))
_DEFER = ("strict", "lax", "never")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_CSA_CODES = {1: "N", 2: "Y", 3: "?"}


@dataclass(slots=True)
class Query:
    """A parsed query."""

    separator: str = "\n"
    field: str | None = None
    """Between the fields of a record; None: a space, and only the first part of TXT and SOA."""
    defer: str = "lax"
    dnssec: str = "lax"
    retrans: int = 0
    retry: int = 0
    kind: str = "txt"
    names: str = ""


def parse_query(text: str) -> Query:
    """Separators, modifiers, type, names. LookupDefer in Exim's words. # Exim spec 9.10, 9.11"""
    query = Query()
    text = str(text).lstrip()
    if text[:1] == ">":
        query.separator, text = text[1:2], text[2:]
        if text[:1] == ",":
            query.field, text = text[1:2], text[2:]
        elif text[:1] == ";":
            query.field, text = "", text[1:]
        text = text.lstrip()
    text = _modifiers(text, query)
    kind, equals, names = text.partition("=")
    if equals and (kind.strip().rstrip("+").isalnum() or kind.strip().lower() in TYPES):
        query.kind = kind.strip().lower()
        if query.kind not in TYPES:
            raise LookupDefer("unsupported DNS record type")
        text = names
    elif equals:
        raise LookupDefer("unsupported DNS record type")
    query.names = text.lstrip()
    return query


def _modifiers(text: str, query: Query) -> str:
    """`defer_lax,dnssec_never,retrans_5s,retry_2,`"""
    while True:
        word = text.partition(",")[0].strip()
        name, underscore, value = word.partition("_")
        if not underscore or name not in ("defer", "dnssec", "retrans", "retry"):
            return text
        if "," not in text:
            raise LookupDefer("dnsdb modifier syntax error")
        text = text.partition(",")[2].lstrip()
        if name == "defer":
            query.defer = _choice(value, "unsupported dnsdb defer behaviour")
        elif name == "dnssec":
            query.dnssec = _choice(value, "unsupported dnsdb dnssec behaviour")
        elif name == "retrans":
            query.retrans = _seconds(value)
        elif not value.isdigit():
            raise LookupDefer("unsupported dnsdb retry count")
        else:
            query.retry = int(value)


def _choice(value: str, error: str) -> str:
    if value not in _DEFER:
        raise LookupDefer(error)
    return value


def _seconds(text: str) -> int:
    """An Exim time, `1m30s`. # Exim spec 6.16"""
    total, number = 0, ""
    for char in text:
        if char.isdigit():
            number += char
        elif char in _UNITS and number:
            total += int(number) * _UNITS[char]
            number = ""
        else:
            raise LookupDefer("unsupported dnsdb timeout value")
    total += int(number) if number else 0
    if total <= 0:
        raise LookupDefer("unsupported dnsdb timeout value")
    return total


class Dnsdb(PlainDriver):
    """One query may ask for several names."""

    def find(self, request: Request) -> LookupResult:
        """# Exim spec 9.10"""
        query = parse_query(request.key)
        scope = request.scope
        search = _Search(query, _resolver(scope, query), scope)
        for name in _names(query):
            for kind in ("aaaa", "a") if query.kind == "a+" else (query.kind,):
                search.one(name, kind)
        if search.deferred and not search.records:
            raise LookupDefer("")
        if not search.records:
            return NOT_FOUND
        secure = "" if query.dnssec == "never" else "yes" if search.secure else "no"
        scope.state["lookup_dnssec_authenticated"] = secure
        return LookupResult(taint(query.separator.join(search.records)), ttl=search.ttl)


def _resolver(scope: Scope, query: Query) -> Resolver:
    """The resolver, with times of its own where the query gives some."""
    resolver: Any = scope.services.dns
    if not (query.retrans or query.retry) or not hasattr(resolver, "settings"):
        return resolver  # type: ignore[no-any-return]
    settings = resolver.settings
    other = copy.copy(resolver)
    other.settings = dataclasses.replace(settings, retrans=query.retrans or settings.retrans, retry=query.retry or settings.retry)
    return other  # type: ignore[no-any-return]


def _names(query: Query) -> list[str]:
    """The names to look up; one IPv6 address after `ptr=` is no list. # Exim spec 9.13"""
    if query.kind == "ptr" and not take_separator(query.names)[0]:
        try:
            return [str(ipaddress.IPv6Address(query.names.strip()))]
        except ValueError:
            pass
    return split_list(query.names)


class _Search:
    """Asks and collects."""

    def __init__(self, query: Query, resolver: Resolver, scope: Scope) -> None:
        self.query = query
        self.resolver = resolver
        self.scope = scope
        self.records: list[str] = []
        self.deferred = False
        self.secure = True
        self.ttl: int | None = None

    def one(self, name: str, kind: str) -> None:
        """One name and type. LookupDefer with defer_strict."""
        if kind == "csa":
            found, answer = self._csa(name)
        elif kind in ("zns", "soa"):
            found, answer = self._upwards(name, "NS" if kind == "zns" else "SOA")
        else:
            found = _reverse(name) if kind in ("ptr", "csa") else name
            answer = self.ask(found, _wire_type(kind))
        if answer.status in ("nomatch", "nodata"):
            return
        insecure = self.query.dnssec == "strict" and not answer.authenticated
        if answer.status != "ok" or insecure:
            if self.query.defer == "strict":
                raise LookupDefer("")
            self.deferred = self.deferred or self.query.defer == "lax"
            return
        self.secure = self.secure and answer.authenticated
        self.ttl = answer.ttl if self.ttl is None else min(self.ttl, answer.ttl)
        self.records.extend(self._shown(kind, answer, name, found))

    def ask(self, name: str, kind: str) -> DnsAnswer:
        """One question."""
        return self.resolver.query(name, kind, dnssec=self.query.dnssec != "never")

    def _upwards(self, name: str, kind: str) -> tuple[str, DnsAnswer]:
        """The name, else its parents. # Exim spec 9.12 (zns)"""
        while True:
            answer = self.ask(name, kind)
            if answer.status not in ("nomatch", "nodata") or "." not in name:
                return name, answer
            name = name.partition(".")[2]

    def _csa(self, name: str) -> tuple[str, DnsAnswer]:
        """The SRV record of the name, else of the nearest parent below the top level. # Exim spec 44.52"""
        name = _reverse(name) if self.scope.services.config.main.dns_csa_use_reverse else name
        labels = name.split(".")
        limit = self.scope.services.config.main.dns_csa_search_limit
        answer = DnsAnswer("nomatch")
        for skipped in range(limit + 1):
            if skipped and len(labels) - skipped < 2:
                break
            found = ".".join(labels[skipped:])
            answer = self.ask(f"_client._smtp.{found}", "SRV")
            if answer.status not in ("nomatch", "nodata"):
                return found, answer
        return name, answer

    def _shown(self, kind: str, answer: DnsAnswer, name: str, found: str) -> Iterator[str]:
        """Records as text."""
        field = self.query.field
        gap = " " if field is None else field
        if kind in ("txt", "spf"):
            yield from _texts(kind, answer, field)
            return
        for _, data in answer.records:
            if kind == "csa":
                code = _csa_code(data, found != name)
                if code:
                    yield f"{code}{gap}{data[3]}"
            elif kind in ("mx", "srv"):
                yield gap.join(map(str, data))
            elif kind == "mxh":
                yield str(data[1])
            elif kind == "tlsa":
                yield gap.join((str(data[0]), str(data[1]), str(data[2]), bytes(data[3]).hex()))
            elif kind == "soa":
                yield str(data[0]) if field is None else gap.join(map(str, data))
            else:
                yield str(data)


def _wire_type(kind: str) -> str:
    return {"mxh": "MX", "spf": "TXT"}.get(kind, kind.upper())


def _csa_code(data: Any, parent: bool) -> str:
    """Y, N, X or ?; "" for a record of another version. # Exim spec 9.12 (csa)"""
    priority, weight, port, _ = data
    if priority != 1:
        return ""
    if parent:
        return "X" if port & 1 else "?"
    return _CSA_CODES.get(weight, "?")


def _texts(kind: str, answer: DnsAnswer, field: str | None) -> Iterator[str]:
    """TXT: the first string, or all with the field separator between. SPF: all joined, if it is an SPF record."""
    parts = answer.txt_parts or tuple((str(data),) for _, data in answer.records)
    for strings in parts:
        if kind == "spf":
            joined = (field or "").join(strings)
            if joined[:6].lower() == "v=spf1":
                yield joined
        else:
            yield strings[0] if field is None else field.join(strings)


def _reverse(name: str) -> str:
    """The name in the reverse zones of an address; other text as it is."""
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name
