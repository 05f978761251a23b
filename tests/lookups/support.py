"""A scope with fakes around the real list matcher and lookup engine."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from angaros.config.config import NamedList
from angaros.lists.match import Matcher
from angaros.lookups.engine import LookupEngine
from angaros.model.delivery import Delivery
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.interfaces import DnsAnswer
from angaros.model.message import Message
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.text import concat


class FakeLog:
    """Keeps what is written; `hc` debugging lines when `shown` is a list."""

    def __init__(self, shown: bool = False) -> None:
        self.lines: list[str] = []
        self.panics: list[str] = []
        self.shown = shown
        self.debug_lines: list[str] = []

    def write(self, text: str, *, panic: bool = False, **_: Any) -> None:
        self.lines.append(text)
        if panic:
            self.panics.append(text)

    def logs_port(self, port: int) -> bool:
        return True

    def selected(self, selector: str) -> bool:
        return True

    def debug(self, selector: str, text: str, *, hc: bool = False, indent: int = 0) -> None:
        if hc and self.shown:
            bar = "".join("|" if column % 4 == 0 else " " for column in range(1, indent + 1))
            self.debug_lines.append(bar + text)

    def debugging(self, selector: str, *, hc: bool = False) -> bool:
        return hc and self.shown


class FakeExpander:
    """`$name` from `scope.local`, `${fail}` forced failure, `${bad}` an error."""

    def expand(self, text: str, scope: Scope) -> str:
        if "${fail}" in text:
            raise ForcedFailure("forced")
        if "${bad}" in text:
            raise ExpansionError("bad expansion")
        parts = re.split(r"(\$\w+)", text.replace("\\N", ""))
        return concat([self._one(part, scope) for part in parts])

    def _one(self, part: str, scope: Scope) -> str:
        if not re.fullmatch(r"\$\w+", part):
            return part
        name = part[1:]
        if name.isdigit():
            number = int(name)
            return scope.numeric[number] if number < len(scope.numeric) else ""
        return scope.local.get(name, "")


class FakeDns:
    """Answers from a table: (name, kind) -> DnsAnswer or status."""

    def __init__(self, table: dict[tuple[str, str], Any] | None = None) -> None:
        self.table = table or {}
        self.asked: list[tuple[str, str]] = []

    def query(self, name: str, kind: str, **_: Any) -> DnsAnswer:
        self.asked.append((name, kind))
        answer = self.table.get((name.lower(), kind), "nomatch")
        if isinstance(answer, DnsAnswer):
            return answer
        if isinstance(answer, str):
            return DnsAnswer(answer)
        return DnsAnswer("ok", tuple((name, item) for item in answer), ttl=300)


class FakeClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class FakeWaiter:
    def in_thread(self, call: Any) -> Any:
        return call()


def named(kind: str, lists: dict[str, str], cacheable: bool = False) -> dict[str, NamedList]:
    return {name: NamedList(name, text, kind, cacheable) for name, text in lists.items()}


def make_scope(
    *,
    lists: dict[str, dict[str, str]] | None = None,
    main: dict[str, Any] | None = None,
    session: Session | None = None,
    delivery: Delivery | None = None,
    dns: FakeDns | None = None,
    shown: bool = False,
    **local: str,
) -> Scope:
    """A scope over fakes."""
    options: dict[str, Any] = {"primary_hostname": "my.host.ex", "lookup_open_max": 25, **(main or {})}
    config = SimpleNamespace(
        main=SimpleNamespace(**{"max_username_length": 0, **options}),
        named_lists={kind: named(kind, texts) for kind, texts in (lists or {}).items()},
    )
    services: Any = SimpleNamespace(
        config=config,
        log=FakeLog(shown),
        expander=FakeExpander(),
        lists=Matcher(),
        lookups=LookupEngine(),
        dns=dns or FakeDns(),
        clock=FakeClock(),
        waiter=FakeWaiter(),
        harness=None,
        extra={},
    )
    scope = Scope(services, session, Message(), delivery)
    scope.local.update(local)
    return scope
