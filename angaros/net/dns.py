"""The stub resolver: questions to the servers of resolv.conf, with a cache. Exim's view of the answers (its DNS_* results).

Laws:
- One question at a time for a name and type: others who ask the same wait for its answer (`waiter.share`).
- Ids are random, ports change (RFC 5452); an answer must repeat the question.
- Status `again` is cached too, shortly: a dead server must not be asked for every recipient.
"""

from __future__ import annotations

import os
import re
import struct
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from angaros.model.errors import ListDefer
from angaros.model.events import raise_event
from angaros.model.interfaces import DnsAnswer
from angaros.model.scope import Scope
from angaros.model.text import Tainted
from angaros.net import dns_wire
from angaros.net.dns_wire import TYPES, Record, Response, WireError

if TYPE_CHECKING:
    from angaros.config.config import Config
    from angaros.model.interfaces import Clock, Random, Services, Waiter

CACHE_LIMIT = 20000
"""Answers kept: about 10 MB."""
TTL_LIMIT = 86400
"""Nobody needs an answer of yesterday."""
NEGATIVE_LIMIT = 10800
"""RFC 2308 5."""
AGAIN_TTL = 15
"""Seconds for which a temporary error is not tried again."""
TCP_LIMIT = 65535
SERVER_LIMIT = 3
"""As in the C library."""
RETRY_LIMIT = 10
DEFAULT_SERVERS = (("127.0.0.1", 53),)

RCODE_OK, RCODE_FORMERR, RCODE_SERVFAIL, RCODE_NXDOMAIN, RCODE_NOTIMP, RCODE_REFUSED = range(6)


@dataclass(frozen=True, slots=True)
class ResolverFile:
    """What resolv.conf says."""

    servers: tuple[tuple[str, int], ...] = DEFAULT_SERVERS
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout: int = 5
    attempts: int = 2
    rotate: bool = False
    tcp_only: bool = False


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """The dns_* main options that the resolver itself obeys."""

    retrans: int = 0
    retry: int = 0
    use_edns0: int = -1
    dnssec_ok: int = -1
    cname_loops: int = 1
    check_names_pattern: str = ""
    again_means_nonexist: str | None = None
    trust_aa: str | None = None
    slow_log: int = 0
    """Milliseconds after which a lookup is logged; 0 never."""
    path: str = "/etc/resolv.conf"


def parse_resolv_conf(text: str) -> ResolverFile:
    """resolv.conf(5)."""
    servers: list[tuple[str, int]] = []
    search: tuple[str, ...] = ()
    numbers = {"ndots": 1, "timeout": 5, "attempts": 2}
    words: set[str] = set()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 2 or line.startswith(("#", ";")):
            continue
        if fields[0] == "nameserver" and len(servers) < SERVER_LIMIT:
            servers.append((fields[1], 53))
        elif fields[0] in ("search", "domain"):
            search = tuple(name.rstrip(".") for name in fields[1:] if name != ".")
        elif fields[0] == "options":
            for option in fields[1:]:
                key, _, value = option.partition(":")
                words.add(key)
                if key in numbers and value.isdigit():
                    numbers[key] = int(value)
    return ResolverFile(
        tuple(servers) or DEFAULT_SERVERS,
        search,
        min(numbers["ndots"], 15),
        max(1, min(numbers["timeout"], 30)),
        max(1, min(numbers["attempts"], 5)),
        "rotate" in words,
        "use-vc" in words,
    )


def from_config(config: Config, waiter: Waiter, clock: Clock, random: Random) -> StubResolver:
    """The resolver that the main options ask for."""
    main = config.main
    settings = DnsSettings(
        retrans=main.dns_retrans,
        retry=main.dns_retry,
        use_edns0=main.dns_use_edns0,
        dnssec_ok=main.dns_dnssec_ok,
        cname_loops=main.dns_cname_loops,
        check_names_pattern=main.dns_check_names_pattern,
        again_means_nonexist=main.dns_again_means_nonexist,
        trust_aa=main.dns_trust_aa,
        slow_log=main.slow_lookup_log,
    )
    return StubResolver(settings, waiter, clock, random)


FAILURES = {"nomatch": "DNS_NOMATCH", "nodata": "DNS_NODATA", "again": "DNS_AGAIN", "fail": "DNS_FAIL"}


def _failure_event(scope: Scope, result: str, name: str, kind: str) -> None:
    """`dns:fail`: the transport's event in a transport, else main's. Exim spec 61"""
    config: Any = scope.services.config
    transport = config.transports.get(scope.local.get("transport_name", ""))
    action = transport.options.event_action if transport is not None else config.main.event_action
    if action:
        raise_event(action, "dns:fail", f"{result}:{name}:{kind}", scope)


class StubResolver:
    """Implements `interfaces.Resolver`."""

    def __init__(self, settings: DnsSettings, waiter: Waiter, clock: Clock, random: Random) -> None:
        self.settings = settings
        self._waiter = waiter
        self._clock = clock
        self._random = random
        self._services: Services | None = None
        self._cache: dict[tuple[str, int, bool], tuple[float, DnsAnswer]] = {}
        self._file = ResolverFile()
        self._file_stamp: object = None
        self._turn = 0
        self._name_check: Any = None
        self._asking: set[str] = set()
        """Options whose lists are being looked at."""

    def attach(self, services: Services) -> None:
        """Give it the services that domain-list options need."""
        self._services = services

    def flush(self) -> None:
        """Forget all answers."""
        self._cache.clear()

    # Asking.

    def query(
        self,
        name: str,
        kind: str,
        *,
        qualify_single: bool = False,
        search_parents: bool = False,
        dnssec: bool = False,
        scope: Scope | None = None,
        events: bool = True,
    ) -> DnsAnswer:
        """See `interfaces.Resolver`."""
        number = TYPES.get(kind.upper())
        if number is None:
            raise ValueError(f"unsupported DNS record type: {kind}")
        if self.settings.dnssec_ok >= 0:
            dnssec = self.settings.dnssec_ok > 0
        given = name
        if not name.isascii() or "\\" in name:
            name = ascii_name(name)
        if not self._name_allowed(name, number):
            return DnsAnswer("nomatch", bad_name=True)
        started = time.monotonic() if self.settings.slow_log else 0.0
        answer = self._search(name, number, self._candidates(name, qualify_single, search_parents), dnssec)
        if started:
            self._log_slow(name, kind, started)
        if answer.status == "again":
            if self._listed(name, self.settings.again_means_nonexist, "dns_again_means_nonexist", scope):
                return DnsAnswer("nomatch")
        if scope is not None and events and answer.status in FAILURES:
            _failure_event(scope, FAILURES[answer.status], answer.failed_name or name, kind)
        if given is not name and answer.qualified_name.lower() == name.lower():
            return replace(answer, qualified_name=given)  # the same name, only written in another way
        return answer

    def _search(self, name: str, kind: int, candidates: list[str], dnssec: bool) -> DnsAnswer:
        """The first candidate that exists; a temporary error counts more than `does not exist`."""
        worst: DnsAnswer | None = None
        for candidate in candidates:
            answer = self._follow(candidate, kind, dnssec)
            if answer.status == "ok":
                return answer
            if worst is None or worst.status == "nomatch" or (answer.status == "again" and worst.status != "fail"):
                worst = answer
            if answer.status == "fail":
                break
        return worst or DnsAnswer("nomatch")

    def _candidates(self, name: str, qualify_single: bool, search_parents: bool) -> list[str]:
        """Names to try, in order (resolver(3): RES_DEFNAMES is `qualify_single`, RES_DNSRCH is `search_parents`)."""
        if name.endswith("."):
            return [name[:-1]]
        file = self._resolver_file()
        dots = name.count(".")
        extended: list[str] = []
        if (dots == 0 and qualify_single) or (dots and search_parents):
            extended = [f"{name}.{domain}" for domain in file.search]
            if not search_parents:
                extended = extended[:1]
        return [name, *extended] if dots >= file.ndots else [*extended, name]

    def _follow(self, name: str, kind: int, dnssec: bool) -> DnsAnswer:
        """One name, with CNAMEs that the server did not follow (Exim spec 14, dns_cname_loops)."""
        answer = first = self._cached(name, kind, dnssec)
        secure, seen = first.authenticated, {name.lower()}
        for _ in range(self.settings.cname_loops + 1):
            if answer.status != "cname":
                break
            target = answer.records[0][1]
            if target.lower() in seen:
                return DnsAnswer("fail")
            seen.add(target.lower())
            answer = self._cached(target, kind, dnssec)
            secure = secure and answer.authenticated
        if answer is first:
            return answer if answer.status != "cname" else DnsAnswer("fail")
        if answer.status == "cname":
            return DnsAnswer("fail")
        failed = "" if answer.status == "ok" else str(target)
        return replace(
            answer,
            authenticated=secure,
            qualified_name=first.qualified_name,
            ttl=min(first.ttl, answer.ttl),
            failed_name=failed,
        )

    def _cached(self, name: str, kind: int, dnssec: bool) -> DnsAnswer:
        key = (name.lower(), kind, dnssec)
        now = self._clock.monotonic()
        found = self._cache.get(key)
        if found is not None and now < found[0]:
            return found[1]
        answer: DnsAnswer = self._waiter.share(("dns", id(self), *key), lambda: self._ask(name, kind, dnssec))
        self._keep(key, answer)
        return answer

    def _keep(self, key: tuple[str, int, bool], answer: DnsAnswer) -> None:
        if answer.status in ("ok", "cname"):
            lifetime = min(answer.ttl, TTL_LIMIT)
        elif answer.status in ("nomatch", "nodata"):
            lifetime = min(answer.soa_ttl, NEGATIVE_LIMIT)
        else:
            lifetime = AGAIN_TTL
        cache = self._cache
        cache.pop(key, None)
        if len(cache) >= CACHE_LIMIT:
            for old in list(cache)[: CACHE_LIMIT // 10]:
                del cache[old]
        cache[key] = (self._clock.monotonic() + max(lifetime, 1), answer)

    # Talking to the servers.

    def _ask(self, name: str, kind: int, dnssec: bool) -> DnsAnswer:
        if name.lower() == "localhost" or name.lower().endswith(".localhost"):
            address = LOOPBACK.get(kind)  # RFC 6761 6.3: no question for anybody else
            return DnsAnswer("ok", ((name, address),), ttl=TTL_LIMIT) if address else DnsAnswer("nomatch")
        try:
            response = self._ask_servers(name, kind, dnssec)
        except WireError:
            return DnsAnswer("nomatch")
        if response is None:
            return DnsAnswer("again")
        return self._judge(response, name, kind, dnssec)

    def _ask_servers(self, name: str, kind: int, dnssec: bool) -> Response | None:
        """The first useful answer; else the last bad one; None when nobody answers."""
        file = self._resolver_file()
        servers = file.servers
        if file.rotate:
            self._turn += 1
            start = self._turn % len(servers)
            servers = servers[start:] + servers[:start]
        edns = self.settings.use_edns0 != 0 or dnssec
        wait = float(self.settings.retrans or file.timeout)
        last: Response | None = None
        for attempt in range(min(self.settings.retry or file.attempts, RETRY_LIMIT)):
            for server in servers:
                response = self._ask_server(server, name, kind, (edns, dnssec), wait)
                if response is not None and response.rcode in (RCODE_OK, RCODE_NXDOMAIN):
                    return response
                last = response or last
            if last is not None:
                break
            wait = wait * 2 if len(servers) == 1 or attempt else max(1.0, wait * 2 / len(servers))
        return last

    def _ask_server(
        self, server: tuple[str, int], name: str, kind: int, extensions: tuple[bool, bool], wait: float
    ) -> Response | None:
        edns, dnssec = extensions
        number = int.from_bytes(os.urandom(2), "big")
        query = dns_wire.build_query(number, name, kind, edns=edns, dnssec=dnssec)
        try:
            if self._file.tcp_only:
                return self._ask_tcp(server, query, wait)
            data = self._waiter.exchange_udp(
                *server, query, timeout=wait, accept=lambda data: dns_wire.answers_query(data, query)
            )
            response = dns_wire.parse_response(data)
            if response.truncated:
                response = self._ask_tcp(server, query, wait)
        except (OSError, WireError):
            return None
        if response.rcode == RCODE_FORMERR and edns and not dnssec:
            return self._ask_server(server, name, kind, (False, False), wait)
        return response

    def _ask_tcp(self, server: tuple[str, int], query: bytes, wait: float) -> Response:
        stream = self._waiter.connect(*server, timeout=wait)
        try:
            stream.write(struct.pack("!H", len(query)) + query, wait)
            data = b""
            while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                more = stream.read(TCP_LIMIT, wait)
                if not more:
                    raise WireError("short answer")
                data += more
        finally:
            stream.close()
        if not dns_wire.answers_query(data[2:], query):
            raise WireError("not our answer")
        return dns_wire.parse_response(data[2:])

    # Reading answers.

    def _judge(self, response: Response, name: str, kind: int, dnssec: bool) -> DnsAnswer:
        if response.rcode == RCODE_SERVFAIL:
            return DnsAnswer("again")
        if response.rcode not in (RCODE_OK, RCODE_NXDOMAIN):
            return DnsAnswer("fail")
        secure = dnssec and response.authenticated
        if not secure and response.authoritative and self.settings.trust_aa:
            secure = self._listed(_zone_name(response) or name, self.settings.trust_aa, "dns_trust_aa")
        found = [r for r in response.answers if r.kind == kind and r.data is not None]
        if found:
            return self._answer_of(response, found, kind, secure)
        soa = _soa_ttl(response)
        aliases = [r for r in response.answers if r.kind == TYPES["CNAME"] and r.data]
        if aliases and response.rcode == RCODE_OK:
            return DnsAnswer(
                "cname",
                ((aliases[0].name, Tainted(_chain_end(aliases, name))),),
                authenticated=secure,
                ttl=min(r.ttl for r in aliases),
                qualified_name=_owner(aliases[0].name, name),
            )
        status = "nomatch" if response.rcode == RCODE_NXDOMAIN else "nodata"
        return DnsAnswer(status, authenticated=secure, authoritative=response.authoritative, soa_ttl=soa)

    def _answer_of(self, response: Response, found: list[Record], kind: int, secure: bool) -> DnsAnswer:
        parts: tuple[tuple[str, ...], ...] = ()
        if kind in (TYPES["TXT"], TYPES["SPF"]):
            parts = tuple(tuple(Tainted(s) for s in r.data) for r in found)
            records = tuple((Tainted(r.name), Tainted("".join(r.data))) for r in found)
        else:
            records = tuple((Tainted(r.name), _tainted(r.data)) for r in found)
        return DnsAnswer(
            "ok",
            records,
            authenticated=secure,
            authoritative=response.authoritative,
            ttl=min(r.ttl for r in response.answers),
            qualified_name=response.answers[0].name,
            txt_parts=parts,
        )

    # Options.

    def _name_allowed(self, name: str, kind: int) -> bool:
        """Exim spec 14, dns_check_names_pattern. Not for PTR and TXT; `_service._proto` of SRV and TLSA is left out."""
        pattern = self.settings.check_names_pattern
        if not pattern or kind in (TYPES["PTR"], TYPES["TXT"]):
            return True
        if kind in (TYPES["SRV"], TYPES["TLSA"]):
            while name.startswith("_"):
                name = name.partition(".")[2]
        if self._name_check is None:
            from angaros import regex

            self._name_check = regex.compile(pattern)
        return self._name_check.match(name.removesuffix(".")) is not None

    def _listed(self, name: str, items: str | None, option: str, scope: Scope | None = None) -> bool:
        """Whether a domain-list option has the name. The list may need lookups itself: these get "no", there is no end else."""
        services = self._services
        if services is None or (not items and scope is None) or option in self._asking:
            return False
        self._asking.add(option)
        try:
            return bool(services.lists.match_domain(name.lower(), items, scope or Scope(services), option=option))
        except ListDefer:
            return False
        finally:
            self._asking.discard(option)

    def _log_slow(self, name: str, kind: str, started: float) -> None:
        elapsed = int((time.monotonic() - started) * 1000)
        if elapsed > self.settings.slow_log and self._services is not None:
            self._services.log.write(f"Long {kind} lookup for '{name}': {elapsed} msec")

    def _resolver_file(self) -> ResolverFile:
        """resolv.conf, read again when it changes."""
        try:
            status = os.stat(self.settings.path)
            stamp: object = (status.st_mtime_ns, status.st_ino, status.st_size)
        except OSError:
            stamp = "absent"
        if stamp != self._file_stamp:
            self._file_stamp = stamp
            self._file = ResolverFile()
            if stamp != "absent":
                with open(self.settings.path, encoding="latin-1") as file:
                    self._file = parse_resolv_conf(file.read())
        return self._file


def _tainted(data: Any) -> Any:
    if isinstance(data, str):
        return Tainted(data)
    if isinstance(data, tuple):
        return tuple(Tainted(part) if isinstance(part, str) else part for part in data)
    return data


def _owner(owner: str, asked: str) -> str:
    """Exim does not take `*` of a wildcard for a name."""
    return asked if owner.startswith("*") else owner


def _chain_end(aliases: list[Record], name: str) -> str:
    """Where the chain of an answer that has no wanted record stops."""
    targets = {r.name.lower(): str(r.data) for r in aliases}
    seen: set[str] = set()
    current = name
    while current.lower() in targets and current.lower() not in seen:
        seen.add(current.lower())
        current = targets[current.lower()]
    return current if seen else str(aliases[0].data)


def _soa_ttl(response: Response) -> int:
    """How long a negative answer holds. RFC 2308 5."""
    for record in response.authority:
        if record.kind == TYPES["SOA"] and record.data is not None:
            return int(min(record.ttl, record.data[6]))
    return AGAIN_TTL


def _zone_name(response: Response) -> str:
    """The name that dns_trust_aa is about: of the first NS record of the authority section, else of its SOA."""
    wanted = TYPES["NS"] if response.answers else TYPES["SOA"]
    for record in response.authority:
        if record.kind == wanted:
            return record.name
    return ""


def ascii_name(name: str) -> str:
    """U-labels (UTF-8 octets) as A-labels; as it is when it cannot be converted."""
    import idna

    plain = _HIGH_OCTET.sub(lambda found: chr(int(found[1])), name)
    try:
        return idna.encode(plain.encode("latin-1").decode("utf-8"), uts46=True).decode("ascii")
    except (UnicodeError, idna.IDNAError):
        return name


LOOPBACK = {TYPES["A"]: "127.0.0.1", TYPES["AAAA"]: "::1"}
_HIGH_OCTET = re.compile(r"\\(1(?:2[89]|[3-9]\d)|2(?:[0-4]\d|5[0-5]))")
"""An octet above ASCII in a name that came from the DNS (`dns_wire.read_name`)."""
