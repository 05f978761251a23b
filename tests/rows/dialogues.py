"""Cases of the row tables: a configuration, a dialogue, what it must leave behind.

A table is a text file. `[row]` begins the case of a row of the inventory (several cases may have one row, several rows one case:
`[row] [row]`); the lines after it are commands:

    main LINE, acl LINE, router LINE, transport LINE, auth LINE   configuration (`{port}`: the sink's, `{dir}`: the directory)
    dns NAME TYPE VALUE     what a name has; VALUE `again` or `fail` is a failure
    file NAME TEXT          a file in {dir}
    next hop                far.test goes to the sink by the transport `remote`; the other routers are the usual ones
    sink COMMAND = REPLY    the next host says this to commands that begin so (else yes); `sink = EHLO WORD` offers an extension
    connect [ADDRESS]       a session; EHLO is said; without it the first `C` makes one from 192.0.2.7
    tls, tls verified       the session has TLS
    C LINE                  say it (a blank after C is dropped); `C! LINE` together with the next line, in one packet
    message TEXT            DATA and the text, `|` for line ends
    signed                  DATA and a message with a good DKIM signature
    local TEXT              a message on standard input
    hang up                 the client goes
    S TEXT                  the last reply begins with it; `S~ REGEX` matches some line of the last replies
    clock SECONDS           time goes on
    L TEXT, !L TEXT         the main log has (has not) a line with it; LR, LP: reject log, panic log
    H TEXT, !H TEXT         a header of the last message in the spool
    Q EXPRESSION            holds for `m`, the last message in the spool, and `s`, the session (a Python expression of the table)
    none                    no message is in the spool
    asked TEXT, !asked TEXT the sink was told a command that begins so; `asked N TEXT` so many times
    datagram TEXT           came to the UDP port {udp}
    slept SECONDS           a delay was waited for
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from angaros.inbound.options import LocalCaller, Submission
from angaros.inbound.submission import submit
from angaros.model.tls import TlsFacts
from tests.delivery.world import HereCourier, Sink
from tests.inbound.smtp_world import ROUTERS, FakeStream, Talk, World
from tests.inbound.test_dkim import BODY, DOMAIN, KEY, WHOLE

HERE = Path(__file__).parent
NEXT_HOP = f"""
far:
  driver = manualroute
  domains = far.test
  route_list = * 127.0.0.1
  self = send
  transport = remote
{ROUTERS}"""
PARTS = {"main": "main", "acl": "acl", "router": "routers", "transport": "transports", "auth": "authenticators"}


@dataclass(slots=True)
class Case:
    """One case of a table."""

    table: str
    rows: list[str]
    line: int
    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{'+'.join(self.rows)}:{self.line}"


def cases(table: str) -> Iterator[Case]:
    """The cases of a file."""
    case: Case | None = None
    for number, line in enumerate((HERE / f"{table}.txt").read_text("utf-8").splitlines(), 1):
        if line.startswith("["):
            case = Case(table, re.findall(r"\[(.*?)\](?: |$)", line), number)
            yield case
        elif line and not line.startswith("#"):
            assert case is not None
            case.lines.append(line)


class Facts:
    """`w` of a `Q` line: the world, and what is not easily seen of it."""

    def __init__(self, play: Play) -> None:
        self._play = play

    def __getattr__(self, name: str) -> Any:
        return getattr(self._play.the_world(), name)

    def text(self, path: str) -> str:
        """Of a file in the directory."""
        return (self._play.directory / path).read_text("latin-1")

    def scans(self) -> list[str]:
        """Copies of messages made for scanners."""
        directory = self._play.directory / "spool" / "scan"
        return os.listdir(directory) if directory.exists() else []

    @property
    def writes(self) -> int:
        """Packets that the server wrote for the last `C`."""
        return self._play.writes

    @property
    def connected(self) -> list[float]:
        """Time limits of connections that were made."""
        return [timeout for name, timeout in self._play.limits if name == "connect"]

    @property
    def longest(self) -> float:
        """The longest time limit of a read."""
        return max(timeout for name, timeout in self._play.limits if name == "read")


class Play:
    """Performs one case."""

    def __init__(self, case: Case, directory: Path) -> None:
        self.case = case
        self.directory = directory
        self.parts: dict[str, list[str]] = {}
        self.replies: dict[str, str] = {}
        self.ehlo: list[str] = []
        self.dns: dict[tuple[str, str], Any] = {}
        self.world: World | None = None
        self.talk: Talk | None = None
        self.sink: Sink | None = None
        self.said: list[str] = []
        self.held: list[str] = []
        self.writes = 0
        self.limits: list[tuple[str, float]] = []
        self.stack = ExitStack()

    def run(self) -> None:
        """All lines."""
        with self.stack:
            for line in self.case.lines:
                word, _, rest = line.partition(" ")
                if word in PARTS:
                    self.parts.setdefault(PARTS[word], []).append(rest)
                    continue
                method = WORDS.get(word)
                assert method is not None, f"{self.case}: no such command: {line}"
                try:
                    method(self, rest)
                except AssertionError as error:
                    facts = {"line": line, "said": self.said, "log": self.world.log() if self.world else []}
                    facts["asked"] = self.sink.commands if self.sink else []
                    raise AssertionError(f"{self.case}: {facts} {error}") from None

    # Making.

    def the_world(self) -> World:
        if self.world is None:
            if self.replies or self.ehlo or any("{port}" in line for lines in self.parts.values() for line in lines):
                self.sink = self.stack.enter_context(Sink(self.replies, ehlo=self.ehlo))
            self.udp = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.udp.bind(("127.0.0.1", 0))
            self.udp.settimeout(5)
            port = str(self.sink.port) if self.sink is not None else ""
            texts = {
                name: self._filled("\n".join(lines), port=port, dir=str(self.directory), udp=str(self.udp.getsockname()[1]))
                for name, lines in self.parts.items()
            }
            texts.setdefault("main", "acl_smtp_rcpt = accept\n")
            self.world = World(self.directory, **texts)
            self.world.dns.records.update(self.dns)
            self.world.services.courier = HereCourier()
            self._watch(self.world.waiter)
        return self.world

    def _watch(self, waiter: Any) -> None:
        """Note the time limits of connections to other hosts."""
        connect = waiter.connect

        def watched(*args: Any, timeout: float, **options: Any) -> Any:
            self.limits.append(("connect", timeout))
            stream = connect(*args, timeout=timeout, **options)
            readline = stream.readline

            def reading(limit: int, timeout: float | None = None) -> bytes:
                self.limits.append(("read", timeout or 0.0))
                data: bytes = readline(limit, timeout)
                return data

            stream.readline = reading
            return stream

        waiter.connect = watched

    @staticmethod
    def _filled(text: str, **values: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return f"{text}\n"

    def the_talk(self) -> Talk:
        if self.talk is None:
            self.connect("")
        assert self.talk is not None
        return self.talk

    def add_dns(self, rest: str) -> None:
        name, kind, value = rest.split(" ", 2)
        if value in ("again", "fail"):
            self.dns[name, kind] = value
        else:
            parsed: Any = value
            if kind in ("MX", "SRV"):
                parsed = tuple(int(part) if part.isdigit() else part for part in value.split())
            self.dns.setdefault((name, kind), []).append(parsed)
        if self.world is not None:
            self.world.dns.records.update(self.dns)

    def add_file(self, rest: str) -> None:
        name, _, text = rest.partition(" ")
        (self.directory / name).write_text(text.replace("|", "\n"), "latin-1")

    def add_sink(self, rest: str) -> None:
        command, _, reply = rest.partition("= ")
        if command.strip():
            self.replies[command.strip()] = reply
        else:
            self.ehlo.append(reply.removeprefix("EHLO "))

    def next_hop(self, rest: str) -> None:
        self.parts.setdefault("transports", []).append("  port = {port}")
        self.parts.setdefault("routers", []).extend(NEXT_HOP.splitlines())

    # Doing.

    def connect(self, rest: str) -> None:
        self.talk = self.the_world().connect(rest or "192.0.2.7")
        self.said = self.talk.greeting
        if not self.talk.done:
            self.said = self.talk.say("EHLO client.test")

    def tls(self, rest: str) -> None:
        self.the_talk().conversation.session.tls = TlsFacts(cipher="TLS1.3:X:256", certificate_verified=rest == "verified")

    def client(self, rest: str) -> None:
        lines, self.held = [*self.held, rest], []
        talk = self.the_talk()
        write, self.writes = talk.stream.write, 0

        def counting(data: bytes, timeout: float | None = None) -> None:
            self.writes += 1
            write(data, timeout)

        talk.stream.write = counting  # type: ignore[method-assign]
        self.said = talk.say(*lines)
        talk.stream.write = write  # type: ignore[method-assign]

    def client_held(self, rest: str) -> None:
        self.held.append(rest)

    def message(self, rest: str) -> None:
        text = re.sub(r"\{(\d+)\}", lambda match: "x" * int(match[1]), rest)
        self.said = self.the_talk().message(text.replace("|", "\r\n") + "\r\n")

    def signed(self, rest: str) -> None:
        talk, world = self.the_talk(), self.the_world()
        world.dns.records[f"sel._domainkey.{DOMAIN}", "TXT"] = [KEY.record.decode()]
        talk.say("DATA")
        self.said = talk.send((WHOLE + b"\r\n" + BODY).replace(b"\r\n.", b"\r\n..") + b".\r\n")

    def local(self, rest: str) -> None:
        stream = FakeStream("", 0)
        stream.ready, stream.at_end = (rest.replace("|", "\n") + "\n").encode("latin-1"), True
        caller = LocalCaller(1234, 1234, "joe", "Joe Doe", trusted=False, admin=False)
        submission = Submission(caller=caller, recipients=["r@here.test"], error_handling="stderr")
        self.said = [str(submit(self.the_world().services, submission, stream))]

    def hang_up(self, rest: str) -> None:
        self.the_talk().hang_up()

    def clock(self, rest: str) -> None:
        self.the_world().clock.time += float(rest)

    # Looking.

    def reply(self, rest: str) -> None:
        assert self.said, "nothing was said"
        assert self.said[-1].startswith(rest)

    def any_reply(self, rest: str) -> None:
        assert any(re.search(rest, line) for line in self.said)

    def _log(self, kind: str, rest: str, wanted: bool) -> None:
        assert any(rest in line for line in self.the_world().log(kind)) == wanted

    def _last(self) -> Any:
        spooled = self.the_world().spooled()
        assert spooled, "no message is in the spool"
        return spooled[-1][0]

    def _header(self, rest: str, wanted: bool) -> None:
        headers = [header.text for header in self._last().headers if header.kind != "*"]
        assert any(text.startswith(rest) for text in headers) == wanted, headers

    def holds(self, rest: str) -> None:
        spooled = self.the_world().spooled()
        names = {"m": spooled[-1][0] if spooled else None, "s": self.talk, "w": Facts(self), "any": any, "len": len}
        assert eval(rest, {"__builtins__": {}}, names)

    def none(self, rest: str) -> None:
        assert self.the_world().spooled() == []

    def asked(self, rest: str) -> None:
        assert self.sink is not None
        count, _, text = rest.partition(" ")
        found = sum(command.startswith(text if count.isdigit() else rest) for command in self.sink.commands)
        assert found == int(count) if count.isdigit() else found

    def not_asked(self, rest: str) -> None:
        assert self.sink is not None
        assert not any(command.startswith(rest) for command in self.sink.commands)

    def datagram(self, rest: str) -> None:
        came = self.udp.recv(1000).decode("latin-1")
        assert came == rest, came

    def slept(self, rest: str) -> None:
        assert float(rest) in self.the_world().waiter.slept, self.the_world().waiter.slept


def _logs(kind: str, wanted: bool) -> Callable[[Play, str], None]:
    return lambda play, rest: play._log(kind, rest, wanted)


WORDS: dict[str, Callable[[Play, str], None]] = {
    "dns": Play.add_dns, "file": Play.add_file, "sink": Play.add_sink, "connect": Play.connect, "tls": Play.tls,
    "next": Play.next_hop, "signed": Play.signed,
    "C": Play.client, "C!": Play.client_held, "message": Play.message, "local": Play.local, "hang": Play.hang_up,
    "clock": Play.clock, "S": Play.reply, "S~": Play.any_reply, "L": _logs("main", True), "!L": _logs("main", False),
    "LR": _logs("reject", True), "!LR": _logs("reject", False), "LP": _logs("panic", True),
    "H": lambda play, rest: play._header(rest, True), "!H": lambda play, rest: play._header(rest, False),
    "Q": Play.holds, "none": Play.none, "asked": Play.asked, "!asked": Play.not_asked, "slept": Play.slept,
    "datagram": Play.datagram,
}  # fmt: skip
