"""The mail servers of a test world: Angaros, Debian's Exim, Postfix and OpenSMTPD. Each listens on port 25 of its node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.peers import packages
from tests.peers.world import BIN, USERS, Node, World, port_open, sh, wait_for

EXIM_UID = USERS["Debian-exim"]


def owned(path: Path, uid: int, mode: int = 0o755) -> Path:
    """A directory of a user's."""
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, uid, uid)
    os.chmod(path, mode)
    return path


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key, readable by everybody (it is a test)."""
    directory.mkdir(parents=True, exist_ok=True)
    cert, key = directory / f"{name}.crt", directory / f"{name}.key"
    sh(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-addext", f"subjectAltName=DNS:{name}",
        "-keyout", str(key), "-out", str(cert),
    )  # fmt: skip
    os.chmod(key, 0o644)
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")  # of this world: its servers are trusted
    if authorities.exists():
        authorities.write_text(authorities.read_text() + cert.read_text())
    return cert, key


def private_tree(node: Node) -> Path:
    """Where a server of this node keeps its files."""
    return owned(Path("/srv" if os.access("/srv/world", os.W_OK) else "/tmp/world") / f"server-{node.name}", 0)


HOUSE = """exim_path = @EXIM@
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = @SPOOL@
log_file_path = @LOG@/%slog
pid_file_path = @ROOT@/exim.pid
keep_environment =
host_lookup ="""
"""`@HOUSE@` in a configuration: where a server of these worlds lives."""
MAILDIR = """maildir:
  driver = appendfile
  directory = @MAIL@/all
  maildir_format
  create_directory"""
"""`@MAILDIR@`: the head of a transport for everybody's mail; more of its options may follow."""


class EximLike:
    """A program that takes Exim's configuration and command line. `conf` is the text of its configuration, in which `@HOUSE@`,
    `@MAILDIR@`, `@EXIM@`, `@ROOT@`, `@SPOOL@`, `@LOG@`, `@MAIL@` stand for what this server has."""

    program: str

    def __init__(self, node: Node, conf: str) -> None:
        self.node = node
        self.root = private_tree(node)
        self.spool = owned(self.root / "spool", EXIM_UID, 0o750)
        self.log = owned(self.root / "log", EXIM_UID, 0o750)
        self.mail = owned(self.root / "mail", USERS["vmail"])
        self.conf = self.root / "exim.conf"
        self.write(conf)
        self.daemon: subprocess.Popen[bytes] | None = None

    def write(self, conf: str) -> None:
        conf = conf.replace("@HOUSE@", HOUSE).replace("@MAILDIR@", MAILDIR)
        for name in ("root", "spool", "log", "mail"):
            conf = conf.replace(f"@{name.upper()}@", str(getattr(self, name)))
        self.conf.write_text(conf.replace("@EXIM@", self.program))
        trusted = Path("/etc/exim4/trusted_configs")
        old = trusted.read_text() if trusted.exists() else ""
        if str(self.conf) not in old:
            trusted.write_text(old + f"{self.conf}\n")

    def exim(self, *arguments: str, check: bool = True, **options: object) -> str:
        return self.node.run(self.program, "-C", str(self.conf), *arguments, check=check, **options)

    def start(self, *arguments: str, port: int = 25) -> None:
        arguments = arguments or ("-q1h",)
        self.daemon = self.node.spawn(self.program, "-C", str(self.conf), "-bdf", *arguments, log=str(self.root / "out"))
        wait_for(lambda: port_open(self.node.address, port), 20, lambda: f"{self.node.name} on port {port}\n{self.logs()}")

    def stop(self, wait: float = 30) -> None:
        if self.daemon is not None:
            pid = self.pid()
            if pid:
                os.kill(pid, 15)
            self.daemon.terminate()
            self.daemon.wait(wait)
            self.daemon = None

    def pid(self) -> int:
        path = self.root / "exim.pid"
        return int(path.read_text()) if path.exists() and path.read_text().strip() else 0

    def logs(self) -> str:
        found = [*self.log.glob("*"), self.root / "out"]
        return "\n".join(f"--- {p.name}\n{p.read_text('latin-1')[-3000:]}" for p in found if p.is_file())

    def main_log(self) -> str:
        return (self.log / "mainlog").read_text("latin-1")

    def queue_count(self) -> int:
        return len(list((self.spool / "input").rglob("*-H")))


class Angaros(EximLike):
    """The program under test."""

    program = str(BIN / "exim")


class DebianExim(EximLike):
    """Debian's exim4-daemon-heavy."""

    def __init__(self, node: Node, conf: str) -> None:
        self.program = str(packages.exim() / "usr/sbin/exim4")
        super().__init__(node, conf)


class Postfix:
    """Debian's Postfix with everything under one directory; accepts for its own host name, delivers to Maildirs in /home."""

    def __init__(self, node: Node, world: World, **settings: str) -> None:
        self.node = node
        self.tree = packages.postfix()
        self.root = private_tree(node)
        self.conf = self.root / "conf"
        for name in ("queue", "data", "conf"):
            (self.root / name).mkdir(exist_ok=True)
        os.chown(self.root / "data", USERS["postfix"], USERS["postfix"])
        for program in ("postdrop", "postqueue"):
            path = self.tree / "usr/sbin" / program
            os.chown(path, 0, USERS["postdrop"])
            os.chmod(path, 0o2555)
        Path("/usr/lib/postfix").mkdir(exist_ok=True)
        sh("mount", "--bind", str(self.tree / "usr/lib/postfix"), "/usr/lib/postfix")
        Path("/etc/postfix").mkdir(exist_ok=True)
        Path("/etc/postfix/main.cf").write_text(f"alternate_config_directories = {self.conf}\n")
        self._configure(settings)

    def _configure(self, settings: dict[str, str]) -> None:
        tree, root = self.tree, self.root
        cert, key = certificate(root / "tls", self.node.hostname)
        main = {
            "compatibility_level": "3.6", "queue_directory": f"{root}/queue",
            "data_directory": f"{root}/data",
            "daemon_directory": "/usr/lib/postfix/sbin", "command_directory": f"{tree}/usr/sbin",
            "shlib_directory": "/usr/lib/postfix",
            "mail_owner": "postfix", "setgid_group": "postdrop", "myhostname": self.node.hostname, "myorigin": "$myhostname",
            "mydestination": "$myhostname, localhost", "inet_interfaces": "all", "inet_protocols": "ipv4",
            "mynetworks": "0.0.0.0/0",
            "home_mailbox": "Maildir/", "alias_maps": "", "alias_database": "", "biff": "no",
            "smtpd_tls_cert_file": str(cert), "smtpd_tls_key_file": str(key), "smtpd_tls_security_level": "may",
            "smtp_tls_security_level": "may", "smtpd_tls_loglevel": "1", "smtp_tls_loglevel": "1",
            "smtpd_tls_received_header": "yes", "meta_directory": str(self.conf),
            **settings,
        }  # fmt: skip
        main["maillog_file"] = f"{root}/maillog"
        main["maillog_file_prefixes"] = str(root)
        (self.conf / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in main.items()))
        master = (tree / "usr/share/postfix/master.cf.dist").read_text()
        master = re.sub(r"(?m)^(\S+\s+\S+\s+\S+\s+\S+\s+)y(\s)", r"\1n\2", master)
        (self.conf / "master.cf").write_text(master)
        for name in ("usr/share/postfix/dynamicmaps.cf", "etc/postfix/postfix-files"):
            shutil.copy(tree / name, self.conf)

    def start(self) -> None:
        self.node.run(str(self.tree / "usr/sbin/postfix"), "-c", str(self.conf), "start")
        wait_for(lambda: port_open(self.node.address), 20, "Postfix")

    def command(self, name: str, *arguments: str) -> str:
        return self.node.run(str(self.tree / "usr/sbin" / name), *arguments)

    def sendmail(self, text: str, *arguments: str) -> str:
        return self.node.run(str(self.tree / "usr/sbin/sendmail"), "-C", str(self.conf), *arguments, input=text)

    def logs(self) -> str:
        path = self.root / "maillog"
        return path.read_text("latin-1")[-4000:] if path.exists() else ""


class OpenSMTPD:
    """Debian's OpenSMTPD; accepts for its own host name, delivers to Maildirs in /home, relays everything else by MX."""

    CONF = """
queue ttl 1h
smtp max-message-size "50M"
listen on 0.0.0.0 port 25 hostname {name}
action "in" maildir "~/Maildir"
action "out" relay helo {name}
match from any for domain "{name}" action "in"
match from any for any action "out"
"""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.tree = packages.opensmtpd()
        self.root = private_tree(node)
        for path in ("/usr/libexec/opensmtpd", "/var/lib/opensmtpd"):  # compiled in
            Path(path).mkdir(parents=True, exist_ok=True)
        sh("mount", "--bind", str(self.tree / "usr/libexec/opensmtpd"), "/usr/libexec/opensmtpd")
        sh("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/var/lib/opensmtpd")
        Path("/var/lib/opensmtpd/empty").mkdir()
        control = self.tree / "usr/sbin/smtpctl"
        os.chown(control, 0, USERS["opensmtpq"])
        os.chmod(control, 0o2555)
        self.conf = self.root / "smtpd.conf"
        self.conf.write_text(self.CONF.format(name=node.hostname))
        self.conf.chmod(0o600)

    def start(self) -> None:
        self.node.spawn(str(self.tree / "usr/sbin/smtpd"), "-d", "-v", "-f", str(self.conf), log=str(self.root / "out"))
        wait_for(lambda: port_open(self.node.address), 20, lambda: "OpenSMTPD\n" + self.logs())

    def maildir(self, user: str) -> Path:
        return Path("/home") / user / "Maildir"

    def logs(self) -> str:
        return (self.root / "out").read_text("latin-1")[-4000:]
