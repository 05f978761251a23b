"""10,000 messages by Postfix's smtp-source over 20 sessions; then the same load while processes are killed at random.

`python -m tests.peers.scenario_load steady|killed COUNT`
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import smtplib
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.peers import packages
from tests.peers.scenario_debian import SITE
from tests.peers.servers import Angaros
from tests.peers.world import sh, wait_for, world

CONF = """
primary_hostname = angaros.test
@HOUSE@
tls_advertise_hosts =
acl_smtp_rcpt = accept
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
begin routers
here:
  driver = accept
  transport = maildir
begin transports
@MAILDIR@
  envelope_to_add
  user = vmail
begin retry
* * F,2h,1s
"""

SESSIONS = 20


def delivered(server: Angaros) -> list[Path]:
    return list((server.mail / "all" / "new").glob("*"))


def empty_queue(server: Angaros) -> bool:
    return server.queue_count() == 0 and not list((server.spool / "input").rglob("*-[DJ]"))


def steady(server: Angaros, count: int) -> None:
    """Each message exactly once, with the content that was sent."""
    source = packages.postfix() / "usr/sbin/smtp-source"
    library = str(packages.postfix() / "usr/lib/postfix")
    started = time.monotonic()
    sh(
        str(source), "-s", str(SESSIONS), "-m", str(count), "-l", "4096", "-N", "-f", "a@load.test", "-t", "user@load.test",
        f"{server.node.address}:25", env={**os.environ, "LD_LIBRARY_PATH": library},
    )  # fmt: skip
    wait_for(lambda: len(delivered(server)) >= count and empty_queue(server), 120, f"deliveries, {len(delivered(server))} done")
    print(f"{count} messages in {time.monotonic() - started:.1f} s")
    recipients: Counter[str] = Counter()
    contents: Counter[bytes] = Counter()
    for path in delivered(server):
        head, _, body = path.read_bytes().partition(b"\n\n")
        found = re.search(rb"(?mi)^Envelope-to: (\S+)", head)
        assert found, head
        recipients[found[1].decode()] += 1
        contents[hashlib.sha256(body).digest()] += 1
    assert len(recipients) == count, f"{len(recipients)} recipients of {count}"
    assert set(recipients.values()) == {1}, "delivered more than once"
    assert len(contents) == 1, "contents differ"


class Client(threading.Thread):
    """Sends until told to stop; remembers what was answered with 250."""

    def __init__(self, address: str, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.address, self.number, self.stop = address, number, stop
        self.accepted: dict[str, str] = {}
        self.sent = 0

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self._session()
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)

    def _session(self) -> None:
        with smtplib.SMTP(self.address, timeout=20) as client:
            while not self.stop.is_set():
                self.sent += 1
                key = f"k{self.number}-{self.sent}"
                text = f"Subject: {key}\r\n\r\n" + f"{key} {random.random()}\r\n" * random.randrange(1, 200)
                client.sendmail("a@load.test", [f"{key}@load.test"], text)
                self.accepted[key] = text.partition("\r\n\r\n")[2].replace("\r\n", "\n")


def processes(server: Angaros) -> dict[int, list[int]]:
    """Children of the master."""
    master = server.pid()
    listed = sh("ps", "-o", "pid=", "--ppid", str(master), check=False).split()
    return {master: [int(pid) for pid in listed]}


def killed(server: Angaros, count: int) -> None:
    """Kill -9 at random; restart when the master is gone. What got a 250 arrives whole, nothing stays behind."""
    stop = threading.Event()
    clients = [Client(server.node.address, n, stop) for n in range(SESSIONS)]
    for client in clients:
        client.start()
    kills = 0
    end = time.monotonic() + 240
    while sum(len(c.accepted) for c in clients) < count and time.monotonic() < end:
        time.sleep(random.uniform(0.3, 1.5))
        master, children = next(iter(processes(server).items()))
        victim = master if kills % 6 == 5 else random.choice(children or [master])
        kills += 1
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
        if victim == master:
            assert server.daemon is not None
            server.daemon.wait(10)
            server.start()
    stop.set()
    for client in clients:
        client.join(30)
    time.sleep(1)
    server.stop()
    server.start()
    for _ in range(20):
        server.exim("-qff")
        if empty_queue(server):
            break
        time.sleep(1)
    check_after_kills(server, clients, kills)


def check_after_kills(server: Angaros, clients: list[Client], kills: int) -> None:
    found: dict[str, list[str]] = {}
    for path in delivered(server):
        head, _, body = path.read_text("latin-1").partition("\n\n")
        subject = re.search(r"(?m)^Subject: (\S+)", head)
        assert subject, f"torn: {path}\n{head}"
        found.setdefault(subject[1], []).append(body)
    accepted = {key: text for client in clients for key, text in client.accepted.items()}
    lost = [key for key in accepted if key not in found]
    torn = [key for key, text in accepted.items() if any(body.rstrip("\n") != text.rstrip("\n") for body in found.get(key, ()))]
    doubled = sum(len(bodies) > 1 for bodies in found.values())
    left = sorted(str(p.relative_to(server.spool)) for p in (server.spool / "input").rglob("*-[HDJ]"))
    counts = f"{len(lost)} lost, {len(torn)} torn, {doubled} doubled"
    print(f"{len(accepted)} accepted, {kills} kills, {counts}, left: {left[:5]}")
    assert not lost, lost[:5]
    assert not torn, torn[:5]
    assert empty_queue(server), left
    assert doubled <= kills * SESSIONS, "more doubles than deliveries in hand when a process was killed"


if __name__ == "__main__":
    with world() as made:
        node = made.add("ang", "angaros.test")
        made.serve_dns()
        Path("/etc/angaros").mkdir()
        Path("/etc/angaros/site.conf").write_text(SITE)
        subject = Angaros(node, CONF)
        subject.start("-q1s" if sys.argv[1] == "killed" else "-q1h")
        {"steady": steady, "killed": killed}[sys.argv[1]](subject, int(sys.argv[2]))
        subject.stop()
    print("ok")
