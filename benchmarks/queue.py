"""A queue of 100,000 messages: how long the tools and a queue run take on it, and how much memory, beside Debian's Exim 4.96.

    python -m benchmarks.queue [--messages N] [--split] [--only=WORDS] [--ours-only]

As root (it makes a world of its own, see tests/peers/world.py). Both programs read the same spool, in the format of 4.96.
Figures: seconds to the first octet of output (for a queue run: to the first message that the sink has), seconds to the end,
peak memory of the largest process in MiB. Machines are shared: look at the ratio.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import shutil
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from angaros.spool.ids import base62
from tests.peers import packages
from tests.peers.scenario_debian import SITE
from tests.peers.world import BIN, USERS, sh, world

OWNER = USERS["Debian-exim"]
RUN_SECONDS = 30.0
"""A queue run is stopped after that: its start is measured, not its length."""
RUN_MESSAGES = 1000
CONFIG = """
primary_hostname = queue.bench.test
exim_path = {program}
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = {top}/spool
log_file_path = {top}/log-{name}/%slog
split_spool_directory = {split}
keep_environment =
queue_run_max = 5
begin routers
sink:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = smtp
begin transports
smtp:
  driver = smtp
  port = {port}
begin retry
* * F,2h,5m
"""
HEADERS = (
    ("P", "Received: from client{n}.example.com ([192.0.2.{n}])\n\tby queue.bench.test with esmtp (Exim 4.96)\n"
          "\t(envelope-from <sender{n}@example.com>)\n\tid {id}\n\tfor user{n}@dest{n}.example.net;\n"
          "\tTue, 03 Nov 2026 10:00:00 +0000\n"),
    (" ", "Date: Tue, 3 Nov 2026 10:00:00 +0000\n"),
    ("F", "From: Sender {n} <sender{n}@example.com>\n"),
    ("T", "To: User {n} <user{n}@dest{n}.example.net>\n"),
    (" ", "Subject: message number {n} of a long queue\n"),
    ("I", "Message-Id: <{id}@client.example.com>\n"),
    (" ", "MIME-Version: 1.0\n"),
    (" ", "Content-Type: text/plain; charset=us-ascii\n"),
)  # fmt: skip


def header_file(message_id: str, received: int, n: int) -> str:
    """The -H file of one message; one of twenty is frozen, one of ten a bounce, one of seven partly delivered."""
    sender = "" if n % 10 == 9 else f"sender{n % 1000}@example.com"
    recipients = [f"user{n % 200}@dest{n % 997}.example.net", *(f"more{k}@dest{n % 31}.example.net" for k in range(n % 3))]
    lines = [
        f"{message_id}-H", "Debian-exim 101 101", f"<{sender}>", f"{received} 0", "-received_time_usec .123456",
        "-helo_name client.example.com", "-host_address [192.0.2.1]:40000", "-interface_address [192.0.2.2]:25",
        "-received_protocol esmtp", "-body_linecount 3", "-max_received_linelength 70",
    ]  # fmt: skip
    lines += [f"-frozen {received}"] if n % 20 == 0 else []
    lines += [f"NN {recipients[0]}"] if n % 7 == 0 and len(recipients) > 1 else ["XX"]
    lines += [str(len(recipients)), *recipients, "", ""]
    out = ["\n".join(lines)]
    for kind, text in HEADERS:
        text = text.format(n=n % 200, id=message_id)
        out.append(f"{len(text):03d}{kind} {text}")
    return "".join(out)


def fill(spool: Path, count: int, split: bool) -> None:
    """The queue: received over the last three days, in no order of the directory."""
    now = int(time.time())
    for name in ("input", "msglog", "db"):
        (spool / name).mkdir(parents=True, exist_ok=True)
    for n in range(count):
        received = now - 3 * 86400 + n * 3 * 86400 // count
        message_id = f"{base62(received, 6)}-{base62(n, 6)}-{base62(n % 1900, 2)}"
        directory = spool / "input" / message_id[5] if split else spool / "input"
        directory.mkdir(exist_ok=True)
        (directory / f"{message_id}-H").write_text(header_file(message_id, received, n))
        (directory / f"{message_id}-D").write_text(f"{message_id}-D\n" + "A line of text.\n" * 3)
    sh("chown", "-R", f"{OWNER}:{OWNER}", str(spool))
    sh("chmod", "-R", "u=rwX,g=rX,o=", str(spool))


@dataclass
class Figures:
    """Of one command."""

    first: float
    total: float
    memory: float
    lines: int


def measure(*command: str, stdin: str = "") -> Figures:
    """Run and read its output."""
    looked = 0.0
    started, first, lines, memory = time.monotonic(), 0.0, 0, 0.0
    source = open(stdin, "rb") if stdin else subprocess.DEVNULL  # noqa: SIM115
    process = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE)
    assert process.stdout is not None
    while data := os.read(process.stdout.fileno(), 1 << 16):
        first = first or time.monotonic() - started
        if not lines or time.monotonic() - looked > 0.05:
            memory, looked = max(memory, resident(process.pid)), time.monotonic()
        lines += data.count(b"\n")
    process.wait()
    return Figures(first, time.monotonic() - started, memory, lines)


# --- A queue run -------------------------------------------------------------------------------------------------------


class Sink(socketserver.ThreadingTCPServer):
    """Takes everything; remembers when."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.taken: list[float] = []


class Session(socketserver.StreamRequestHandler):
    """One conversation."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            self.converse()

    def converse(self) -> None:
        assert isinstance(self.server, Sink)
        self.wfile.write(b"220 sink\r\n")
        data = False
        for line in self.rfile:
            if data:
                if line == b".\r\n":
                    data = False
                    self.server.taken.append(time.monotonic())
                    self.wfile.write(b"250 OK\r\n")
                continue
            verb = line[:4].upper()
            data = verb == b"DATA"
            self.wfile.write({b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 OK\r\n"))
            if verb == b"QUIT":
                return


def resident(pid: int) -> float:
    """MiB of the largest process among `pid` and what it started."""
    best, pending = 0, [pid]
    while pending:
        one = pending.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text()
            pending += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except OSError:
            continue
        best = max([best, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
    return best / 1024


def measure_run(sink: Sink, *command: str) -> Figures:
    """Start a queue run; stop it when RUN_MESSAGES are delivered or RUN_SECONDS are over."""
    sink.taken.clear()
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    memory = 0.0
    while process.poll() is None and len(sink.taken) < RUN_MESSAGES and time.monotonic() - started < RUN_SECONDS:
        select.select([], [], [], 0.02)
        memory = max(memory, resident(process.pid))
    elapsed = time.monotonic() - started
    if process.poll() is None:
        os.killpg(process.pid, 15)
        process.wait()
    return Figures(sink.taken[0] - started if sink.taken else 0.0, elapsed, memory, len(sink.taken))


# --- All of it ---------------------------------------------------------------------------------------------------------


def jobs(name: str, conf: str, top: Path) -> Iterator[tuple[str, list[str], str]]:
    """What is measured: a title, the command, its input."""
    tree = packages.exim() / "usr/sbin"
    program = [str(BIN / "exim")] if name == "angaros" else [str(tree / "exim4")]
    for form in ("-bpc", "-bp", "-bpr", "-bpu", "-bpi"):
        if form != "-bpi" or name == "angaros":  # 4.96 has no -bpi
            yield form, [*program, "-C", conf, form], ""
    tool = (lambda tool: [str(BIN / tool)]) if name == "angaros" else (lambda tool: ["perl", str(tree / tool)])
    yield "exiqgrep -c", [*tool("exiqgrep"), "-E", program[0], "-C", conf, "-c", "-f", "sender7@"], ""
    yield "exiqgrep -i -z", [*tool("exiqgrep"), "-E", program[0], "-C", conf, "-i", "-z"], ""
    yield "exiqsumm", tool("exiqsumm"), f"{top}/listing"
    pick = [*tool("exipick"), "--spool", f"{top}/spool"]
    yield "exipick -c", [*pick, "-c", "$sender_address eq sender7@example.com"], ""
    yield "exipick -bp", pick, ""
    yield "exipick -i header", [*pick, "-i", "$h_subject: =~ /number 7 /"], ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--split", action="store_true", help="split_spool_directory")
    parser.add_argument("--only", default="", help="titles that contain one of these words")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        spaces = ["--mount", "--net", "--uts", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        os.execvp("unshare", ["unshare", *spaces, sys.executable, "-m", "benchmarks.queue", *sys.argv[1:], "--inside"])
    with world():
        bench(arguments)


def bench(arguments: argparse.Namespace) -> None:
    """In the world."""
    top = Path("/tmp/world/queue")
    fill(top / "spool", arguments.messages, arguments.split)
    Path("/etc/angaros").mkdir(exist_ok=True)
    Path("/etc/angaros/site.conf").write_text(SITE)
    sink = Sink()
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    names = ["angaros"] if arguments.ours_only else ["exim", "angaros"]
    rows: dict[str, dict[str, Figures]] = {}
    wanted = arguments.only.split()
    configs = {name: configure(name, top, sink.server_address[1], arguments.split) for name in names}
    with open(top / "listing", "wb") as listing:
        subprocess.run([BIN / "exim", "-C", configs["angaros"], "-bp"], stdout=listing, check=True)
    for name in names:
        for title, command, stdin in jobs(name, configs[name], top):
            if not wanted or any(word in title for word in wanted):
                rows.setdefault(title, {})[name] = measure(*command, stdin=stdin)
    if not wanted or "run" in wanted:
        for name in names:
            program = BIN / "exim" if name == "angaros" else packages.exim() / "usr/sbin/exim4"
            rows.setdefault("queue run -q", {})[name] = measure_run(sink, str(program), "-C", configs[name], "-q")
    show(rows)


def configure(name: str, top: Path, port: int, split: bool) -> str:
    """Write the configuration of one program."""
    (top / f"log-{name}").mkdir()
    shutil.chown(top / f"log-{name}", OWNER, OWNER)
    program = BIN / "exim" if name == "angaros" else packages.exim() / "usr/sbin/exim4"
    path = top / f"{name}.conf"
    path.write_text(CONFIG.format(program=program, top=top, name=name, split="yes" if split else "no", port=port))
    with open("/etc/exim4/trusted_configs", "a") as trusted:
        trusted.write(f"{path}\n")
    return str(path)


def show(rows: dict[str, dict[str, Figures]]) -> None:
    """A line each; `ratio` is ours to Exim's, of the whole time."""
    print(f"{'':20} {'':8} {'first s':>8} {'total s':>8} {'MiB':>6} {'lines':>8}  ratio")
    for title, found in rows.items():
        for name, one in found.items():
            ratio = one.total / found["exim"].total if name != "exim" and "exim" in found and found["exim"].total else 0.0
            tail = f"  {ratio:.2f}" if ratio else ""
            print(f"{title:20} {name:8} {one.first:8.2f} {one.total:8.2f} {one.memory:6.0f} {one.lines:8}{tail}")


if __name__ == "__main__":
    random.seed(1)
    main()
