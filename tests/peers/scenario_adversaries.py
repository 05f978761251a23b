"""Clients that mean harm. Nothing is smuggled, injected, lost or held up, and no worker dies or says `internal error`."""

from __future__ import annotations

import os
import re
import resource
import socket
import ssl
import time
from pathlib import Path

from tests.peers.scenario_clients import CONF as CLIENTS
from tests.peers.scenario_debian import SITE
from tests.peers.scenario_faults import Talk
from tests.peers.scenario_load import empty_queue
from tests.peers.servers import Angaros, certificate
from tests.peers.world import messages, sh, wait_for, world

CONF = CLIENTS.replace("begin acl\n", "smtp_accept_max = 0\nsmtp_accept_max_per_connection = 0\nbegin acl\n", 1).replace(
    "begin routers\n", "begin routers\nsink:\n  driver = redirect\n  local_parts = ^sink\n  data = :blackhole:\n", 1
)

SEPARATORS = (
    "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\n\0.\r\n", "\0\r\n.\0\r\n", "\r\r\n.\r\r\n",
    "\r\n.\0\r\n", "\n\n.\r\n\r\n", "\r\n\x0b.\r\n",
)  # fmt: skip
"""What other servers took for the end of a message. # CVE-2023-51764 to 51766"""

SMUGGLED = "MAIL FROM:<evil@smuggled.test>\r\nRCPT TO:<x@angaros.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n"
SLOW_CLIENTS = 2000
MANY_RECIPIENTS = 100_000
MEMORY_LIMIT_KB = 500_000
"""KB. No worker may ever have held more than this: the largest message of the scenario is 50 MB, of which it must keep little."""


def in_data(server: Angaros) -> Talk:
    talk = Talk(server.node.address)
    for command in ("EHLO client.test", "MAIL FROM:<s@client.test>", "RCPT TO:<x@angaros.test>", "DATA"):
        answer = talk.say(command)
    assert answer.startswith("354"), answer
    return talk


def rest(talk: Talk) -> list[str]:
    """All replies until the server closes."""
    replies = []
    try:
        while reply := talk.reply():
            replies.append(reply)
    except (ConnectionError, TimeoutError):
        pass
    return replies


def smuggling(server: Angaros) -> None:
    for separator in SEPARATORS:
        talk = in_data(server)
        talk.socket.sendall(f"Subject: outer\r\n\r\nbody{separator}{SMUGGLED}QUIT\r\n".encode("latin-1"))
        replies = rest(talk)
        accepted = [reply for reply in replies if reply.startswith("250 OK id=")]
        assert len(accepted) <= 1 and not any(reply.startswith("354") for reply in replies), (separator, replies)
    wait_for(lambda: empty_queue(server), 20, "an empty queue")
    assert not [m for m in messages(str(server.mail / "all")) if "Return-path: <evil@smuggled.test>" in m]


def starttls_injection(server: Angaros) -> None:
    talk = Talk(server.node.address)
    talk.say("EHLO client.test")
    talk.socket.sendall(b"STARTTLS\r\nMAIL FROM:<injected@x.test>\r\nRCPT TO:<x@angaros.test>\r\n")
    answer = talk.reply()
    if answer.startswith("220"):  # what came with it was dropped
        context = ssl._create_unverified_context()
        with context.wrap_socket(talk.socket, server_hostname="angaros.test") as secure:
            talk.socket, talk.file = secure, secure.makefile("rb")
            assert talk.say("RCPT TO:<x@angaros.test>").startswith("503"), "the sender from before the handshake is still there"
            assert talk.say("NOOP").startswith("250")
    else:
        assert answer.startswith("554"), answer


CONFUSIONS: tuple[tuple[str, ...], ...] = (
    ("EHLO c", "MAIL FROM:<a@b>", "RCPT TO:<x@angaros.test>", "BDAT 12\r\nSubject: x", "RSET", "BDAT 5 LAST\r\nabc", "NOOP"),
    ("EHLO c", "MAIL FROM:<a@b>", "RCPT TO:<x@angaros.test>", "BDAT 5\r\nabc", "DATA", "NOOP"),
    ("EHLO c", "MAIL FROM:<a@b>", "RCPT TO:<x@angaros.test>", "BDAT 5\r\nabc", "STARTTLS"),
    ("EHLO c", "BDAT 6 LAST\r\nabcd", "MAIL FROM:<a@b>", "NOOP"),
    ("EHLO c", "MAIL FROM:<a@b>", "RCPT TO:<x@angaros.test>", "BDAT 0 LAST", "BDAT 0 LAST", "NOOP"),
    ("EHLO c", "MAIL FROM:<a@b>", "RCPT TO:<x@angaros.test>", "BDAT -1 LAST", "NOOP"),
    ("EHLO c", "MAIL FROM:<a@b>", "RCPT TO:<x@angaros.test>", "BDAT 5 LAST\r\n\r\n.", "DATA", "NOOP"),
    ("EHLO c", "MAIL FROM:<a@b>", "EHLO d", "RCPT TO:<x@angaros.test>", "DATA", "NOOP"),
    ("EHLO c", "AUTH PLAIN", "*", "AUTH LOGIN", "!!!", "AUTH CRAM-MD5", "=", "AUTH NONSENSE", "NOOP"),
    ("EHLO c", "MAIL FROM:<a@b>", "MAIL FROM:<c@d>", "RSET", "RCPT TO:<x@angaros.test>", "DATA", "NOOP"),
)  # fmt: skip


def state_confusion(server: Angaros) -> None:
    """# CVE-2017-16943, CVE-2020-28019 in kind: use of a state that another command has ended."""
    for dialogue in CONFUSIONS:
        talk = Talk(server.node.address)
        for line in dialogue:
            try:
                answer = talk.say(line)
            except TimeoutError:
                raise AssertionError(f"no reply to {line!r} in {dialogue}") from None
            assert re.match(r"[2345]\d\d", answer), (dialogue, line, answer)
        talk.socket.close()


def injection(server: Angaros) -> None:
    """No line of a log or a header is the client's to begin."""
    fake = "2026-01-01 00:00:00 1xAAAA-000000001-0000 => stolen"
    for line in (
        f"EHLO a\n{fake}", f"EHLO a\r{fake}", f"EHLO \0{fake}", f"MAIL FROM:<a@b>\n{fake}", f"MAIL FROM:<\"a\r{fake}\"@b>",
        f"MAIL FROM:<a@b> X=\n{fake}", f"VRFY a\n{fake}", f"AUTH PLAIN\n{fake}", f"NOOP \x85{fake}",
    ):  # fmt: skip
        talk = Talk(server.node.address)
        talk.socket.sendall(line.encode("latin-1") + b"\r\nQUIT\r\n")
        rest(talk)
    talk = in_data(server)
    subject = "=?utf-8?Q?a=0A2026-01-01_00=3A00=3A00_1xAAAA-000000001-0000_=3D=3E_stolen?="
    assert talk.say(f"Subject: {subject}\r\nMessage-ID: <a\r b@c>\r\nX-Bare: a\rb\0c\r\n\r\nx\r\n.").startswith("250")
    lines = "\n".join(p.read_text("latin-1") for p in server.log.glob("*log")).split("\n")
    assert not [line for line in lines if line.startswith("2026-01-01")], "a line in the log that a client wrote"
    assert not any("\0" in line or "\r" in line for line in lines)


def huge_header(server: Angaros) -> None:
    talk = in_data(server)
    talk.socket.settimeout(60)
    block = b"X-Long: " + b"h" * 990 + b"\r\n"
    try:
        for _ in range(50):
            talk.socket.sendall(block * 1000)
        talk.socket.sendall(b"\r\n.\r\n")
    except ConnectionError:
        pass
    try:
        answer = talk.reply()
    except (ConnectionError, TimeoutError):
        return  # it hung up on us, which is fair
    assert answer.startswith("552"), answer


def many_recipients(server: Angaros) -> None:
    talk = Talk(server.node.address, timeout=120)
    talk.say("EHLO client.test")
    talk.say("MAIL FROM:<s@client.test>")
    counts = {"250": 0, "452": 0}
    for start in range(0, MANY_RECIPIENTS, 500):
        talk.socket.sendall("".join(f"RCPT TO:<sink{start + i}@angaros.test>\r\n" for i in range(500)).encode())
        for _ in range(500):
            counts[talk.reply()[:3]] += 1
    assert sum(counts.values()) == MANY_RECIPIENTS and counts["452"] == 50_000, counts  # recipients_max
    assert talk.say("DATA").startswith("354")
    assert talk.say("Subject: many\r\n\r\nx\r\n.").startswith("250")
    wait_for(lambda: empty_queue(server), 120, "50,000 recipients")


def early_talker(server: Angaros) -> None:
    with socket.create_connection((server.node.address, 25), 10) as early:
        early.sendall(b"EHLO early\r\nMAIL FROM:<a@b>\r\n")
        text = early.recv(4096)
        assert text.startswith((b"554", b"220")), text


def slowloris(server: Angaros) -> None:
    """Others are served while thousands stall in the middle of a command."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (SLOW_CLIENTS + 500, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    slow = []
    for _ in range(SLOW_CLIENTS):
        client = socket.create_connection((server.node.address, 25), 30)
        client.sendall(b"EH")
        slow.append(client)
    started = time.monotonic()
    for number in range(5):
        assert Talk(server.node.address).send(f"during the siege {number}").startswith("250")
    print(f"5 messages during {SLOW_CLIENTS} stalled connections: {time.monotonic() - started:.2f} s")
    for client in slow:
        client.close()


def healthy(server: Angaros, workers: set[int]) -> None:
    panic = server.log / "paniclog"
    text = panic.read_text("latin-1") if panic.exists() else ""
    assert "internal error" not in text and "starting another" not in text, text[-3000:]
    for pid in workers:
        status = Path(f"/proc/{pid}/status").read_text()
        peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]
        assert peak < MEMORY_LIMIT_KB, (pid, peak)
    assert Talk(server.node.address).send("after all that").startswith("250")


def children(pid: int) -> set[int]:
    return {int(child) for child in sh("ps", "-o", "pid=", "--ppid", str(pid)).split()}


def main() -> None:
    with world() as here:
        node = here.add("angaros", "angaros.test")
        here.serve_dns()
        Path("/etc/angaros").mkdir(exist_ok=True)
        Path("/etc/angaros/site.conf").write_text(SITE)
        cert, key = certificate(Path("/tmp/world"), "angaros.test")
        server = Angaros(node, CONF.replace("@CERT@", str(cert)).replace("@KEY@", str(key)))
        server.start()
        workers = children(server.pid())
        assert workers and os.getpid() not in workers
        for attack in (
            smuggling, starttls_injection, state_confusion, injection, early_talker, huge_header, many_recipients, slowloris,
        ):  # fmt: skip
            started = time.monotonic()
            attack(server)
            print(f"{attack.__name__}: {time.monotonic() - started:.1f} s", flush=True)
            healthy(server, workers)
        server.stop()
    print("ok")


if __name__ == "__main__":
    main()
