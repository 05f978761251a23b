"""Rows of the command line that are about a daemon: each is started, asked over its socket, and ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.net.test_tls import Made
from tests.rows.commands import CONFIG, MARKS, PARTS, ROUTERS

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root: starts daemons in a mount namespace of their own"),
]
EXIM = Path(sys.executable).with_name("exim")
PATIENCE = 30.0
"""Seconds for a daemon to start or to end, on a loaded machine."""


class Place:
    """A configuration, and daemons that run on it."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        directory.chmod(0o755)
        for name in ("log", "spool", "box"):
            (directory / name).mkdir()
            os.chown(directory / name, 65534, 65534)
        self.ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ready.bind(str(directory / "ready"))
        self.ready.settimeout(PATIENCE)
        self.pids: list[int] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def configure(self, main: str = "", *, port: int = 1, **parts: str) -> Path:
        text = CONFIG
        for part in PARTS:
            known = {"main": f"acl_smtp_rcpt = ok\n{main}", "router": ROUTERS, "retry": "* * F,1h,1m", **parts}
            value = known.get(part, "")
            text = text.replace(f"@{MARKS.get(part, part.upper())}@", value)
        for name, value in {"dir": str(self.dir), "user": "nobody", "group": "65534", "port": str(port)}.items():
            text = text.replace(f"{{{name}}}", value)
        path = self.dir / "exim.conf"
        path.write_text(text)
        path.chmod(0o644)
        return path

    def start(self, *arguments: str, main: str = "", stdin: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """The program with these arguments, in a mount namespace where /run is its own; returns when it serves."""
        command = [
            "sh",
            "-c",
            'mount -t tmpfs none /run && exec "$@"',
            "sh",
            str(EXIM),
            "-C",
            str(self.configure(main)),
            *arguments,
        ]
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.dir / "ready")}
        with (self.dir / "err").open("ab") as errors:
            process = subprocess.Popen(["unshare", "-m", *command], env=environment, stdin=stdin, stdout=errors, stderr=errors)
        self.processes.append(process)
        while True:
            words = dict(line.split("=", 1) for line in self.ready.recv(1000).decode().splitlines())
            if words.get("READY") == "1":
                self.pids.append(int(words.get("MAINPID", process.pid)))
                return process

    def stop(self) -> None:
        for pid in self.pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            os.kill(pid, signal.SIGTERM)
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            ended.poll(PATIENCE * 1000)
            os.close(descriptor)
        for process in self.processes:
            process.wait(PATIENCE)
        self.ready.close()

    def text(self, name: str) -> str:
        path = self.dir / name
        return path.read_text("latin-1") if path.exists() else ""


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as directory:
        made = Place(Path(directory))
        try:
            yield made
        finally:
            made.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def banner(port: int, wrap: Callable[[socket.socket], socket.socket] = lambda channel: channel) -> str:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as channel:
        secured = wrap(channel)
        text = secured.recv(1000).decode()
        secured.sendall(b"QUIT\r\n")
        return text


def test_bdf_oX_oP_oY(place: Place) -> None:
    first, second = free_port(), free_port()
    main = f"notifier_socket = {place.dir}/spool/notifier\n"
    daemon = place.start(
        "-bdf", "-oX", f"<; [127.0.0.1]:{first} ; [127.0.0.1]:{second}", "-oP", f"{place.dir}/spool/own.pid", main=main
    )
    assert daemon.poll() is None
    assert int(place.text("spool/own.pid")) == place.pids[0]
    for port in (first, second):
        assert banner(port).startswith("220 here.test ESMTP")
    assert (place.dir / "spool" / "notifier").is_socket()
    ports = ",".join(str(port) for port in (first, second))
    assert f"listening for SMTP on [127.0.0.1]:{{{ports}}}" in place.text("log/mainlog")


def test_oY_makes_no_notifier_socket(place: Place) -> None:
    place.start("-bdf", "-oX", str(free_port()), "-oY", main=f"notifier_socket = {place.dir}/spool/notifier\n")
    assert not (place.dir / "spool" / "notifier").exists()


def test_bd_goes_into_the_background(place: Place) -> None:
    port = free_port()
    started = place.start("-bd", "-oX", f"127.0.0.1.{port}", "-oP", f"{place.dir}/spool/own.pid")
    assert started.wait(PATIENCE) == 0
    assert int(place.text("spool/own.pid")) == place.pids[0] != started.pid
    assert banner(port).startswith("220 here.test")


def test_q_with_an_interval_and_named_queues(place: Place) -> None:
    place.start("-bdf", "-oX", str(free_port()), "-q30m", "-qGslow/2h")
    log = place.text("log/mainlog")
    assert "-q30m" in log
    assert "-qGslow/2h" in log


def test_q_with_an_interval_alone_does_not_listen(place: Place) -> None:
    place.start("-q1h", "-oP", f"{place.dir}/spool/own.pid")
    assert "not listening for SMTP" in place.text("log/mainlog")


def test_tls_on_connect(place: Place) -> None:
    made = Made(place.dir)
    for name in (made.chain, made.keyfile):
        os.chown(name, 65534, 65534)
    port = free_port()
    main = f"tls_certificate = {made.chain}\ntls_privatekey = {made.keyfile}\n"
    text = place.configure()
    text.write_text(text.read_text().replace("tls_advertise_hosts =\n", ""))
    place.start("-bdf", "-tls-on-connect", "-oX", f"127.0.0.1.{port}", main=main)
    context = ssl.create_default_context(cafile=made.cafile)
    said = banner(port, lambda channel: context.wrap_socket(channel, server_hostname="server1.example.com"))
    assert said.startswith("220 here.test")


@pytest.mark.parametrize("arguments", [["-bw"], ["-bw", "10m"]])
def test_bw_takes_the_socket_of_inetd(place: Place, arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place.start(*arguments, stdin=listener)
        assert banner(listener.getsockname()[1]).startswith("220 here.test")


def test_atrn_fetches_the_mail_of_our_domains(place: Place) -> None:
    """The provider is a socket here; after ATRN it is the client."""
    with socket.create_server(("127.0.0.1", 0)) as provider:
        port = provider.getsockname()[1]
        provider.settimeout(PATIENCE)
        conf = place.configure(port=port, auth=CLIENT_AUTH, transport="  hosts_try_auth = *")
        command = [str(EXIM), "-C", str(conf), "-odf", "-atrn", "far.test", "here.test"]
        customer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            channel, _ = provider.accept()
            channel.settimeout(PATIENCE)
            with channel, channel.makefile("rb") as lines:
                heard = _provide(channel, lines)
        finally:
            said = customer.communicate(timeout=PATIENCE)[0].decode()
    assert "ATRN here.test" in heard, said
    assert "Subject: for the customer" in place.text("box/all"), (heard, said, place.text("log/mainlog"))


CLIENT_AUTH = """
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^user^secret
"""
TURNED = [
    b"EHLO provider.test\r\n", b"MAIL FROM:<s@far.test>\r\n", b"RCPT TO:<r@here.test>\r\n", b"DATA\r\n",
    b"Subject: for the customer\r\n\r\nbody\r\n.\r\n", b"QUIT\r\n",
]  # fmt: skip


def _provide(channel: socket.socket, lines: Any) -> list[str]:
    """The provider's side; the commands that it heard."""
    heard: list[str] = []
    channel.sendall(b"220 provider.test\r\n")
    for raw in lines:
        line = raw.decode().rstrip()
        heard.append(line)
        if line.startswith("EHLO"):
            channel.sendall(b"250-provider.test\r\n250-AUTH PLAIN\r\n250 ATRN\r\n")
        elif line.startswith("AUTH"):
            channel.sendall(b"235 good\r\n")
        elif line.startswith("ATRN"):
            channel.sendall(b"250 turning\r\n")
            break
        else:
            channel.sendall(b"250 OK\r\n")
    for command in [b"", *TURNED]:
        channel.sendall(command)
        while (answer := lines.readline()) and answer[3:4] == b"-":
            heard.append(answer.decode().rstrip())
        heard.append(answer.decode().rstrip())
    return heard
