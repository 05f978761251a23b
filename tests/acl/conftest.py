"""Fakes for ACL tests: services without files, network or time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from angaros.acl.engine import AclEngine
from angaros.config.config import AclLine, AclText, Position
from angaros.model.delivery import Delivery
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.interfaces import DnsAnswer, ListMatch
from angaros.model.message import Message, Recipient
from angaros.model.metrics import Metrics
from angaros.model.outcome import Outcome, Verdict, VerifyResult
from angaros.model.scope import Scope
from angaros.model.session import Session


class FakeLog:
    """Keeps what is logged and traced."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.panics: list[str] = []
        self.traces: list[str] = []
        self.off: set[str] = {"incoming_port", "incoming_interface"}
        self.tracing = False

    def write(self, text: str, *, main: bool = True, reject: bool = False, panic: bool = False, **rest: Any) -> None:
        logs = [name for name, on in (("main", main), ("reject", reject), ("panic", panic)) if on]
        self.lines.append(text if logs == ["main"] else f"{','.join(logs)}: {text}")
        if panic:
            self.panics.append(text)

    def logs_port(self, port: int) -> bool:
        return True

    def selected(self, selector: str) -> bool:
        return selector not in self.off

    def debug(self, selector: str, text: str, *, hc: bool = False, indent: int = 0) -> None:
        self.traces.append(" " * indent + text)

    def debugging(self, selector: str, *, hc: bool = False) -> bool:
        return self.tracing


class FakeExpander:
    """`$name` from scope, `${fail}` forced failure, `${bad}` error."""

    def expand(self, text: str, scope: Scope) -> str:
        if "${fail}" in text:
            raise ForcedFailure("forced")
        if "${bad}" in text:
            raise ExpansionError("bad expansion")
        names = {**scope.state, **scope.local, "domain": scope.delivery.domain if scope.delivery else ""}
        if scope.session:
            names |= {f"acl_{k}": v for k, v in scope.session.acl_c.items()}
        if scope.message:
            names |= {f"acl_{k}": v for k, v in scope.message.acl_m.items()}
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(f"${name}", str(names[name]))
        return text.replace("$acl_verify_message", "").replace("\\n", "\n")


class FakeLists:
    """Plain membership; `!x` negates, `*` is everything, `*.x` a suffix."""

    def _match(self, subject: str, items: str) -> ListMatch:
        for raw in items.split(":"):
            item = raw.strip()
            negated = item.startswith("!")
            item = item.lstrip("! ")
            if item in ("*", subject) or (item.startswith("*") and subject.endswith(item[1:])):
                return ListMatch(not negated, item)
        return ListMatch(False)

    def match_domain(self, domain: str, items: str, scope: Scope) -> ListMatch:
        return self._match(domain, items)

    def match_local_part(self, local_part: str, items: str, scope: Scope, *, caseless: bool = True) -> ListMatch:
        return self._match(local_part, items)

    def match_address(self, address: str, items: str, scope: Scope, *, caseless: bool = True) -> ListMatch:
        return self._match(address, items)

    def match_host(self, items: str, scope: Scope, *, name: str | None = None, address: str | None = None) -> ListMatch:
        assert scope.session
        return self._match(scope.session.sender_host_address, items)

    def match_string(self, subject: str, items: str, scope: Scope, *, caseless: bool = True) -> ListMatch:
        return self._match(subject, items)


class FakeHints:
    """In memory."""

    def __init__(self) -> None:
        self.data: dict[tuple[str, str], dict[str, Any]] = {}

    def get(self, database: str, key: str) -> dict[str, Any] | None:
        return self.data.get((database, key))

    def put(self, database: str, key: str, record: Mapping[str, Any]) -> None:
        self.data[database, key] = dict(record)

    def delete(self, database: str, key: str) -> None:
        self.data.pop((database, key), None)

    def update(self, database: str, key: str, change: Callable[[Any], Any]) -> None:
        record = change(self.get(database, key))
        if record is None:
            self.delete(database, key)
        else:
            self.put(database, key, record)


class FakeDns:
    """Answers from a table (name, type) -> list of data; missing ones are NXDOMAIN, the value "again" is a time-out."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], Sequence[Any] | str] = {}
        self.queries: list[tuple[str, str]] = []

    def query(self, name: str, kind: str, **options: Any) -> DnsAnswer:
        self.queries.append((name, kind))
        found = self.zone.get((name.lower(), kind))
        if found is None:
            return DnsAnswer("nomatch", soa_ttl=3000)
        if isinstance(found, str):
            return DnsAnswer(found)
        return DnsAnswer("ok", tuple((name, data) for data in found), ttl=3600)


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class FakeWaiter:
    """Remembers how long it was asked to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class FakeVerifier:
    """Answers from a table by address."""

    def __init__(self) -> None:
        self.answers: dict[str, VerifyResult] = {}
        self.calls: list[tuple[str, bool, Any, str]] = []

    def verify_address(
        self, address: str, scope: Scope, *, is_recipient: bool, options: Any = None, purpose: str = ""
    ) -> VerifyResult:
        self.calls.append((address, is_recipient, options, purpose))
        failed = VerifyResult(Outcome.DENY, "Unrouteable address", "Unrouteable address", "route")
        return self.answers.get(address, failed)


class World:
    """An engine with fakes around it."""

    def __init__(self) -> None:
        self.log = FakeLog()
        self.hints = FakeHints()
        self.dns = FakeDns()
        self.clock = FakeClock()
        self.waiter = FakeWaiter()
        self.verifier = FakeVerifier()
        self.main = SimpleNamespace(
            smtp_return_error_details=False, qualify_domain="test.ex", qualify_recipient=None, dns_csa_use_reverse=True,
            dns_csa_search_limit=5, queue_only=False, allow_domain_literals=False, strip_excess_angle_brackets=False,
            strip_trailing_dot=False, allow_utf8_domains=False, acl_smtp_rcpt="rcpt", acl_smtp_data=None, acl_smtp_vrfy=None,
        )  # fmt: skip
        self.config = SimpleNamespace(main=self.main, acls={}, named_lists={})
        self.services: Any = SimpleNamespace(
            metrics=Metrics(),
            config=self.config, log=self.log, hints=self.hints, dns=self.dns, clock=self.clock, waiter=self.waiter,
            verifier=self.verifier, expander=FakeExpander(), lists=FakeLists(), harness=None, extra={},
        )  # fmt: skip
        self.engine = AclEngine(self.services)
        self.services.acl = self.engine
        self.session = Session(sender_host_address="1.2.3.4", sender_helo_name="test", smtp=True)
        self.message = Message(sender_address="x@y", session=self.session)
        self.delivery = Delivery("A.b@c", "a.b", "A.b", "a.b", "c")

    def acls(self, text: str) -> None:
        """Define ACLs as in the configuration: names at the left margin, ending in a colon."""
        self.engine = AclEngine(self.services)
        name = ""
        lines: list[AclLine] = []
        found: dict[str, AclText] = {}
        for number, line in enumerate(text.split("\n"), 1):
            if line and not line.startswith(" ") and line.rstrip().endswith(":"):
                if name:
                    found[name] = AclText(name, tuple(lines))
                name, lines = line.strip()[:-1], []
            elif line.strip():
                lines.append(AclLine(line.strip(), Position("FILE", number)))
        found[name] = AclText(name, tuple(lines))
        self.config.acls = found

    def scope(self) -> Scope:
        """A scope at RCPT."""
        return Scope(self.services, self.session, self.message, self.delivery)

    def run(self, text: str, where: str = "rcpt", scope: Scope | None = None) -> Verdict:
        """Run the ACL `rcpt`, whose statements are `text` (other ACLs may follow)."""
        self.acls("rcpt:\n" + text)
        return self.engine.run("rcpt", where, scope or self.scope())

    def recipients(self, *addresses: str) -> None:
        """Accepted recipients so far."""
        self.message.recipients = [Recipient(address) for address in addresses]


@pytest.fixture
def world() -> World:
    """A fresh world."""
    return World()


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., Any]:
    """A whole server without a network, for the tests of the table's rows."""
    from tests.inbound.smtp_world import World as Server

    def make(**parts: Any) -> Server:
        return Server(tmp_path, **parts)

    return make
