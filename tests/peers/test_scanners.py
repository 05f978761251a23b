"""Real clamd, spamd and rspamd of Debian's packages, started by the tests and asked by the ACL conditions."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from angaros.model.outcome import Outcome
from angaros.scan.mbox import discard
from tests.policy import PolicyWorld

pytestmark = pytest.mark.peers

VIRUS = "ANGAROS-TEST-VIRUS"
"""What the signature that the test makes for clamd finds: no database can be downloaded here."""
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
START_SECONDS = 60

RSPAMD = """
options {
  filters = "regexp"; tempdir = "DIR"; url_tld = "DIR/tlds"; control_socket = "DIR/control mode=0600";
  dns { nameserver = "127.0.0.1"; timeout = 1s; retransmits = 1; }
}
logging { type = "file"; filename = "DIR/log"; }
worker "normal" { bind_socket = "127.0.0.1:PORT"; count = 1; }
metric { name = "default"; actions { reject = 15; add_header = 6; greylist = 4; } }
"""


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"Debian package {package} is missing: no {name} here")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(argv: list[str], directory: Path, address: str | tuple[str, int]) -> Iterator[None]:
    """A daemon in the foreground, from when it listens."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with open(directory / "out", "wb") as out, subprocess.Popen(argv, stdout=out, stderr=out, start_new_session=True) as process:
        try:
            for _ in range(START_SECONDS * 10):
                with socket.socket(family) as probe:
                    if probe.connect_ex(address) == 0:  # type: ignore[arg-type]
                        break
                assert process.poll() is None, (directory / "out").read_text()
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that daemons running as other users can use; sockets have short names."""
    directory = tmp_path_factory.mktemp("scan")
    for path in (directory, *directory.parents[:2]):
        path.chmod(0o755)
    directory.chmod(0o777)
    return directory


@pytest.fixture(scope="module")
def clamd(place: Path) -> Iterator[tuple[str, int]]:
    """Socket and port of a clamd with one signature."""
    database = place / "db"
    database.mkdir()
    (database / "test.ndb").write_text(f"Angaros.Test:0:*:{VIRUS.encode().hex()}\n")
    (database / "test.hdb").write_text("00000000000000000000000000000000:1:Angaros.Never\n")
    path, port = str(place / "clamd"), free_port()
    (place / "clamd.conf").write_text(
        f"LocalSocket {path}\nTCPSocket {port}\nTCPAddr 127.0.0.1\nDatabaseDirectory {database}\nForeground yes\n"
    )
    with running([program("clamd", "clamav-daemon"), "-c", str(place / "clamd.conf")], place, path):
        yield path, port


@pytest.mark.parametrize(
    "how", ["clamd:{0}", "clamd:127.0.0.1 {1}", "clamd:127.0.0.1 {1}:local", "clamd:127.0.0.1 1 : 127.0.0.1 {1}"]
)
def test_clamd(tmp_path: Path, clamd: tuple[str, int], how: str) -> None:
    config = f"av_scanner = {how.format(*clamd)}\nbegin acl\ndata:\n  accept malware = *\n"
    for body, wanted, name in ((f"text {VIRUS} text\n", Outcome.ACCEPT, "Angaros.Test.UNOFFICIAL"), ("good\n", Outcome.DENY, "")):
        w = PolicyWorld(tmp_path, config)
        w.receive("Subject: x\n", body)
        assert (w.run("data").outcome, w.log.panics) == (wanted, [])
        assert w.shown("$malware_name") == name
        discard(w.message)


def test_clamd_finds_what_is_in_an_attachment(tmp_path: Path, clamd: tuple[str, int]) -> None:
    import base64

    w = PolicyWorld(tmp_path, f"av_scanner = clamd:{clamd[0]}\nbegin acl\ndata:\n  accept malware = ^Angaros\n")
    w.receive(
        "MIME-Version: 1.0\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n",
        base64.encodebytes(VIRUS.encode()).decode(),
    )
    assert w.run("data").outcome is Outcome.ACCEPT


def spam_world(tmp_path: Path, address: str) -> PolicyWorld:
    return PolicyWorld(tmp_path, f"spamd_address = {address}\nbegin acl\ndata:\n  accept spam = nobody\n")


@pytest.fixture(scope="module")
def spamd(place: Path) -> Iterator[str]:
    """Socket of a spamd that asks no network."""
    path = str(place / "spamd")
    argv = [program("spamd", "spamd"), "-x", "-L", f"--socketpath={path}", f"--helper-home-dir={place}", "-u", "nobody",
            "--min-children=1", "--max-children=1", "--cf=use_bayes 0", "--cf=required_score 5"]  # fmt: skip
    with running(argv, place, path):
        yield path


def test_spamd(tmp_path: Path, spamd: str) -> None:
    w = spam_world(tmp_path, spamd)
    w.receive("Subject: x\nFrom: a@b.example\nDate: Sat, 21 Nov 2026 06:20:37 +0000\nMessage-ID: <1@b.example>\n", f"{GTUBE}\n")
    assert w.run("data").outcome is Outcome.ACCEPT, w.log.lines
    assert float(w.shown("$spam_score")) >= 900 and w.shown("$spam_bar") == "+" * 50 and w.shown("$spam_action") == "reject"
    assert "GTUBE" in w.shown("$spam_report")
    discard(w.message)
    w = spam_world(tmp_path, spamd)
    w.receive("Subject: lunch\nFrom: a@b.example\nTo: c@d.example\nDate: Sat, 21 Nov 2026 06:20:37 +0000\n", "At noon?\n")
    assert w.run("data").outcome is Outcome.DENY, w.log.lines
    assert float(w.shown("$spam_score")) < 5


@pytest.fixture(scope="module")
def rspamd(place: Path) -> Iterator[str]:
    """Address of an rspamd without modules."""
    port = free_port()
    (place / "tlds").write_text("com\nexample\n")
    (place / "rspamd.conf").write_text(RSPAMD.replace("DIR", str(place)).replace("PORT", str(port)))
    argv = [program("rspamd", "rspamd"), "-f", "-i", "-c", str(place / "rspamd.conf")]
    with running(argv, place, ("127.0.0.1", port)):
        yield f"127.0.0.1 {port} variant=rspamd"


def test_rspamd(tmp_path: Path, rspamd: str) -> None:
    w = spam_world(tmp_path, rspamd)
    w.receive("Subject: x\nFrom: a@b.example\n", f"{GTUBE}\n")
    assert w.run("data").outcome is Outcome.ACCEPT, w.log.lines
    assert w.shown("$spam_action") == "reject" and float(w.shown("$spam_score")) >= 15
    discard(w.message)
    w = spam_world(tmp_path, rspamd)
    w.receive("Subject: lunch\nFrom: a@b.example\n", "At noon?\n")
    assert w.run("data").outcome is Outcome.DENY, w.log.lines
    assert w.shown("$spam_action") == "no action"
