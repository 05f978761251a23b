"""A resolver, a log and services for tests of the net room."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from angaros.config.main_options import MainOptions
from angaros.model.interfaces import DnsAnswer, ListMatch, Services
from angaros.model.scope import Scope
from angaros.model.session import Session


class FakeResolver:
    """Answers from a table: (name, kind) -> records, or a status."""

    def __init__(self, table: dict[tuple[str, str], Any], secure: bool = False) -> None:
        self.table = table
        self.secure = secure
        self.asked: list[tuple[str, str]] = []

    def query(self, name: str, kind: str, **options: bool) -> DnsAnswer:
        self.asked.append((name, kind))
        found = self.table.get((name.lower(), kind))
        if isinstance(found, str):
            return DnsAnswer(found)
        if not found:
            known = any(key[0] == name.lower() for key in self.table)
            return DnsAnswer("nodata" if known else "nomatch")
        secure = self.secure and options.get("dnssec", False)
        return DnsAnswer("ok", tuple((name, data) for data in found), ttl=60, qualified_name=name, authenticated=secure)


class FakeLists:
    """Only `*`, exact names and addresses, separated by colons."""

    def match_domain(self, domain: str, items: str | None, scope: Scope, **options: Any) -> ListMatch:
        return ListMatch(bool(items) and (items == "*" or domain in [i.strip() for i in (items or "").split(":")]))

    def match_host(
        self, items: str | None, scope: Scope, *, name: str | None = None, address: str | None = None, **o: Any
    ) -> ListMatch:
        if address is None and scope.session is not None:
            address = scope.session.sender_host_address
        return ListMatch(bool(items) and (items == "*" or address in [i.strip() for i in (items or "").split(":")]))


class FakeLog:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str, **options: Any) -> None:
        self.lines.append(text)

    def logs_port(self, port: int) -> bool:
        return True

    def selected(self, selector: str) -> bool:
        return False

    def debug(self, selector: str, text: str, **options: Any) -> None:
        return None

    def debugging(self, selector: str, **options: Any) -> bool:
        return False


class FakeClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class FirstRandom:
    """Always 0: equal ones stay in order."""

    def below(self, limit: int) -> int:
        return 0

    def token(self, octets: int) -> bytes:
        return b"\0" * octets


def fake_scope(table: dict[tuple[str, str], Any], *, secure: bool = False, **main: Any) -> Scope:
    options = {"disable_ipv6": True, "local_interfaces": "10.9.9.9", **main}
    unset: Any = None
    services = Services(
        site=unset,
        config=SimpleNamespace(main=MainOptions(**options), authenticators=()),  # type: ignore[arg-type]
        clock=FakeClock(),
        random=FirstRandom(),
        waiter=unset,
        log=FakeLog(),
        dns=FakeResolver(table, secure),
        expander=unset,
        lists=FakeLists(),  # type: ignore[arg-type]
        lookups=unset,
        hints=unset,
        courier=unset,
        acl=unset,
        verifier=unset,
    )
    return Scope(services, session=Session())
