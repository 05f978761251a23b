"""Real database servers from Debian's packages, on loopback, started for a module of tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from angaros.model.scope import Scope
from angaros.net.blocking import BlockingWaiter
from tests.lookups.support import make_scope

PG_BIN = "/usr/lib/postgresql/15/bin"
DEFAULTS: dict[str, Any] = {
    "mysql_servers": None,
    "pgsql_servers": None,
    "redis_servers": None,
    "ldap_default_servers": None,
    "ldap_version": -1,
    "ldap_start_tls": False,
    "ldap_require_cert": None,
    "ldap_ca_cert_file": None,
    "ldap_ca_cert_dir": None,
    "ldap_cert_file": None,
    "ldap_cert_key": None,
    "ldap_cipher_suite": None,
}


def need(program: str, package: str) -> str:
    """Path of a program, or skip."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:{PG_BIN}")
    if path is None:
        pytest.skip(f"Debian package {package} is missing")
    return path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not start")


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def as_user(name: str, *command: str) -> list[str]:
    """Servers that refuse to run as root run as their own user."""
    return ["runuser", "-u", name, "--", *command] if os.getuid() == 0 else list(command)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def scope_for() -> Callable[..., Scope]:
    """A scope with real waiting and the given main options."""

    def make(**main: Any) -> Scope:
        scope = make_scope(main={**DEFAULTS, **main})
        scope.services.waiter = BlockingWaiter()
        return scope

    return make


@pytest.fixture(scope="module")
def open_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that server users may reach (pytest's own are private)."""
    path = Path(f"/tmp/angaros-lookups-{os.getpid()}-{tmp_path_factory.mktemp('x').name}")
    path.mkdir(mode=0o755, exist_ok=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def start(command: list[str], directory: Path) -> subprocess.Popen[bytes]:
    with open(directory / "log", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="module")
def redis_server(open_directory: Path) -> Iterator[int]:
    program = need("redis-server", "redis-server")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "secret"]
    process = start(
        [program, *options, "--unixsocket", str(open_directory / "sock"), "--dir", str(open_directory)], open_directory
    )
    try:
        wait_for(lambda: answers(port), "redis-server")
        yield port
    finally:
        stop(process)


@pytest.fixture(scope="module")
def redis_cluster(open_directory: Path) -> Iterator[list[int]]:
    program = need("redis-server", "redis-server")
    cli = need("redis-cli", "redis-tools")
    ports = [free_port() for _ in range(3)]
    processes = []
    try:
        for port in ports:
            directory = open_directory / str(port)
            directory.mkdir()
            bus = free_port()
            options = ["--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", str(bus)]
            processes.append(start([program, *options, "--save", "", "--dir", str(directory)], directory))
        for port in ports:
            wait_for(lambda port=port: answers(port), "redis-server")  # type: ignore[misc]
        nodes = [f"127.0.0.1:{port}" for port in ports]
        subprocess.run([cli, "--cluster", "create", *nodes, "--cluster-yes"], check=True, stdout=subprocess.DEVNULL)

        def settled() -> bool:
            command = [cli, "-p", "%d", "cluster", "info"]
            infos = [
                subprocess.run([part % port if part == "%d" else part for part in command], capture_output=True) for port in ports
            ]
            return all(b"cluster_state:ok" in info.stdout for info in infos)

        wait_for(settled, "the cluster")
        yield ports
    finally:
        for process in processes:
            stop(process)


@pytest.fixture(scope="module")
def postgres(open_directory: Path) -> Iterator[tuple[int, Path]]:
    initdb = need("initdb", "postgresql")
    server = need("postgres", "postgresql")
    data = open_directory / "pg"
    data.mkdir()
    if os.getuid() == 0:
        shutil.chown(data, "postgres")
    command = as_user("postgres", initdb, "-D", str(data / "data"), "-U", "exim", "--auth=trust", "-E", "UTF8", "--no-sync")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
    port = free_port()
    process = start(as_user("postgres", server, "-D", str(data / "data"), "-p", str(port), "-k", str(data), "-F"), open_directory)
    try:
        ready = as_user("postgres", need("pg_isready", "postgresql-client"), "-q", "-h", "127.0.0.1", "-p", str(port))
        wait_for(lambda: subprocess.run(ready, cwd="/").returncode == 0, "postgres")
        yield port, data
    finally:
        stop(process)


@pytest.fixture(scope="module")
def mariadb(open_directory: Path) -> Iterator[tuple[int, Path]]:
    install = need("mariadb-install-db", "mariadb-server")
    server = need("mariadbd", "mariadb-server")
    client = need("mariadb", "mariadb-client")
    data = open_directory / "my"
    data.mkdir()
    user = "mysql" if os.getuid() == 0 else os.environ.get("USER", "nobody")
    if os.getuid() == 0:
        shutil.chown(data, user)
    common = ["--no-defaults", f"--datadir={data}", f"--user={user}"]
    subprocess.run([install, *common, "--skip-test-db"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port, sock = free_port(), data / "sock"
    process = start(
        [server, *common, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={sock}", f"--pid-file={data}/pid"],
        open_directory,
    )
    try:
        wait_for(sock.exists, "mariadbd")
        sql = "CREATE DATABASE test; CREATE USER exim@localhost IDENTIFIED BY 'pass'; GRANT ALL ON test.* TO exim@localhost;"
        subprocess.run([client, "--no-defaults", f"--socket={sock}", "-u", "root", "-e", sql], check=True)
        yield port, sock
    finally:
        stop(process)


SLAPD_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/pid
sizelimit unlimited
TLSCertificateFile {directory}/cert.pem
TLSCertificateKeyFile {directory}/key.pem
database mdb
suffix "o=base"
rootdn "cn=root,o=base"
rootpw secret
directory {directory}/data
maxsize 10485760
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""
LDIF = """\
dn: o=base
objectClass: organization
o: base

dn: uid=fred,o=base
objectClass: inetOrgPerson
uid: fred
cn: Fred Smith
sn: Smith
mail: fred@one.example
mail: f,s@two.example
description: say "hi"\\there
userPassword: fredpass

dn: uid=mary,o=base
objectClass: inetOrgPerson
uid: mary
cn: Mary (Mac*)
sn: Smith
mail: mary@one.example

dn: ou=elsewhere,o=base
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:{port}/uid=mary,o=base
"""


@pytest.fixture(scope="module")
def slapd(open_directory: Path) -> Iterator[tuple[int, int, Path]]:
    """Ports of ldap and ldaps, and the directory with `ldapi` and `cert.pem`."""
    program = need("slapd", "slapd")
    add = need("slapadd", "slapd")
    openssl = need("openssl", "openssl")
    directory = open_directory
    (directory / "data").mkdir()
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    keys = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *keys, *subject], check=True, capture_output=True
    )
    port, secure = free_port(), free_port()
    config = directory / "slapd.conf"
    config.write_text(SLAPD_CONF.format(directory=directory))
    ldif = directory / "data.ldif"
    ldif.write_text(LDIF.format(port=port))
    subprocess.run([add, "-f", str(config), "-l", str(ldif)], check=True, capture_output=True)
    urls = f"ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{secure}/ ldapi://{str(directory / 'ldapi').replace('/', '%2F')}/"
    process = start([program, "-f", str(config), "-h", urls, "-d", "0"], directory)
    try:
        wait_for(lambda: answers(port), "slapd")
        yield port, secure, directory
    finally:
        stop(process)
