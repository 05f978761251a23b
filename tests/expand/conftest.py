"""A scope with plain services for expansion tests: no network, no files but those a test makes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from angaros.config.config import NamedList
from angaros.config.main_options import MainOptions
from angaros.expand.engine import Engine
from angaros.lists.match import Matcher
from angaros.lookups.engine import LookupEngine
from angaros.model.errors import ExpansionError
from angaros.model.interfaces import Services
from angaros.model.message import Message
from angaros.model.outcome import Outcome, Verdict
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.net.blocking import BlockingWaiter

NOW = 1_795_242_037.424179
"""Sat, 21 Nov 2026 06:20:37 +0000."""


class FakeAcls:
    """`a_ret` accepts with a message that shows its arguments; `a_deny` denies likewise; `a_defer` defers."""

    def run(self, acl: str, where: str, scope: Scope) -> Verdict:
        raise NotImplementedError

    def evaluate(self, text: str, arguments: list[str], scope: Scope) -> tuple[Outcome, str]:
        acl = text
        first, second = (*arguments, "", "")[:2]
        text = f"({len(arguments)}) [{first}] [{second}]"
        outcome = {"a_ret": Outcome.ACCEPT, "a_none": Outcome.ACCEPT, "a_deny": Outcome.DENY, "a_defer": Outcome.DEFER}.get(acl)
        if outcome is None:
            return Outcome.ERROR, ""
        return outcome, "" if acl == "a_none" else text


class FakeLog:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str, **_: Any) -> None:
        self.lines.append(text)

    def logs_port(self, port: int) -> bool:
        return True

    def selected(self, selector: str) -> bool:
        return False

    def debug(self, *_: Any, **__: Any) -> None: ...

    def debugging(self, *_: Any, **__: Any) -> bool:
        return False


class FakeRandom:
    """Always the greatest."""

    def below(self, limit: int) -> int:
        return limit - 1

    def token(self, octets: int) -> bytes:
        return bytes(range(octets))


def build_services(tmp_path: Path) -> Services:
    """Services as the tests want them."""
    options = {name: getattr(MainOptions, name) for name in MainOptions.OPTIONS}
    options.update(
        primary_hostname="myhost.test.ex",
        qualify_domain="myhost.test.ex",
        qualify_recipient="myhost.test.ex",
        headers_charset="iso-8859-8",
        spool_directory=str(tmp_path),
        exim_path="/usr/sbin/exim4",
        log_file_path="",
    )
    lists = {"domain": {"dlist": NamedList("dlist", "*.aa.bb : ^\\Nxxx(.*)")}, "host": {}, "address": {}, "localpart": {}}
    config = SimpleNamespace(
        main=SimpleNamespace(**options),
        named_lists=lists,
        acls={},
        macros={},
        authenticators=(),
        main_file="/etc/exim4/exim4.conf",
        exim_uid=100,
        exim_gid=101,
        extra={},
    )
    clock = SimpleNamespace(now=lambda: NOW, monotonic=lambda: 0.0)
    parts: Any = {
        "site": SimpleNamespace(other={}),
        "config": config,
        "clock": clock,
        "random": FakeRandom(),
        "waiter": BlockingWaiter(),
        "log": FakeLog(),
        "expander": Engine(),
        "lists": Matcher(),
        "lookups": LookupEngine(),
        "acl": FakeAcls(),
    }
    for name in ("dns", "hints", "courier", "verifier"):
        parts[name] = None
    return Services(**parts)


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    """A local submission by root, nothing received yet."""
    session = Session(originator_login="root", sender_ident="root")
    return Scope(build_services(tmp_path), session, Message(sender_address="root@myhost.test.ex", session=session))


def shown(text: str, scope: Scope) -> str:
    """As `exim -be` shows it."""
    try:
        return scope.expand(text)
    except ExpansionError as error:
        return f"Failed: {error}"
