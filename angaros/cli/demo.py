"""`angaros demo`: the embedded default behind `make run`. No root, ports above 1024, everything under one directory."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import secrets
import socket
import sys
from pathlib import Path

DEMO_USER = "demo"
SUBDIRECTORIES = ("spool", "log", "mail", "tls")


def _hostname() -> str:
    name = socket.gethostname()
    return name if "." in name else f"{name}.localdomain"


def make_certificate(directory: Path, hostname: str) -> None:
    """A self-signed certificate for ten years; the key is readable by us alone."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(hostname), x509.DNSName("localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(directory / "cert.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _write(directory / "key.pem", private, 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)


def _password(directory: Path) -> str:
    """The demo user's password: made once, kept for the owner's eyes, stored for the server as a hash."""
    kept = directory / "demo-password"
    if not kept.exists():
        password = secrets.token_urlsafe(9)
        digest = hashlib.sha256(f"{DEMO_USER}:{password}".encode()).hexdigest()
        _write(kept, password.encode() + b"\n", 0o600)
        _write(directory / "users", f"{DEMO_USER}: {digest}\n".encode(), 0o600)
    return kept.read_text().strip()


POWERLESS = "nobody"
"""Whom the server runs as when root starts it: mail is never handled as root."""


class Unfit(Exception):
    """`str()` says why the server cannot run here."""


def _runner(directory: Path) -> pwd.struct_passwd:
    """The user that the server runs as; root's choice must be able to get into the directory."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.getuid())
    for parent in (directory, *directory.parents):
        if parent.exists() and not parent.stat().st_mode & 0o001:
            raise Unfit(
                f"Started by root the server runs as user {POWERLESS}, who may not enter {parent}.\n"
                "Run it from a directory that everybody may enter, or as an ordinary user."
            )
    return pwd.getpwnam(POWERLESS)


def _own(path: Path, user: pwd.struct_passwd) -> None:
    if os.geteuid() == 0:
        os.chown(path, user.pw_uid, user.pw_gid)


def prepare(directory: Path) -> str:
    """Write everything that is not there yet; returns the demo user's password."""
    hostname = _hostname()
    runner = _runner(directory)
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name in SUBDIRECTORIES:
        (directory / name).mkdir(exist_ok=True, mode=0o750)
        _own(directory / name, runner)
    user = runner.pw_name
    for name in (DEMO_USER, "postmaster", "everybody", pwd.getpwuid(os.getuid()).pw_name):
        (directory / "mail" / name).mkdir(exist_ok=True, mode=0o700)
        _own(directory / "mail" / name, runner)
    if not (directory / "tls" / "key.pem").exists():
        make_certificate(directory / "tls", hostname)
        _own(directory / "tls" / "key.pem", runner)
    configuration = directory / "exim.conf"
    if not configuration.exists():
        template = (Path(__file__).parent / "demo.conf").read_text()
        values = {"@DIR@": str(directory), "@HOSTNAME@": hostname, "@USER@": user, "@GROUP@": grp.getgrgid(runner.pw_gid).gr_name}
        for key, value in values.items():
            template = template.replace(key, value)
        _write(configuration, template.encode(), 0o644)
    password = _password(directory)
    _own(directory / "users", runner)
    return password


def banner(directory: Path, password: str) -> str:
    """Ten lines: what runs where, how to send the first mail, and where it goes."""
    binaries = Path(sys.argv[0]).resolve().parent
    commands, where = os.path.relpath(binaries), os.path.relpath(directory)
    letter = r"printf 'Subject: Hello\n\nThe first mail.\n'"
    return "\n".join(
        (
            f"Angaros runs from {where}/exim.conf; Ctrl-C ends it.",
            "  SMTP with STARTTLS         127.0.0.1:2525",
            f"  submission, after log-in   127.0.0.1:2587   user {DEMO_USER}, password {password}",
            "Send the first mail (copy and paste into another terminal):",
            f"  {letter} | {commands}/sendmail -C {where}/exim.conf {DEMO_USER}@localhost",
            f"It is then in               {where}/mail/{DEMO_USER}/new/",
            f"Logs, queue:                {where}/log/mainlog, {commands}/exim -C {where}/exim.conf -bp",
            "Mail for localhost and this host goes to Maildirs there; mail for other places waits in the queue.",
        )
    )


def main(arguments: list[str]) -> int:
    """`angaros demo [--directory DIR] [--prepare]`."""
    directory = Path("var")
    only_prepare = False
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--directory" and rest:
            directory = Path(rest.pop(0))
        elif argument == "--prepare":
            only_prepare = True
        else:
            print("usage: angaros demo [--directory DIR] [--prepare]", file=sys.stderr)
            return 64
    directory = directory.resolve()
    try:
        password = prepare(directory)
    except Unfit as error:
        print(error, file=sys.stderr)
        return 1
    print(banner(directory, password), flush=True)
    if only_prepare:
        return 0
    from angaros.cli.main import run

    return run("exim", ["-C", str(directory / "exim.conf"), "-bdf", "-q10m"])
