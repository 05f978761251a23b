"""Bad input and a bad world: each gets Exim's error or reply and a log line, and loses nothing."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from tests.peers.scenario_debian import SITE
from tests.peers.scenario_load import CONF, delivered, empty_queue
from tests.peers.servers import EXIM_UID, Angaros, owned
from tests.peers.world import Node, port_open, sh, wait_for, world


class Talk:
    """A raw SMTP client."""

    def __init__(self, address: str, port: int = 25, timeout: float = 20) -> None:
        self.socket = socket.create_connection((address, port), timeout)
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self) -> str:
        lines = []
        while True:
            line = self.file.readline()
            lines.append(line.decode("latin-1").rstrip("\r\n"))
            if line[3:4] != b"-":
                return "\n".join(lines)

    def say(self, line: str) -> str:
        """One command and its reply; a server that has heard enough may close before it has read all."""
        try:
            self.socket.sendall(line.encode("latin-1") + b"\r\n")
            return self.reply()
        except ConnectionError as error:
            return f"5 closed: {error}"

    def send(self, text: str) -> str:
        """A message to the end; the last reply."""
        for command in ("HELO client.test", "MAIL FROM:<a@load.test>", "RCPT TO:<b@load.test>"):
            answer = self.say(command)
            if answer[0] in "45":
                return answer
        answer = self.say("DATA")
        return answer if answer[0] in "45" else self.say(f"Subject: x\r\n\r\n{text}\r\n.")


def wrong_configurations(server: Angaros) -> None:
    good = server.conf.read_text()
    cases = {
        "no_such_option = 1\n" + good: ("in line 1 of", 'option "no_such_option" unknown'),
        good.replace("driver = accept", "driver = nonesuch"): ('cannot find router driver "nonesuch"',),
        "smtp_accept_max = many\n" + good: ("in line 1 of", "smtp_accept_max"),
        "begin nonsense\n": ("nonsense",),
        ".ifdef X\n": (".endif missing",),
    }
    for text, expected in cases.items():
        server.conf.write_text(text)
        output = server.exim("-bV", check=False)
        for part in expected:
            assert part in output, f"{part!r} not in\n{output}"
    server.conf.write_text(good.replace("  transport = maildir", "  transport = nowhere"))
    output = server.exim("-bt", "x@load.test", check=False)
    assert 'transport "nowhere" not found in here router' in output, output
    server.conf.write_text(good)
    output = server.node.run(server.program, "-C", "/nonexistent/exim.conf", "-bV", check=False)
    assert "non-existent configuration file(s): /nonexistent/exim.conf" in output, output


def reload_keeps_the_old_one(server: Angaros) -> None:
    """A broken configuration is refused on SIGHUP; a good one is taken without dropping a connection."""
    good = server.conf.read_text()
    talk = Talk(server.node.address)
    server.conf.write_text("broken = yes\n" + good)
    os.kill(server.pid(), 1)
    wait_for(lambda: "broken" in server.logs(), 10, "the error in the log")
    assert Talk(server.node.address).send("still the old one").startswith("250")
    server.conf.write_text("smtp_banner = reloaded $primary_hostname\n" + good)
    os.kill(server.pid(), 1)
    wait_for(lambda: "reloaded" in Talk(server.node.address).greeting, 10, "the new banner")
    assert talk.send("sent over a connection older than the reload").startswith("250")
    server.conf.write_text(good)
    os.kill(server.pid(), 1)
    wait_for(lambda: "reloaded" not in Talk(server.node.address).greeting, 10, "the old banner")


def port_in_use(server: Angaros) -> None:
    good = server.conf.read_text()
    other = server.conf.with_name("second.conf")
    other.write_text("daemon_startup_retries = 0\n" + good)
    trusted = Path("/etc/exim4/trusted_configs")
    trusted.write_text(trusted.read_text() + f"{other}\n")
    output = server.node.run(server.program, "-C", str(other), "-bdf", "-oP", "/tmp/world/second.pid", check=False)
    assert "failed: Address already in use: daemon abandoned" in output + server.logs(), output
    assert port_open(server.node.address)


def rude_clients(server: Angaros) -> None:
    talk = Talk(server.node.address)
    answer = talk.say("X" * 1_000_000)
    assert answer[0] == "5", answer
    talk = Talk(server.node.address)
    talk.socket.sendall(b"NONSENSE\r\n" * 10_000)
    replies = [talk.reply()]
    try:
        while replies[-1]:
            replies.append(talk.reply())
    except ConnectionError:
        pass
    assert replies[0] == "554 SMTP synchronization error", replies[-3:]
    talk = Talk(server.node.address)
    replies = [talk.say("NONSENSE") for _ in range(4)]
    assert replies[-1] == "500 Too many unrecognized commands", replies
    long_line = Talk(server.node.address).send("y" * 1_000_000)
    assert long_line[0] in "25", long_line
    header = Talk(server.node.address)
    for command in ("HELO c.test", "MAIL FROM:<a@load.test>", "RCPT TO:<b@load.test>", "DATA"):
        header.say(command)
    answer = header.say("X-Big: " + "z" * 3_000_000 + "\r\n\r\n.\r\n.")
    assert answer.startswith("552") or answer.startswith("5"), answer
    assert Talk(server.node.address).send("after all that").startswith("250")
    wait_for(lambda: empty_queue(server), 10, f"the spool to be clean: {server.logs()}")


def stalling_client(server: Angaros) -> None:
    good = server.conf.read_text()
    server.conf.write_text("smtp_receive_timeout = 2s\n" + good)
    os.kill(server.pid(), 1)
    time.sleep(1.5)
    talk = Talk(server.node.address)
    talk.say("HELO c.test")
    assert "421" in talk.reply()
    wait_for(lambda: "SMTP command timeout on connection from" in server.logs(), 5, "the log line")
    data = Talk(server.node.address)
    for command in ("HELO c.test", "MAIL FROM:<a@load.test>", "RCPT TO:<b@load.test>", "DATA"):
        data.say(command)
    data.socket.sendall(b"Subject: half\r\n\r\nhalf a mess")
    assert "421" in data.reply()
    wait_for(lambda: not list((server.spool / "input").rglob("*-D")), 5, f"the spool to be clean{server.logs()}")
    server.conf.write_text(good)
    os.kill(server.pid(), 1)


def unwritable_spool(server: Angaros) -> None:
    before = len(delivered(server))
    os.chmod(server.spool / "input", 0o500)
    os.chown(server.spool / "input", 0, 0)
    answer = Talk(server.node.address).send("nowhere to put it")
    assert answer[0] == "4", answer
    wait_for(lambda: "ermission denied" in server.logs(), 5, "the log line")
    os.chown(server.spool / "input", EXIM_UID, EXIM_UID)
    os.chmod(server.spool / "input", 0o750)
    assert Talk(server.node.address).send("now it goes").startswith("250")
    wait_for(lambda: len(delivered(server)) == before + 1, 20, f"delivery{server.logs()}")


def full_disk(server: Angaros) -> None:
    """A spool of 2 MB: first refused by the space check, then without the check by the failing write."""
    server.stop()
    sh("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(server.spool))
    owned(server.spool, EXIM_UID, 0o750)
    server.start()
    answer = Talk(server.node.address).send("x")
    assert answer.lower().startswith("452 space shortage"), answer
    server.stop()
    server.write("check_spool_space = 0\n" + CONF)
    server.start()
    before = len(delivered(server))
    big = "\r\n".join(["w" * 70] * 60_000)
    answer = Talk(server.node.address).send(big)
    assert answer[0] == "4", answer
    wait_for(lambda: "No space left on device" in server.logs(), 5, "the log line")
    assert not list((server.spool / "input").rglob("*-[HD]"))
    assert Talk(server.node.address).send("small enough").startswith("250")
    wait_for(lambda: len(delivered(server)) == before + 1, 20, f"delivery{server.logs()}")


def main(node: Node) -> None:
    Path("/etc/angaros").mkdir()
    Path("/etc/angaros/site.conf").write_text(SITE)
    server = Angaros(node, "check_spool_space = 0\ncheck_spool_inodes = 0\n" + CONF)
    wrong_configurations(server)
    server.start()
    for step in (reload_keeps_the_old_one, port_in_use, rude_clients, stalling_client, unwritable_spool):
        step(server)
        print(step.__name__)
    server.write(CONF)
    full_disk(server)
    server.stop()


if __name__ == "__main__":
    with world() as made:
        node = made.add("ang", "mail.test")
        made.serve_dns()
        main(node)
    print("ok")
