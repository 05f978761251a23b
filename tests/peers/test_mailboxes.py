"""Issue 5: what we deliver is read by others: Dovecot (LMTP in, IMAP out), Python's `mailbox`, aiosmtpd."""

from __future__ import annotations

import imaplib
import mailbox
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.world import ME, World

LOCAL = "r:\n  driver = accept\n  transport = t\n"
TEXT = "Subject: sp\xc3\xa4t\nX-Long: {}\n\nFrom the start\n.dot\n..\n{}\n".format("y" * 200, "z" * 900)
CONF = """
protocols = imap lmtp
base_dir = {dir}/run
log_path = {dir}/log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{dir}/mail/%u
first_valid_uid = 0
first_valid_gid = 0
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={dir}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
"""


@dataclass
class Dovecot:
    directory: Path
    imap: int
    lmtp: int

    def read(self, user: str) -> list[str]:
        """The messages of a user, over IMAP."""
        with imaplib.IMAP4("127.0.0.1", self.imap) as client:
            client.login(user, "secret")
            client.select("INBOX", readonly=True)
            numbers = client.search(None, "ALL")[1][0].split()
            found: list[Any] = [client.fetch(number, "(BODY[])")[1][0] for number in numbers]
        return [one[1].decode("latin-1").replace("\r\n", "\n") for one in found]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def dovecot(tmp_path: Path) -> Iterator[Dovecot]:
    program = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
    if program is None or not Path("/usr/lib/dovecot/lmtp").exists():
        pytest.skip("Debian packages dovecot-imapd, dovecot-lmtpd are missing")
    if os.geteuid():
        pytest.skip("needs root: Dovecot changes users")
    user = pwd.getpwnam("nobody")
    place = Dovecot(tmp_path / "dc", free_port(), free_port())
    place.directory.mkdir()
    (place.directory / "mail").mkdir()
    os.chown(place.directory / "mail", user.pw_uid, user.pw_gid)
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(0o755)
    names = {"dir": place.directory, "uid": user.pw_uid, "gid": user.pw_gid, "imap": place.imap, "lmtp": place.lmtp}
    own = {"user": "dovecot" if _has("dovecot") else "nobody", "group": "dovecot" if _has("dovecot") else "nogroup"}
    (place.directory / "conf").write_text(CONF.format(**names, **own))
    process = subprocess.Popen(
        [program, "-F", "-c", str(place.directory / "conf")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _wait(place.imap, process)
        _wait(place.lmtp, process)
        _wait_for_login(place)
        yield place
    finally:
        process.terminate()
        process.wait(20)


def _wait_for_login(place: Dovecot) -> None:
    """Until its authentication service answers."""
    end = time.monotonic() + 30
    while True:
        try:
            with imaplib.IMAP4("127.0.0.1", place.imap) as client:
                client.login("first", "secret")
                return
        except imaplib.IMAP4.error:
            assert time.monotonic() < end
            time.sleep(0.2)


def _has(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    raise AssertionError("Dovecot does not listen")


def check(message: str) -> None:
    """Nothing was lost or added on the way."""
    assert message.endswith(TEXT.partition("\n\n")[2])
    assert "Subject: sp\xc3\xa4t\n" in message


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.parametrize("how", ["socket", "tcp"])
def test_dovecot_takes_lmtp(dovecot: Dovecot, tmp_path: Path, how: str) -> None:
    if how == "socket":
        transport = f"t:\n  driver = lmtp\n  socket = {dovecot.directory}/run/lmtp\n  batch_max = 9\n  {ME}\n"
    else:
        transport = f"t:\n  driver = smtp\n  protocol = lmtp\n  port = {dovecot.lmtp}\n  hosts = 127.0.0.1\n  allow_localhost\n"
    log = World(tmp_path, LOCAL, transport).deliver("ann@dom", "bob@dom", text=TEXT)
    assert sum(line.startswith(("=>", "->")) for line in log) == 2, log
    for user in ("ann", "bob"):
        [message] = dovecot.read("ann@dom" if (dovecot.directory / "mail/ann@dom").exists() and user == "ann" else f"{user}@dom")
        check(message)


@pytest.mark.peers
@pytest.mark.root
def test_dovecot_reads_our_maildir(dovecot: Dovecot, tmp_path: Path) -> None:
    transport = (
        f"t:\n  driver = appendfile\n  directory = {dovecot.directory}/mail/ann\n  maildir_format\n"
        "  maildir_tag = ,S=$message_size\n  user = nobody\n  group = nogroup\n  quota = 10M\n  maildir_use_size_file\n"
    )
    world = World(tmp_path, LOCAL, transport)
    from angaros.daemon.couriers import ForkCourier

    world.services.courier = ForkCourier()
    for _ in range(3):
        assert world.deliver("ann@dom", text=TEXT)[-1] == "Completed"
    messages = dovecot.read("ann")
    assert len(messages) == 3
    for message in messages:
        check(message)


def test_python_reads_our_mbox_and_maildir(tmp_path: Path) -> None:
    box = World(tmp_path, LOCAL, f"t:\n  driver = appendfile\n  file = {tmp_path}/box\n  {ME}\n")
    directory = World(tmp_path, LOCAL, f"t:\n  driver = appendfile\n  directory = {tmp_path}/md\n  maildir_format\n  {ME}\n")
    for world in (box, directory):
        for _ in range(2):
            assert world.deliver("x@dom", text=TEXT)[-1] == "Completed"
    mbox = mailbox.mbox(tmp_path / "box")
    assert len(mbox) == 2
    assert mbox[1].get_payload().startswith(">From the start\n.dot\n..\n")
    maildir = mailbox.Maildir(tmp_path / "md", create=False)
    assert len(maildir) == 2
    assert all(one.get_payload().startswith("From the start\n.dot\n..\n") for one in maildir)


@pytest.mark.peers
def test_aiosmtpd_takes_smtp(tmp_path: Path) -> None:
    controller = pytest.importorskip("aiosmtpd.controller", reason="PyPI package aiosmtpd is missing")
    handlers = pytest.importorskip("aiosmtpd.handlers", reason="PyPI package aiosmtpd is missing")
    server = controller.Controller(handlers.Mailbox(str(tmp_path / "md")), hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        routers = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n  transport = t\n"
        world = World(tmp_path, routers, f"t:\n  driver = smtp\n  port = {server.port}\n")
        log = world.deliver("x@dom", "y@dom", text=TEXT)
    finally:
        server.stop()
    assert sum(line.startswith(("=>", "->")) for line in log) == 2, log
    [message] = list(mailbox.Maildir(tmp_path / "md", create=False))
    assert message["X-RcptTo"] == "x@dom, y@dom"
    assert message.get_payload().startswith("From the start\n.dot\n..\n")


MUTTRC = "set mbox_type=Maildir copy=no confirmappend=no confirmcreate=no delete=yes quit=yes wait_key=no\n"


def mutt_reads(place: Path, tmp_path: Path) -> list[mailbox.MaildirMessage]:
    """All messages of a mailbox as mutt copies them into a Maildir of its own."""
    if shutil.which("mutt") is None:
        pytest.skip("Debian package mutt is missing")
    if shutil.which("script") is None:
        pytest.skip("Debian package bsdutils is missing")
    copy, settings = tmp_path / f"copy-{place.name}", tmp_path / "muttrc"
    settings.write_text(f"{MUTTRC}set folder={tmp_path}\n")
    keys = f"<tag-pattern>~A<enter><tag-prefix><copy-message>{copy}<enter><quit>"
    command = f"mutt -n -F {settings} -R -f {place} -e 'push \"{keys}\"'"
    environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode("latin-1")
    return sorted(mailbox.Maildir(copy, create=False), key=lambda one: str(one["From"]))


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["box", "md"])
def test_mutt_reads_our_mbox_and_maildir(tmp_path: Path, kind: str) -> None:
    place = f"file = {tmp_path}/box" if kind == "box" else f"directory = {tmp_path}/md\n  maildir_format"
    world = World(tmp_path, LOCAL, f"t:\n  driver = appendfile\n  {place}\n  return_path_add\n  {ME}\n")
    for user in ("one", "two", "three"):
        assert world.deliver(f"{user}@dom", text=f"From: {user}@sender.test\n{TEXT}")[-1] == "Completed"
    found = mutt_reads(tmp_path / kind, tmp_path)
    assert [one["From"] for one in found] == ["one@sender.test", "three@sender.test", "two@sender.test"]
    quoted = ">" if kind == "box" else ""  # check_string and escape_string of an mbox
    body = TEXT.partition("\n\n")[2].replace("From the start", f"{quoted}From the start")
    for one in found:
        assert one.get_payload(decode=False).replace("\r\n", "\n").rstrip("\n") == body.rstrip("\n")
        assert one["Return-path"] is not None
