"""SPF: whether a host may send mail for a domain. RFC 7208. DNS is passed in; nothing here knows of sessions.

Laws:
- A syntax error anywhere in a record that is reached is `permerror`, whatever matched before (4.6).
- Ten terms that ask the DNS, two that find nothing, ten names of an MX or PTR: then it ends (4.6.4).
- A temporary DNS error is `temperror`, except while names are validated (5.5).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from angaros.mailauth.spf_record import Macro, Mechanism, Record, Spec, SpfSyntaxError, is_spf, macro_string, parse_record

if TYPE_CHECKING:
    from angaros.model.interfaces import DnsAnswer, Resolver

MAX_LOOKUPS = 10
"""Terms that cause DNS queries. RFC 7208 4.6.4"""
MAX_VOID = 2
MAX_NAMES = 10
"""Names of one MX answer, names of the client's PTR answer."""
MAX_DOMAIN = 253
MAX_LABEL = 63

_ABSENT = ("nomatch", "nodata")


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: may this client send for this domain?"""

    address: str
    """The client's IP address."""
    domain: str
    sender: str
    """`local@domain`; for HELO `postmaster@helo`."""
    helo: str = ""
    receiver: str = "unknown"
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class SpfResult:
    """The answer. RFC 7208 2.6"""

    result: str
    explanation: str = ""
    """What the domain has to say about a `fail` (6.2); "" nothing."""
    mechanism: str = ""
    """The directive that matched."""
    problem: str = ""
    """Of `permerror` and `temperror`: what."""


class _Permerror(Exception):
    pass


class _Temperror(Exception):
    pass


def check_host(query: Query, dns: Resolver, *, default_record: str = "") -> SpfResult:
    """Judge. `default_record` stands in for a record where the domain has none (best guess)."""
    return _Check(query, dns).run(default_record)


def expand_macro(macro: Macro, query: Query) -> str:
    """A macro in a text of the administrator's (`spf_smtp_comment_template`)."""
    return _Check(query, _NO_DNS)._macro(macro, query.domain)


class _NoDns:
    def query(self, name: str, kind: str, **options: object) -> DnsAnswer:
        from angaros.model.interfaces import DnsAnswer

        return DnsAnswer("nomatch")


_NO_DNS = cast("Resolver", _NoDns())


class _Check:
    """One evaluation, with what it has used up."""

    def __init__(self, query: Query, dns: Resolver) -> None:
        self.query = query
        self.dns = dns
        packed = _packed(query.address)
        self.bits = len(packed) * 8
        self.value = int.from_bytes(packed, "big")
        self.host_kind = "A" if self.bits == 32 else "AAAA"
        self.lookups = 0
        self.voids = 0
        self.names: list[str] | None = None
        self.addresses: dict[str, bool] = {}

    def run(self, default_record: str) -> SpfResult:
        try:
            return self._domain(self.query.domain, default_record=default_record)
        except (_Permerror, SpfSyntaxError) as error:
            return SpfResult("permerror", problem=str(error))
        except _Temperror as error:
            return SpfResult("temperror", problem=str(error))

    def _domain(self, domain: str, *, explain: bool = True, default_record: str = "") -> SpfResult:
        """check_host() of the RFC (4)."""
        record = self._record(domain, default_record)
        if record is None:
            return SpfResult("none")
        for mechanism in record.mechanisms:
            if _MATCHERS[mechanism.name](self, mechanism, domain):
                explanation = ""
                if mechanism.result == "fail" and explain and record.exp is not None:
                    explanation = self._explanation(record.exp, domain)
                return SpfResult(mechanism.result, explanation, mechanism.text)
        if record.redirect is None:
            return SpfResult("neutral")
        return self._redirect(record.redirect, domain, explain)

    def _redirect(self, spec: Spec, domain: str, explain: bool) -> SpfResult:
        """RFC 7208 6.1"""
        self._count()
        target = self._target(spec, domain)
        found = self._domain(target, explain=explain)
        if found.result == "none":
            raise _Permerror(f"redirect to {target}, which has no SPF record")
        return found

    def _record(self, domain: str, default_record: str) -> Record | None:
        """The domain's record, parsed; None when it has none. RFC 7208 4.3 to 4.5"""
        if not is_domain(domain) or "." not in domain.rstrip("."):
            return None
        answer = self.dns.query(domain, "TXT")
        if answer.status not in ("ok", *_ABSENT):
            raise _Temperror(f"DNS error for {domain}")
        texts = [str(text) for _, text in answer.records if is_spf(text)] if answer.status == "ok" else []
        if len(texts) > 1:
            raise _Permerror(f"{domain} has more than one SPF record")
        if not texts and default_record:
            texts = [default_record]
        return parse_record(texts[0]) if texts else None

    # Accounts.

    def _count(self) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            raise _Permerror("too many DNS lookups")

    def _ask(self, name: str, kind: str) -> DnsAnswer | None:
        """An answer that counts; None when there is nothing."""
        answer = self.dns.query(name, kind) if is_domain(name) else None
        if answer is not None and answer.status == "ok":
            return answer
        if answer is not None and answer.status not in _ABSENT:
            raise _Temperror(f"DNS error for {name}")
        self._void()
        return None

    def _void(self) -> None:
        self.voids += 1
        if self.voids > MAX_VOID:
            raise _Permerror("too many DNS lookups that find nothing")

    # Mechanisms. RFC 7208 5

    def _all(self, mechanism: Mechanism, domain: str) -> bool:
        return True

    def _include(self, mechanism: Mechanism, domain: str) -> bool:
        self._count()
        target = self._target(mechanism.domain, domain)
        found = self._domain(target, explain=False)
        if found.result == "none":
            raise _Permerror(f"include of {target}, which has no SPF record")
        return found.result == "pass"

    def _a(self, mechanism: Mechanism, domain: str) -> bool:
        self._count()
        answer = self._ask(self._target(mechanism.domain, domain), self.host_kind)
        return answer is not None and self._among((str(data) for _, data in answer.records), mechanism)

    def _mx(self, mechanism: Mechanism, domain: str) -> bool:
        self._count()
        answer = self._ask(self._target(mechanism.domain, domain), "MX")
        if answer is None:
            return False
        if len(answer.records) > MAX_NAMES:
            raise _Permerror("too many MX records")
        for _, (_, name) in sorted(answer.records, key=lambda record: int(record[1][0])):
            if not is_domain(str(name)):
                continue
            found = self.dns.query(str(name), self.host_kind)
            if found.status not in ("ok", *_ABSENT):
                raise _Temperror(f"DNS error for {name}")
            if self._among((str(data) for _, data in found.records), mechanism):
                return True
        return False

    def _among(self, addresses: Iterable[str], mechanism: Mechanism) -> bool:
        shift = self.bits - (mechanism.cidr4 if self.bits == 32 else mechanism.cidr6)
        mine = self.value >> shift
        return any(int.from_bytes(_packed(text), "big") >> shift == mine for text in addresses)

    def _ptr(self, mechanism: Mechanism, domain: str) -> bool:
        self._count()
        target = self._target(mechanism.domain, domain).lower().rstrip(".")
        for name in self._client_names():
            lowered = name.lower()
            if (lowered == target or lowered.endswith(f".{target}")) and self._is_ours(name):
                return True
        return False

    def _ip(self, mechanism: Mechanism, domain: str) -> bool:
        assert mechanism.network is not None
        bits, prefix = mechanism.network
        return bits == self.bits and self.value >> (bits - mechanism.cidr4) == prefix

    def _exists(self, mechanism: Mechanism, domain: str) -> bool:
        self._count()
        return self._ask(self._target(mechanism.domain, domain), "A") is not None

    # Names of the client. RFC 7208 5.5

    def _client_names(self) -> list[str]:
        """What its PTR records say, as far as we look; not validated."""
        if self.names is None:
            answer = self.dns.query(_reverse_name(self.bits, self.value), "PTR")
            self.names = []
            if answer.status == "ok":
                self.names = [str(name).rstrip(".") for _, name in answer.records[:MAX_NAMES]]
            elif answer.status in _ABSENT:
                self._void()
        return self.names

    def _is_ours(self, name: str) -> bool:
        """Whether the name has the client's address."""
        known = self.addresses.get(name)
        if known is None:
            answer = self.dns.query(name, self.host_kind)
            mine = self.value
            known = answer.status == "ok" and any(int.from_bytes(_packed(str(data)), "big") == mine for _, data in answer.records)
            self.addresses[name] = known
        return known

    def _validated_name(self, domain: str) -> str:
        """`%{p}`: the domain itself, else a name below it, else any. RFC 7208 7.3"""
        target = domain.lower().rstrip(".")
        names = self._client_names()
        ranked = sorted(names, key=lambda name: (name.lower() != target, not name.lower().endswith(f".{target}")))
        return next((name for name in ranked if self._is_ours(name)), "unknown")

    # Macros. RFC 7208 7

    def _target(self, spec: Spec | None, domain: str) -> str:
        """A domain-spec expanded; too long ones lose labels at the left (7.3)."""
        if spec is None:
            return domain
        name = self._expand(spec, domain)
        while len(name.rstrip(".")) > MAX_DOMAIN and "." in name:
            name = name.partition(".")[2]
        return name

    def _expand(self, spec: Spec, domain: str) -> str:
        if len(spec) == 1 and isinstance(spec[0], str):
            return spec[0]
        return "".join([part if isinstance(part, str) else self._macro(part, domain) for part in spec])

    def _macro(self, macro: Macro, domain: str) -> str:
        value = _LETTERS[macro.letter](self, domain)
        if macro.reverse or macro.digits or macro.delimiters != ".":
            parts = _split(value, macro.delimiters)
            if macro.reverse:
                parts.reverse()
            value = ".".join(parts[-macro.digits :] if macro.digits else parts)
        return quote(value.encode("latin-1"), safe="") if macro.escape else value

    def _dotted(self) -> str:
        if self.bits == 32:
            return socket.inet_ntoa(self.value.to_bytes(4, "big"))
        return ".".join(f"{self.value:032X}")

    def _readable(self) -> str:
        family = socket.AF_INET if self.bits == 32 else socket.AF_INET6
        return socket.inet_ntop(family, self.value.to_bytes(self.bits // 8, "big"))

    def _explanation(self, spec: Spec, domain: str) -> str:
        """The domain's text about a failure; nothing when something is wrong with it. RFC 7208 6.2"""
        name = self._target(spec, domain)
        answer = self.dns.query(name, "TXT") if is_domain(name) else None
        if answer is None or answer.status != "ok" or len(answer.records) != 1:
            return ""
        try:
            return self._expand(macro_string(str(answer.records[0][1]), True), domain)
        except (SpfSyntaxError, _Permerror):
            return ""


_MATCHERS: dict[str, Callable[[_Check, Mechanism, str], bool]] = {
    "all": _Check._all,
    "include": _Check._include,
    "a": _Check._a,
    "mx": _Check._mx,
    "ptr": _Check._ptr,
    "ip4": _Check._ip,
    "ip6": _Check._ip,
    "exists": _Check._exists,
}

_LETTERS: dict[str, Callable[[_Check, str], str]] = {
    "s": lambda check, domain: check.query.sender,
    "l": lambda check, domain: check.query.sender.rpartition("@")[0],
    "o": lambda check, domain: check.query.sender.rpartition("@")[2],
    "d": lambda check, domain: domain,
    "i": lambda check, domain: check._dotted(),
    "p": lambda check, domain: check._validated_name(domain),
    "h": lambda check, domain: check.query.helo,
    "v": lambda check, domain: "in-addr" if check.bits == 32 else "ip6",
    "c": lambda check, domain: check._readable(),
    "r": lambda check, domain: check.query.receiver,
    "t": lambda check, domain: str(int(check.query.now)),
}


def _split(value: str, delimiters: str) -> list[str]:
    first = delimiters[0]
    for other in delimiters[1:]:
        value = value.replace(other, first)
    return value.split(first)


def _packed(address: str) -> bytes:
    """Octets of an address; an IPv4 address in IPv6 clothes is IPv4. RFC 7208 5"""
    if ":" not in address:
        return socket.inet_aton(address)
    octets = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return octets[12:] if octets[:12] == b"\0" * 10 + b"\xff\xff" else octets


def _reverse_name(bits: int, value: int) -> str:
    if bits == 32:
        return ".".join(str(value >> shift & 255) for shift in (0, 8, 16, 24)) + ".in-addr.arpa"
    return ".".join(reversed(f"{value:032x}")) + ".ip6.arpa"


def is_domain(name: str) -> bool:
    """Labels of 1 to 63 octets, 253 in all."""
    if name.endswith("."):
        name = name[:-1]
    return 0 < len(name) <= MAX_DOMAIN and all(0 < len(label) <= MAX_LABEL for label in name.split("."))
