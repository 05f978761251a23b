"""Cases of the command line's table: a configuration, commands, what they say and leave behind.

`[row]` begins a case (see dialogues.py); the lines after it are commands:

    main LINE, router LINE, transport LINE, retry LINE, rewrite LINE, acl LINE, auth LINE   configuration; `{dir}`: a place
    file NAME TEXT      a file in {dir}; `|` is a line end
    < TEXT              a line of standard input of the next command
    as daemon           the next command is run by that user
    site KEY=VALUE      a line of the site file
    $ ARGUMENTS         run the program; `{id}` is the id of the last message that arrived, `{id1}` of the first
    status N            its exit status (0 when nothing is said)
    out TEXT, !out TEXT, out~ REGEX, err TEXT, !err TEXT   a line of standard output or error has it
    nothing             it said nothing at all
    log TEXT, !log TEXT the main log has (has not) a line with it
    queue N             messages in the queue
    holds NAME TEXT, !holds NAME TEXT   a file in {dir} has (has not) the text; `gone NAME`: there is none
    H TEXT, !H TEXT     a header of the last message in the queue
    sink                an SMTP server listens at {port}; `asked TEXT`: it was told a command that begins so

Each command is a child process of the test: the program as it is called, without the time to start Python.
"""

from __future__ import annotations

import io
import os
import pwd
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.delivery.world import Sink

HERE = Path(__file__).parent
TABLE = HERE / "commands.txt"

CONFIG = """
primary_hostname = here.test
qualify_domain = here.test
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
exim_user = {user}
exim_group = {group}
never_users =
keep_environment =
host_lookup =
tls_advertise_hosts =
timezone = UTC
queue_run_in_order
@MAIN@
begin acl
ok:
  accept
@ACL@
begin routers
@ROUTERS@
begin transports
box:
  driver = appendfile
  file = {dir}/box/all
  create_file = anywhere
  user = {user}
  group = {group}
  envelope_to_add
  return_path_add
remote:
  driver = smtp
  port = {port}
  hosts_try_dane =
@TRANSPORTS@
begin retry
@RETRY@
begin rewrite
@REWRITE@
begin authenticators
@AUTH@
"""
ROUTERS = """
bad:
  driver = redirect
  local_parts = unknown
  allow_fail
  data = :fail: no such user
later:
  driver = redirect
  local_parts = later
  allow_defer
  data = :defer: come back
far:
  driver = manualroute
  domains = far.test
  route_list = * 127.0.0.1
  self = send
  transport = remote
here:
  driver = accept
  domains = here.test
  local_part_suffix = +*
  local_part_suffix_optional
  transport = box
"""
PARTS = ("main", "acl", "router", "transport", "retry", "rewrite", "auth")
MARKS = {"router": "ROUTERS", "transport": "TRANSPORTS"}


@dataclass(slots=True)
class Case:
    """One case of the table."""

    rows: list[str]
    line: int
    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{'+'.join(self.rows)}:{self.line}"


def cases() -> Iterator[Case]:
    """All of them."""
    case: Case | None = None
    for number, line in enumerate(TABLE.read_text("utf-8").splitlines(), 1):
        if line.startswith("["):
            case = Case(re.findall(r"\[(.*?)\](?: |$)", line), number)
            yield case
        elif line and not line.startswith("#"):
            assert case is not None
            case.lines.append(line)


@dataclass(slots=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str


def call(arguments: list[str], stdin: bytes, user: str, syslog: Path) -> Done:
    """Run the program in a child process; what it leaves running in the background has ended, too."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.set_inheritable(writing, True)
            _become_the_program(arguments, (given.fileno(), out.fileno(), err.fileno()), user, syslog)
        os.close(writing)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with os.fdopen(reading, "rb") as until_all_have_gone:
            until_all_have_gone.read()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("latin-1"))
    return Done(status, *texts)


def _catch_syslog(path: Path) -> None:
    """Into a file, with the name that was given."""
    import syslog

    idents = ["?"]

    def openlog(ident: str = "", *_: Any) -> None:
        idents[:] = [ident]

    def write(priority: int, text: str) -> None:
        with path.open("a") as file:
            file.write(f"{idents[0]}: {text}\n")

    syslog.openlog, syslog.syslog = openlog, write  # type: ignore[assignment]


def _become_the_program(arguments: list[str], descriptors: tuple[int, int, int], user: str, syslog: Path) -> None:
    """In the child: never returns."""
    try:
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb", closefd=False))
        sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), write_through=True)
        sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), write_through=True)
        _catch_syslog(syslog)
        if user:
            entry = pwd.getpwnam(user)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        sys.argv = ["exim", *arguments]
        from angaros.cli.main import exim

        exim()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(99)


class Play:
    """Performs one case."""

    def __init__(self, case: Case, directory: Path) -> None:
        self.case, self.dir = case, directory
        self.parts: dict[str, list[str]] = {}
        self.stdin: list[str] = []
        self.user = ""
        self.done = Done(0, "", "")
        self.judged = True
        self.sink: Sink | None = None
        self.port = 1
        entry = pwd.getpwnam("nobody")
        self.owner = {"user": entry.pw_name, "group": str(entry.pw_gid)}
        for name in ("log", "box", "spool"):
            (directory / name).mkdir()
            os.chown(directory / name, entry.pw_uid, entry.pw_gid)
        directory.chmod(0o755)

    def run(self) -> None:
        """All lines."""
        try:
            for line in self.case.lines:
                word, _, rest = line.partition(" ")
                if word in PARTS:
                    self.parts.setdefault(word, []).append(self.filled(rest))
                    continue
                method = WORDS.get(word)
                assert method is not None, f"{self.case}: no such command: {line}"
                try:
                    method(self, rest)
                except AssertionError as error:
                    raise AssertionError(f"{self.case}: {line}\n{error}\n{self.done}\n{self.text('log/mainlog')}") from None
            self._judge(0)
        finally:
            if self.sink is not None:
                self.sink.listener.close()

    def filled(self, text: str) -> str:
        values = {"dir": str(self.dir), "port": str(self.port), **self.owner}
        ids = re.findall(r"^\S+ \S+ (\S+) <= ", self.text("log/mainlog"), re.MULTILINE)
        if ids:
            values |= {"id": ids[-1], "id1": ids[0]}
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def text(self, name: str) -> str:
        path = self.dir / name
        return path.read_text("latin-1") if path.exists() else ""

    def _judge(self, status: int) -> None:
        """The status of the last command, once."""
        if not self.judged:
            self.judged = True
            assert self.done.status == status, f"{self.case}: {self.done}\n{self.text('log/mainlog')}"

    # Doing.

    def add_file(self, rest: str) -> None:
        name, _, text = rest.partition(" ")
        path = self.dir / name
        path.write_text(self.filled(text.replace("|", "\n")), "latin-1")
        path.chmod(0o755 if text.startswith("#!") else 0o644)

    def add_stdin(self, rest: str) -> None:
        self.stdin.append(rest + "\n")

    def set_user(self, rest: str) -> None:
        self.user = rest

    def listen(self, rest: str) -> None:
        self.sink = Sink()
        self.port = self.sink.port

    def configuration(self) -> Path:
        text = CONFIG
        defaults = {"router": ROUTERS, "retry": "* * F,2h,1s"}
        for part in PARTS:
            lines = "\n".join(self.parts[part]) if part in self.parts else defaults.get(part, "")
            text = text.replace(f"@{MARKS.get(part, part.upper())}@", lines)
        path = self.dir / "exim.conf"
        path.write_text(self.filled(text), "latin-1")
        path.chmod(0o644)
        return path

    def command(self, rest: str) -> None:
        self._judge(0)
        arguments = shlex.split(self.filled(rest))
        if not any(word.startswith("-C") for word in arguments):
            arguments = ["-C", str(self.configuration()), *arguments]
        self.done = call(arguments, "".join(self.stdin).encode("latin-1"), self.user, self.dir / "syslog")
        self.stdin, self.user, self.judged = [], "", False

    # Looking.

    def status(self, rest: str) -> None:
        self._judge(int(rest))

    def says(self, stream: str, rest: str, wanted: bool) -> None:
        assert (self.filled(rest) in getattr(self.done, stream)) == wanted

    def matches(self, rest: str) -> None:
        assert re.search(self.filled(rest), self.done.out, re.MULTILINE)

    def nothing(self, rest: str) -> None:
        assert self.done.out == self.done.err == ""

    def logged(self, rest: str, wanted: bool) -> None:
        assert (self.filled(rest) in self.text("log/mainlog")) == wanted

    def queue(self, rest: str) -> None:
        found = list((self.dir / "spool").rglob("*-H"))
        assert len(found) == int(rest), found

    def holds(self, rest: str, wanted: bool) -> None:
        name, _, text = rest.partition(" ")
        assert (self.filled(text) in self.text(self.filled(name))) == wanted, self.text(name)

    def gone(self, rest: str) -> None:
        assert not (self.dir / rest).exists()

    def header(self, rest: str, wanted: bool) -> None:
        last = max((self.dir / "spool").rglob("*-H"), key=lambda path: path.stat().st_mtime_ns)
        found = re.search(rf"^\d+[^*] {re.escape(self.filled(rest))}", last.read_text("latin-1"), re.MULTILINE)
        assert (found is not None) == wanted, last.read_text("latin-1")

    def asked(self, rest: str) -> None:
        assert self.sink is not None and any(one.startswith(rest) for one in self.sink.commands), self.sink


def _says(stream: str, wanted: bool) -> Callable[[Play, str], Any]:
    return lambda play, rest: play.says(stream, rest, wanted)


WORDS: dict[str, Callable[[Play, str], Any]] = {
    "file": Play.add_file, "<": Play.add_stdin, "as": Play.set_user, "sink": Play.listen, "$": Play.command,
    "status": Play.status,
    "out": _says("out", True), "!out": _says("out", False), "out~": Play.matches, "err": _says("err", True),
    "!err": _says("err", False), "nothing": Play.nothing,
    "log": lambda play, rest: play.logged(rest, True), "!log": lambda play, rest: play.logged(rest, False),
    "queue": Play.queue, "holds": lambda play, rest: play.holds(rest, True), "!holds": lambda play, rest: play.holds(rest, False),
    "gone": Play.gone, "H": lambda play, rest: play.header(rest, True), "!H": lambda play, rest: play.header(rest, False),
    "asked": Play.asked,
}  # fmt: skip
