"""A message and its recipient for filter tests, without a spool or a router."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from angaros.filters.outcome import FilterOutcome
from angaros.filters.sieve.run import SieveSetting, run_sieve
from angaros.mime.headers import split_headers
from angaros.model.delivery import Delivery
from angaros.model.message import Message, Recipient
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.text import taint
from tests.expand.conftest import build_services

HEADER = """\
From: A Sender <a@b.example>
To: user-det@test.ex, "Other One" <other@Else.Example>
Subject: hello world
X-A: 1
X-Twice: first
X-Twice: second
Date: Wed, 05 Aug 2026 10:47:05 -0700
Message-ID: <one@b.example>
"""

BODY = "line one\nline two\n"


@dataclass
class Given:
    """What a test may change before it runs a filter."""

    directory: Path
    header: str = HEADER
    body: str = BODY
    sender: str = "sender@b.example"
    setting: dict[str, Any] = field(default_factory=dict)
    message: Message = field(default_factory=Message)

    def scope(self) -> Scope:
        services = build_services(self.directory)
        body = self.directory / "body"
        body.write_bytes(self.body.encode("latin-1"))
        session = Session(originator_login="user")
        self.message = Message(id="1aaaaa-000000000aa-0000", sender_address=taint(self.sender), session=session)
        self.message.headers = split_headers(taint(self.header))
        self.message.body_path = str(body)
        self.message.body_size = len(self.body)
        self.message.message_size = len(self.header) + 1 + len(self.body)
        delivery = Delivery("user-det@test.ex", local_part="user", cased_local_part="user", domain="test.ex", suffix="-det")
        return Scope(services, session, self.message, delivery)

    def recipients(self, *addresses: str) -> list[Recipient]:
        return [Recipient(taint(address)) for address in addresses]

    def sieve(self, script: str) -> FilterOutcome:
        setting = SieveSetting(self.scope(), own_addresses=("user@test.ex", "user-det@test.ex"))
        for name, value in self.setting.items():
            setattr(setting, name, value)
        return run_sieve(f"# Sieve filter\n{script}\n", setting)


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return Given(tmp_path)


def done(outcome: FilterOutcome) -> str:
    """An outcome in one line: `error ...`, or what was set up (`keep` for the implicit one)."""
    if outcome.error:
        return f"error: {outcome.error}"
    if outcome.action:
        return f"{outcome.action}: {outcome.text}"
    kinds = {"address": "to", "file": "in"}
    items = [f"{kinds.get(item.kind, item.kind)} {item.text}" for item in outcome.items]
    if outcome.implicit_keep:
        items.remove("in inbox")
        items.append("keep")
    return ", ".join(items) or "nothing"
