"""A thousand destinations at once, and slow and dead ones among them, on loopback addresses.

`python -m tests.peers.scenario_hosts together|run|accepted`

`together`: no host answers the end of the data until 1,000 connections are open. `run`, `accepted`: 950 good hosts; 25 that are
dead (SYNs vanish), 25 that greet nobody before all mail for the good ones is there; each of these 50 has many messages, and they
come first. By a queue run of the command line, or as the daemon accepts them. Nothing depends on how fast the machine is: a
server that held up the others would never come to an end. Figures are printed for the curious.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import smtplib
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.peers.scenario_debian import SITE
from tests.peers.servers import Angaros
from tests.peers.world import BIN, Node, sh, wait_for, world

GOOD, MUTE, DEAD = 950, 25, 25
MANY = 20
"""Messages for each host that does not answer."""
DAEMON_PORT = 2525
PATIENCE = 180
"""Seconds after which a scenario has failed."""
CONF = """
primary_hostname = many.test
@HOUSE@
daemon_smtp_ports = 2525
local_interfaces = 127.0.0.1
tls_advertise_hosts =
acl_smtp_rcpt = accept
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
begin routers
address:
  driver = manualroute
  route_list = * "${tr{${extract{1}{.}{$domain}}}{-}{.}}"
  self = send
  transport = smtp
begin transports
smtp:
  driver = smtp
  connect_timeout = 10m
  command_timeout = 10m
begin retry
* * F,2h,10m
"""


class Here(Node):
    """The host that all others are seen from: the world's own network namespace."""

    def command(self, *command: str) -> list[str]:
        return list(command)


class Sink:
    """All SMTP servers of the world: 127.1.x.y are good, 127.2.x.y mute until `greet` is set."""

    def __init__(self, together: int) -> None:
        self.together = together
        self.loop = asyncio.new_event_loop()
        self.greet, self.answer = asyncio.Event(), asyncio.Event()
        self.taken: Counter[str] = Counter()
        self.open = self.most = self.at_end = 0
        threading.Thread(target=self._serve, daemon=True).start()
        wait_for(lambda: self.loop.is_running(), 10, "the sink")

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self._connection, "0.0.0.0", 25, backlog=4096))
        self.loop.run_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            with contextlib.suppress(ConnectionError):
                await self._converse(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0]
        if address.startswith("127.2."):
            await self.greet.wait()
        writer.write(b"220 sink ESMTP\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                while (await reader.readline()) not in (b".\r\n", b""):
                    pass
                await self._end_of_data(address)
            writer.write({b"EHLO": b"250 sink\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n"))
            if verb == b"QUIT":
                return

    async def _end_of_data(self, address: str) -> None:
        self.taken[address] += 1
        self.at_end += 1
        if self.at_end >= self.together:
            self.answer.set()
        await self.answer.wait()

    def let_greet(self) -> None:
        self.loop.call_soon_threadsafe(self.greet.set)

    def good(self) -> int:
        """How many of the good hosts have their mail."""
        return sum(address.startswith("127.1.") for address in list(self.taken))

    def mute(self) -> int:
        """Messages that mute hosts have taken."""
        return sum(count for address, count in list(self.taken.items()) if address.startswith("127.2."))


def addresses(network: str, count: int) -> list[str]:
    """user@127-1-0-7.test and so on."""
    return [f"user@{network}-{number // 250}-{number % 250 + 1}.test" for number in range(count)]


def recipients() -> list[str]:
    """Of a message each; those that nobody answers come first."""
    dead = [f"user@198-51-100-{number + 1}.test" for number in range(DEAD)]
    return (dead + addresses("127-2", MUTE)) * MANY + addresses("127-1", GOOD)


def queue(server: Angaros, to: list[str]) -> None:
    """Put a message for each into the queue."""
    batch = "".join(f"MAIL FROM:<a@many.test>\nRCPT TO:<{one}>\nDATA\nSubject: x\n\nbody\n.\n" for one in to)
    server.exim("-odq", "-bS", input=batch)
    assert server.queue_count() == len(to), server.logs()


def send(server: Angaros, to: list[str]) -> None:
    """Let the daemon accept a message for each."""
    with smtplib.SMTP("127.0.0.1", DAEMON_PORT, timeout=60) as client:
        for one in to:
            client.sendmail("a@many.test", [one], "Subject: x\r\n\r\nbody\r\n")


def memory(server: Angaros) -> int:
    """MiB of the largest process of ours."""
    found = sh("ps", "-ww", "-eo", "rss=,args=")
    return max(int(line.split()[0]) for line in found.splitlines() if str(server.conf) in line) // 1024


def runner(server: Angaros) -> subprocess.Popen[bytes]:
    return server.node.spawn(server.program, "-C", str(server.conf), "-q")


def together(server: Angaros) -> None:
    """A thousand messages, a thousand hosts, a thousand connections."""
    to = addresses("127-1", 1000)
    sink = Sink(together=len(to))
    queue(server, to)
    started = time.monotonic()
    process = runner(server)
    wait_for(lambda: len(sink.taken) == len(to), PATIENCE, lambda: f"all connections: {sink.most}")
    print(f"{sink.most} connections at once after {time.monotonic() - started:.1f} s, {memory(server)} MiB")
    process.wait(PATIENCE)
    assert set(sink.taken.values()) == {1}
    assert server.queue_count() == 0


def others(server: Angaros, accepted: bool) -> None:
    """Mail for good hosts arrives while slow and dead ones have all that there is for them in hand."""
    to = recipients()
    sink = Sink(together=1)
    if accepted:
        server.start("-q1h", port=DAEMON_PORT)
        sender = threading.Thread(target=send, args=(server, to), daemon=True)
        sender.start()
    else:
        queue(server, to)
        runner(server)
    started = time.monotonic()
    wait_for(lambda: sink.good() == GOOD, PATIENCE, lambda: f"the good hosts: {sink.good()}\n{server.logs()}")
    print(f"{GOOD} good hosts served after {time.monotonic() - started:.1f} s, {memory(server)} MiB")
    assert sink.mute() == 0
    assert all(process.poll() is None for process in server.node.processes), "not at the others any more"
    if accepted:
        sender.join(PATIENCE)
        told = sh(str(BIN / "exiwhat"), "-C", str(server.conf))
        assert re.search(r"daemon\(4\.99\S*\): .*-q1h.*listening", told), told
        assert 0 < len(re.findall(r"delivering \S+-\S+-\S+\n", told)) <= (DEAD + MUTE) * MANY, told
        waiting = server.exim("-be", "$queue_size").strip()
        assert waiting == server.exim("-bpc").strip() == str((DEAD + MUTE) * MANY)
    sink.let_greet()
    wait_for(lambda: sink.mute() == MUTE * MANY, PATIENCE, lambda: f"the mute hosts: {sink.mute()}\n{server.logs()}")
    wait_for(lambda: server.queue_count() == DEAD * MANY, PATIENCE, "what is left for the dead hosts")
    assert max(sink.taken[one] for one in sink.taken if one.startswith("127.1.")) == 1, "delivered twice"


def dead_network() -> None:
    """What is sent to 198.51.100.0/24 vanishes."""
    sh("ip", "link", "add", "dead0", "type", "veth", "peer", "name", "dead1")
    for name in ("dead0", "dead1"):
        sh("ip", "link", "set", name, "arp", "off", "up")
    sh("ip", "route", "add", "198.51.100.0/24", "dev", "dead0")


if __name__ == "__main__":
    with world():
        dead_network()
        Path("/etc/angaros").mkdir()
        Path("/etc/angaros/site.conf").write_text(SITE)
        here = Here("many", "127.0.0.1", "many.test")
        subject = Angaros(here, CONF)
        if sys.argv[1] == "together":
            together(subject)
        else:
            others(subject, sys.argv[1] == "accepted")
        print("ok")
        sys.stdout.flush()
        for process in here.processes:  # some are at the dead hosts still
            process.kill()
