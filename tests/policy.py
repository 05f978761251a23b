"""A world for policy tests: a real configuration and all real parts of the program, with a fake DNS, clock and log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from angaros.assembly.reader import Reading, read_config
from angaros.assembly.wiring import Ports, build_services
from angaros.config.site import Site
from angaros.mime.headers import split_headers
from angaros.model.message import Message, Recipient
from angaros.model.outcome import Verdict
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.text import taint
from angaros.net.blocking import BlockingWaiter
from tests.mailauth.zones import Zones

NOW = 1_795_242_037.0
"""Sat, 21 Nov 2026 06:20:37 +0000."""


class FakeLog:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.panics: list[str] = []
        self.on: set[str] = set()

    def write(self, text: str, *, panic: bool = False, **_: Any) -> None:
        self.lines.append(text)
        if panic:
            self.panics.append(text)

    def selected(self, selector: str) -> bool:
        return selector in self.on

    def debug(self, *_: Any, **__: Any) -> None: ...

    def debugging(self, *_: Any, **__: Any) -> bool:
        return False


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class FakeSubmitter:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[str], bytes]] = []

    def submit(self, text: bytes, scope: Scope, *, sender: str = "", recipients: Any = None, **_: Any) -> str:
        self.sent.append((sender, list(recipients or ()), text))
        return "1id"


class PolicyWorld:
    """One connection with one message."""

    def __init__(self, directory: Path, config: str, zones: dict[str, list[Any]] | None = None) -> None:
        file = directory / "exim.conf"
        spool = directory / "spool"
        for name in ("", "input", "db", "scan"):
            (spool / name).mkdir(exist_ok=True)
        file.write_text(f"primary_hostname = mx.example\nspool_directory = {spool}\n{config}", "latin-1")
        site = Site(exim_user="root", spool_directory=str(spool), log_file_path=f"{spool}/%slog")
        self.config = read_config(Reading(site, files=str(file), any_caller=True))
        self.log = FakeLog()
        self.clock = FakeClock()
        self.submitter = FakeSubmitter()
        ports = Ports(BlockingWaiter(), self.log, lambda services: None)  # type: ignore[arg-type,return-value]
        self.services = build_services(self.config, site, ports)
        self.services.clock = self.clock
        self.services.submitter = self.submitter
        self.dns = Zones(zones or {})
        self.services.dns = self.dns
        self.session = Session(
            sender_host_address="192.0.2.1", sender_helo_name=taint("client.example"), smtp=True, esmtp=True, protocol="esmtp"
        )
        self.directory = directory
        self.new_message()

    def new_message(self, sender: str = "joe@author.example", recipients: tuple[str, ...] = ("rcpt@here.example",)) -> None:
        """Begin another transaction."""
        self.message = Message(id="10HmaX-000000005vi-0000", session=self.session, sender_address=taint(sender))
        self.message.recipients = [Recipient(taint(address)) for address in recipients]
        self.scope = Scope(self.services, self.session, self.message)

    def receive(self, text: str, body: str = "") -> None:
        """Header lines and body of the message."""
        self.message.headers += split_headers(taint(text))
        path = self.directory / "spool/input/body-D"
        path.write_bytes(body.encode("latin-1"))
        self.message.body_path, self.message.body_offset = str(path), 0

    def run(self, acl: str, where: str = "data") -> Verdict:
        """Run a named ACL."""
        return self.services.acl.run(acl, where, self.scope)

    def shown(self, text: str) -> str:
        """An expansion."""
        return str(self.scope.expand(text))
