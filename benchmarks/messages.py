"""Messages per second and CPU per 1000 messages of the daemon, beside a real Exim on the same configuration, in one run.

    python benchmarks/messages.py [--ours COMMAND] [--exim COMMAND] [--messages N] [--sessions N]
                                  [--per-connection N] [--rounds N] [--hold] [--against COMMAND]

As root. Messages of 4 KiB come over SMTP from SESSIONS clients, each waiting for its replies; they are delivered into
Maildirs, or stay in the queue (`--hold`). Rounds alternate, because machines are shared: look at the ratio. `--against`:
another of our trees in place of Exim, to see what a change has brought. Exit status 1 when we are slower. The bigger
harness, with Postfix, verification of each message and the order of fsyncs, is `make bench`.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pwd
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from debian_exim import EXIM, with_user

PORT = 2725
USER = "mail"
"""Runs the daemon and owns the Maildirs."""
BODY = "".join(f"{n:04} The quick brown fox jumps over the lazy dog, and then does it again\r\n" for n in range(57))
CONFIG = """
primary_hostname = mta.bench.test
exim_user = {user}
exim_group = {group}
never_users = root
spool_directory = {top}/spool
log_file_path = {top}/log/%slog
pid_file_path = {top}/exim.pid
exim_path = {program}
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 1024
keep_environment =
tls_advertise_hosts =
queue_only = {hold}
domainlist local_domains = bench.test
acl_smtp_rcpt = check
begin acl
check:
  accept domains = +local_domains
         verify = recipient
  deny
begin routers
users:
  driver = accept
  domains = +local_domains
  local_parts = lsearch;{top}/users
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {top}/mail/$local_part_data
  maildir_format
  create_directory
  user = {user}
begin retry
* * F,2h,1m
"""


class Client:
    """One session of the load: sends the next line when the reply to the last one has come."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.sock = socket.create_connection(("127.0.0.1", PORT))
        self.sock.setblocking(False)
        self.steps = self._dialogue()
        self.data = b""

    def _dialogue(self) -> Iterator[str]:
        yield "EHLO client.bench.test"
        for _ in range(self.load.per_connection):
            number = self.load.take()
            if not number:
                break
            yield f"MAIL FROM:<s{number % 100}@sender.test>"
            yield f"RCPT TO:<u{number % 100}@bench.test>"
            yield "DATA"
            head = f"From: s@sender.test\r\nTo: u@bench.test\r\nMessage-ID: <{number}@bench>\r\nSubject: bench\r\n\r\n"
            yield f"{head}{BODY}."
        yield "QUIT"

    def ready(self) -> bool:
        """Input is there; False at the end of the session."""
        more = self.sock.recv(65536)
        self.data += more
        lines = self.data.split(b"\r\n")
        if more and not (len(lines) > 1 and lines[-2][3:4] == b" "):
            return True
        if lines[0].startswith(b"250 OK id="):
            self.load.accepted += 1
        self.data = b""
        line = next(self.steps, None) if more else None
        if line is None:
            self.sock.close()
            return False
        self.sock.setblocking(True)
        self.sock.sendall(line.encode() + b"\r\n")
        self.sock.setblocking(False)
        return True


class Load:
    """All sessions, until the messages are sent."""

    def __init__(self, messages: int, sessions: int, per_connection: int) -> None:
        self.left = messages
        self.sessions = sessions
        self.per_connection = per_connection
        self.accepted = 0

    def take(self) -> int:
        """The number of the next message, 0 when there is none."""
        self.left, number = max(0, self.left - 1), self.left
        return number

    def run(self) -> None:
        """Send everything."""
        with selectors.DefaultSelector() as selector:
            for _ in range(min(self.sessions, self.left)):
                client = Client(self)
                selector.register(client.sock, selectors.EVENT_READ, client)
            while selector.get_map():
                for key, _ in selector.select(30):
                    fd = key.fd
                    if not key.data.ready():
                        selector.unregister(fd)
                        if self.left:
                            client = Client(self)
                            selector.register(client.sock, selectors.EVENT_READ, client)


class Daemon:
    """A server under test, in a fresh directory."""

    def __init__(self, program: str, top: Path, hold: bool) -> None:
        self.top = top
        entry = pwd.getpwnam(USER)
        for name in ("spool", "log", "mail"):
            (top / name).mkdir()
            os.chown(top / name, entry.pw_uid, entry.pw_gid)
        os.chown(top, entry.pw_uid, entry.pw_gid)
        (top / "users").write_text("".join(f"u{n}: x\n" for n in range(100)))
        words = {"program": program, "user": USER, "group": entry.pw_gid, "top": top, "port": PORT, "hold": str(hold).lower()}
        (top / "exim.conf").write_text(CONFIG.format(**words))
        with open(top / "output", "wb") as output:
            command = [program, "-C", str(top / "exim.conf"), "-bdf"]
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        self._wait_for_port()

    def _wait_for_port(self) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", PORT), 2) as sock:
                    sock.recv(100)
                    sock.sendall(b"QUIT\r\n")
                    sock.recv(100)
                    return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise SystemExit("the daemon does not answer")

    def delivered(self) -> int:
        """Messages in the Maildirs."""
        return sum(1 for _ in (self.top / "mail").glob("*/new/*"))

    def cpu(self) -> float:
        """CPU seconds of the daemon and all that it has started: those alive, those it has reaped, and orphans (ours)."""
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        mine = os.times()
        return mine.children_user + mine.children_system + sum(map(_cpu_of, _tree(self.process.pid)))

    def stop(self) -> None:
        """End it and wait for it and its orphans."""
        self.process.terminate()
        self.process.wait()


def _tree(top: int) -> list[int]:
    found = [top]
    for pid in found:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
        except OSError:
            continue
    return found


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def measure(program: str, options: argparse.Namespace) -> tuple[float, float]:
    """Messages per second and CPU seconds per 1000 messages of one round."""
    top = Path(tempfile.mkdtemp(prefix="angaros-bench-", dir=options.directory))
    top.chmod(0o755)
    daemon = Daemon(program, top, options.hold)
    try:
        warm = max(20, options.messages // 10)
        Load(warm, options.sessions, options.per_connection).run()
        _until(daemon, 0 if options.hold else warm)
        before, start = daemon.cpu(), time.monotonic()
        load = Load(options.messages, options.sessions, options.per_connection)
        load.run()
        if load.accepted != options.messages:
            raise SystemExit(f"{program}: {load.accepted} of {options.messages} messages were accepted")
        _until(daemon, 0 if options.hold else warm + options.messages)
        seconds = time.monotonic() - start
        return options.messages / seconds, (daemon.cpu() - before) * 1000 / options.messages
    finally:
        daemon.stop()
        shutil.rmtree(top, ignore_errors=True)


def _until(daemon: Daemon, count: int) -> None:
    end = time.monotonic() + 120
    while daemon.delivered() < count:
        if time.monotonic() > end:
            raise SystemExit("not all was delivered")
        time.sleep(0.05)


def main() -> int:
    """Compare, and say so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default=str(Path(sys.executable).parent / "exim"))
    parser.add_argument("--exim", default=EXIM)
    parser.add_argument("--against", help="another tree of ours, in place of Exim")
    parser.add_argument("--messages", type=int, default=600)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--per-connection", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--directory", default="/var/tmp", help="on a real disk")
    options = parser.parse_args()
    with_user()
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: Exim's deliveries are orphans; their CPU shall be counted
    found: dict[str, list[tuple[float, float]]] = {"other": [], "ours": []}
    for _ in range(options.rounds):
        for label, program in (("other", options.against or options.exim), ("ours", options.ours)):
            found[label].append(measure(program, options))
            print(f"{label}: {found[label][-1][0]:.0f} messages/s, {found[label][-1][1]:.2f} CPU s per 1000", flush=True)
    pairs = list(zip(found["ours"], found["other"], strict=True))
    rate = statistics.median(ours[0] / other[0] for ours, other in pairs)
    cpu = statistics.median(ours[1] / other[1] for ours, other in pairs)
    print(f"ratio of messages/s {rate:.2f} (above 1: we are faster), of CPU {cpu:.2f} (below 1: we need less)")
    return 0 if rate >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
