"""A server without a network: a real configuration and real services, a stream that is fed by hand, nothing that waits.

`World(tmp_path, main=..., acl=..., routers=...)` reads a configuration; `world.connect()` gives a session to talk with:

    s = world.connect("192.0.2.7")
    assert s.say("EHLO there") == ["250-..."]

The spool is real and lies in `tmp_path`; a delay is noted, not waited for; names are looked up in `world.dns`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from angaros.assembly.process import read_configuration
from angaros.assembly.wiring import Ports, build_services
from angaros.config.site import Site
from angaros.inbound.conversation import Conversation
from angaros.inbound.greeting import start
from angaros.inbound.options import SessionOptions
from angaros.logs.writer import LogModes, LogSettings, LogWriter
from angaros.model.interfaces import DnsAnswer
from angaros.model.message import Message
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.net.blocking import BlockingWaiter

START = 1_795_242_037.0
"""Sat, 21 Nov 2026 06:20:37 +0000"""

LOGGED = (
    "-all +acl_warn_skipped +connection_reject +delay_delivery +etrn +lost_incoming_connection +rejected_header +size_reject "
    "+smtp_protocol_error +smtp_syntax_error +received_recipients"
)
DEFAULTS = """
primary_hostname = here.test
qualify_domain = here.test
spool_directory = {spool}
log_file_path = {log}/%slog
keep_environment =
add_environment = PATH=/usr/bin:/bin
timezone = UTC
host_lookup =
tls_advertise_hosts =
smtp_receive_timeout = 5m
log_selector = LOGGED
"""
"""Main options; those that a test sets are left out."""

CONFIG = """
domainlist local_domains = here.test : example.test
{main}
begin acl
{acl}
begin routers
{routers}
begin transports
file:
  driver = appendfile
  file = /dev/null
remote:
  driver = smtp
{transports}
begin retry
* * F,2h,1s
begin authenticators
{authenticators}
"""

ACCEPT_ALL = """
accept_all:
  accept
"""

ROUTERS = """
bad:
  driver = redirect
  local_parts = unknown : bad
  allow_fail
  data = :fail: no such user
later:
  driver = redirect
  local_parts = later
  allow_defer
  data = :defer: come back
here:
  driver = accept
  domains = +local_domains
  transport = file
"""


def _without(defaults: str, main: str) -> str:
    """The default options but for those that `main` sets itself."""
    own = {line.split("=")[0].strip().removeprefix("no_") for line in main.splitlines()}
    return "".join(line for line in defaults.splitlines(True) if line.split("=")[0].strip() not in own)


class FakeClock:
    """Goes on by a tenth of a millisecond whenever it is read, and when a test or a delay moves it."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> float:
        self.time += 0.0001  # two messages never have the same time
        return self.time

    def monotonic(self) -> float:
        return self.time


class FakeDns:
    """Answers from `records[(name, type)]`: a list of data, or a status word."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Any] = {}
        self.asked: list[tuple[str, str]] = []

    def query(self, name: str, kind: str, **_: Any) -> DnsAnswer:
        key = (str(name).lower().rstrip("."), kind)
        self.asked.append(key)
        found = self.records.get(key, "nomatch")
        if isinstance(found, str):
            return DnsAnswer(found)
        return DnsAnswer("ok", tuple((key[0], data) for data in found), ttl=60)

    def attach(self, services: Any) -> None: ...

    def flush(self) -> None: ...


class Waits(BlockingWaiter):
    """Sleeping moves the clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.time += seconds

    def spawn(self, function: Callable[[], None]) -> None:
        function()


class FakeStream:
    """What the session reads is what `Talk.say` has put in; what it writes is kept."""

    local_address, local_port, peer_uid, fast_open = "192.0.2.1", 25, -1, ""

    def __init__(self, address: str, port: int) -> None:
        self.peer_address, self.peer_port = address, port
        self.tls = None
        self.ready = b""
        self.written = b""
        self.at_end = False
        self.closed = False
        self.handshake: Any = OSError(5, "no TLS here")
        """What `accept_tls` returns or raises."""

    def read(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        data, self.ready = self.ready[:limit], self.ready[limit:]
        if not data and not self.at_end:
            raise TimeoutError
        return data

    def write(self, data: bytes, timeout: float | None = None) -> None:
        if self.closed:
            raise BrokenPipeError
        self.written += data

    def unread(self, data: bytes) -> None:
        self.ready = data + self.ready

    def input_waiting(self) -> bool:
        return bool(self.ready) or self.at_end

    def accept_tls(self, context: Any, *, timeout: float | None = None) -> Any:
        self.ready = b""
        if isinstance(self.handshake, Exception):
            raise self.handshake
        return self.handshake

    def stop_tls(self) -> None: ...

    def shutdown_write(self) -> None: ...

    def reset(self) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True


class Talk:
    """One session."""

    def __init__(self, conversation: Conversation, stream: FakeStream) -> None:
        self.conversation = conversation
        self.stream = stream
        start(conversation)
        self.greeting = self._output()

    @property
    def done(self) -> bool:
        return self.conversation.done

    def send(self, octets: bytes) -> list[str]:
        """Octets as they are; the lines of all replies."""
        c = self.conversation
        c.core.receive(octets)
        self._pump()
        return self._output()

    def _pump(self) -> None:
        c = self.conversation
        while not c.done:
            c.pump()
            if c.done or not self.stream.ready:
                break
            c.core.receive(self.stream.read())
        c.flush()

    def say(self, *lines: str) -> list[str]:
        """Command lines, all in one packet; the reply lines."""
        return self.send("".join(line + "\r\n" for line in lines).encode("latin-1"))

    def code(self, *lines: str) -> str:
        """First three digits of the last reply."""
        replies = self.say(*lines)
        return replies[-1][:3] if replies else ""

    def message(self, text: str = "Subject: x\r\n\r\nbody\r\n") -> list[str]:
        """DATA and a message."""
        assert self.code("DATA") == "354"
        return self.send(text.encode("latin-1") + b".\r\n")

    def mail(self, sender: str = "s@far.test", recipient: str = "r@here.test") -> str:
        """MAIL and RCPT; the code of the latter."""
        self.say(f"MAIL FROM:<{sender}>")
        return self.code(f"RCPT TO:<{recipient}>")

    def hang_up(self) -> None:
        """The peer closes the connection."""
        self.stream.at_end = True
        if not self.done:
            self.conversation.read_once()
        self.conversation.finish()

    def _output(self) -> list[str]:
        self.conversation.flush()
        written, self.stream.written = self.stream.written, b""
        return written.decode("latin-1").split("\r\n")[:-1] if written else []


class World:
    """A server."""

    def __init__(
        self,
        tmp_path: Path,
        *,
        main: str = "acl_smtp_rcpt = accept",
        acl: str = "",
        routers: str = ROUTERS,
        transports: str = "",
        authenticators: str = "",
    ) -> None:
        self.path = tmp_path
        for name in ("spool", "spool/input", "spool/db", "spool/msglog", "log"):
            (tmp_path / name).mkdir(exist_ok=True)
        parts = {"main": main, "routers": routers, "transports": transports, "authenticators": authenticators}
        file = tmp_path / "exim.conf"
        text = _without(DEFAULTS.replace("LOGGED", LOGGED), main) + CONFIG
        text = text.format(spool=tmp_path / "spool", log=tmp_path / "log", acl=ACCEPT_ALL + acl, **parts)
        file.write_text(text, encoding="latin-1")
        site = Site(exim_user="nobody", spool_directory=str(tmp_path / "spool"), log_file_path=str(tmp_path / "log" / "%slog"))
        self.clock = FakeClock()
        self.waiter = Waits(self.clock)
        self.dns = FakeDns()
        config = read_configuration(str(file), {}, site, None)
        settings = LogSettings.from_config(
            config.main, site.log_file_path, config.main.log_file_path, (os.getuid(), os.getgid()), syslog_log_pid=False
        )
        log = LogWriter(settings, self.clock, modes=LogModes(stderr=False))
        self.services = build_services(config, site, Ports(self.waiter, log, lambda services: None), None)  # type: ignore[arg-type, return-value]
        self.services.clock = self.services.store.clock = self.clock
        self.services.dns = self.dns
        self.delivered: list[Message] = []
        self.services.hooks.start_delivery = self._keep

    def _keep(self, message: Message, lock: Any, foreground: bool) -> None:
        self.delivered.append(message)
        lock.release()

    def connect(self, address: str = "192.0.2.7", port: int = 1025, *, early: bytes = b"", **options: Any) -> Talk:
        """A new session from `address`; "" for a local one. `early`: what the client sends before the greeting."""
        stream = FakeStream(address, port)
        stream.ready = early
        session = Session(sender_host_address=address, sender_host_port=port, interface_address="192.0.2.1", interface_port=25)
        session.smtp = True
        given = SessionOptions(**{"local": not address, "connection_count": 1, "host_connections": 1, **options})
        return Talk(Conversation(self.services, session, stream, given), stream)

    def greeted(self, address: str = "192.0.2.7", **options: Any) -> Talk:
        """The same, after EHLO."""
        talk = self.connect(address, **options)
        talk.say("EHLO client.test")
        return talk

    def scope(self, talk: Talk) -> Scope:
        return talk.conversation.scope

    # What is left behind.

    def log(self, kind: str = "main") -> list[str]:
        """Lines without their date."""
        path = self.path / "log" / f"{kind}log"
        text = path.read_text("latin-1") if path.exists() else ""
        return [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line) for line in text.splitlines()]

    def spooled(self) -> list[tuple[Message, bytes]]:
        """Messages in the spool with their bodies, in order of arrival."""
        found = []
        for entry in self.services.store.scan():
            message = self.services.store.load(entry.message_id, with_headers=True)
            found.append((message, b"".join(self.services.store.body_chunks(message))))
        return found

    def files(self) -> list[str]:
        """Names in the spool's input directory."""
        return sorted(os.listdir(self.path / "spool" / "input"))
