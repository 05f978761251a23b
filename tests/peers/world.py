"""A small world for whole-server tests: its own mounts, users, hosts and DNS; nothing of it is seen outside.

A test file calls `run_scenario("tests.peers.scenario_x", ...)`, which executes that module as a program inside new mount,
network, UTS, PID and IPC namespaces. There, `World` gives every mail server a host of its own (a network namespace on one
bridge).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.peers.packages import Missing, fetch

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
USERS = {
    "Debian-exim": 20101, "postfix": 20102, "postdrop": 20103, "opensmtpd": 20104, "opensmtpq": 20105, "vmail": 20106,
    "alice": 20201, "bob": 20202,
}  # fmt: skip
NETWORK = "192.0.2"


def run_scenario(module: str, *arguments: str, timeout: float = 300) -> str:
    """Run a scenario module in its own world; its output. Fails the test when it fails, skips when a package is missing."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and users of its own")
    for tool, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(tool) is None:
            pytest.skip(f"Debian package {package} is missing")
    if missing := fetch():
        pytest.skip(missing)
    command = ["unshare", "--mount", "--net", "--uts", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run(
        [*command, sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, f"{module} failed:\n{done.stdout[-12000:]}"
    return done.stdout


def sh(*command: str, check: bool = True, **options: object) -> str:
    """Run and return the output (both streams); raises with it on failure."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, errors="replace",
        **options,  # type: ignore[call-overload]
    )  # fmt: skip
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)} -> {done.returncode}\n{done.stdout}")
    return str(done.stdout)


@dataclass
class Node:
    """A host of this world: a network namespace with an address and a name."""

    name: str
    address: str
    hostname: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, *command: str) -> list[str]:
        """The command as run on this host."""
        setup = f'mount --bind /tmp/world/mailname-{self.name} /etc/mailname; hostname {self.hostname}; exec "$@"'
        return ["ip", "netns", "exec", self.name, "unshare", "--uts", "--mount", "sh", "-c", setup, "sh", *command]

    def run(self, *command: str, check: bool = True, **options: object) -> str:
        return sh(*self.command(*command), check=check, **options)

    def spawn(self, *command: str, log: str = "", **options: object) -> subprocess.Popen[bytes]:
        out = open(log or f"/tmp/world/{self.name}.out", "ab")  # noqa: SIM115
        process = subprocess.Popen(
            self.command(*command), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **options  # type: ignore[call-overload]
        )  # fmt: skip
        self.processes.append(process)
        return process


class World:
    """Users, /etc, private /var and /run, a bridge, a name server."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._dns: subprocess.Popen[bytes] | None = None
        sh("mount", "--make-rprivate", "/")
        self._private_tmp()
        Path("/tmp/world").mkdir()
        os.chmod("/tmp", 0o1777)
        self._private_etc()
        sh("mount", "-t", "tmpfs", "tmpfs", "/run")
        for path in ("/var/spool", "/var/log", "/var/mail", "/home"):
            Path(path).mkdir(exist_ok=True)
            sh("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
        os.chmod("/var/mail", 0o1777)
        for name in ("alice", "bob"):
            home = Path("/home") / name
            home.mkdir()
            os.chown(home, USERS[name], USERS[name])
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "br0", "type", "bridge")
        sh("ip", "addr", "add", f"{NETWORK}.1/24", "dev", "br0")
        sh("ip", "link", "set", "br0", "up")

    def _private_tmp(self) -> None:
        """Empty, but for this checkout when it lies there."""
        here = REPOSITORY.is_relative_to("/tmp")
        if here:
            sh("mount", "--bind", str(REPOSITORY), "/mnt")
        sh("mount", "-t", "tmpfs", "tmpfs", "/tmp")
        if here:
            REPOSITORY.mkdir(parents=True)
            sh("mount", "--move", "/mnt", str(REPOSITORY))
            os.chdir(REPOSITORY)

    def _private_etc(self) -> None:
        shutil.copytree("/etc", "/tmp/world/etc", symlinks=True)
        etc = Path("/tmp/world/etc")
        passwd, group = (
            "".join(line for line in (etc / name).read_text().splitlines(True) if line.split(":")[0] not in USERS)
            for name in ("passwd", "group")
        )
        for name, number in USERS.items():
            home = f"/home/{name}" if number > 20200 else "/nonexistent"
            passwd += f"{name}:x:{number}:{number}:{name.title()}:{home}:/bin/sh\n"
            group += f"{name}:x:{number}:\n"
        files = {
            "passwd": passwd, "group": group, "hosts": "127.0.0.1 localhost\n", "mailname": "unset.test\n",
            "resolv.conf": f"nameserver {NETWORK}.1\noptions timeout:1 attempts:2\n",
            "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        }  # fmt: skip
        for name, content in files.items():
            path = etc / name
            if path.is_symlink():
                path.unlink()
            path.write_text(content)
        (etc / "exim4").mkdir(exist_ok=True)
        shutil.rmtree(etc / "angaros", ignore_errors=True)
        sh("mount", "--bind", "/tmp/world/etc", "/etc")

    def add(self, name: str, hostname: str) -> Node:
        """A new host on the bridge."""
        address = f"{NETWORK}.{10 * (len(self.nodes) + 1)}"
        node = Node(name, address, hostname)
        Path(f"/tmp/world/mailname-{name}").write_text(hostname + "\n")
        sh("ip", "netns", "add", name)
        sh("ip", "link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        sh("ip", "link", "set", f"v-{name}", "master", "br0", "up")
        sh("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        sh("ip", "-n", name, "link", "set", "eth0", "up")
        sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "-n", name, "route", "add", "default", "via", f"{NETWORK}.1")
        self.nodes[name] = node
        return node

    def serve_dns(self) -> None:
        """A name server for all hosts: A, MX (to itself) and PTR of each."""
        table = ",".join(f"{n.hostname}={n.address}" for n in self.nodes.values())
        self._dns = subprocess.Popen([sys.executable, "-m", "tests.peers.nameserver", f"{NETWORK}.1", table], cwd=REPOSITORY)
        wait_for(lambda: self._dns_answers(), 10, "the name server")

    def _dns_answers(self) -> bool:
        import dns.message
        import dns.query

        query = dns.message.make_query(next(iter(self.nodes.values())).hostname, "MX")
        try:
            dns.query.udp(query, f"{NETWORK}.1", timeout=0.2)
        except Exception:
            return False
        return True

    def close(self) -> None:
        for node in self.nodes.values():
            for process in node.processes:
                if process.poll() is None:
                    process.terminate()


@contextmanager
def world() -> Iterator[World]:
    """The world of a scenario; exit status 77 and the reason when a package is missing."""
    try:
        made = World()
        try:
            yield made
        finally:
            made.close()
    except Missing as error:
        print(error)
        sys.stdout.flush()
        os._exit(77)


def wait_for(condition: object, seconds: float, what: str | Callable[[], str]) -> None:
    """Until `condition()` is true; fails after `seconds`, and says what was waited for."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what() if callable(what) else what}")
        time.sleep(0.05)


def port_open(address: str, port: int = 25) -> bool:
    """Whether an SMTP server greets there."""
    try:
        with socket.create_connection((address, port), 1) as connection:
            connection.settimeout(3)
            greeting = connection.recv(200)
            connection.sendall(b"QUIT\r\n")
            connection.recv(100)
            return greeting.startswith(b"220")
    except OSError:
        return False


def messages(directory: str) -> Sequence[str]:
    """Contents of a Maildir's new/."""
    return [path.read_text("latin-1") for path in sorted(Path(directory, "new").glob("*"))]
