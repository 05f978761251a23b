"""Brightmail: a library made of `bmi_example.c`, from the ACL through the spool to routers, variables and header lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from angaros.model.brightmail import BmiVerdict, read_verdicts, write_verdicts
from angaros.model.errors import ConfigError
from angaros.scan import brightmail, brightmail_child
from tests.delivery.world import ME, World
from tests.inbound.smtp_world import World as SmtpWorld

SOURCE = Path(__file__).with_name("bmi_example.c")
ROUTERS = """
unwanted:
  driver = redirect
  bmi_dont_deliver
  data = :blackhole:
elsewhere:
  driver = redirect
  bmi_deliver_alternate
  data = ${lookup{$bmi_alt_location}lsearch{DIR/aliases}}
ruled:
  driver = accept
  bmi_rule = 4 : 8
  headers_add = X-Verdict: $bmi_verdict $bmi_base64_verdict\\nX-Tracker: $bmi_base64_tracker_verdict
  transport = file
forwarded:
  driver = redirect
  local_parts = list
  data = someone@dom.example
children:
  driver = accept
  local_parts = someone
  bmi_deliver_default
  headers_add = X-Child: $bmi_deliver/$bmi_alt_location/$bmi_verdict
  transport = file
rest:
  driver = accept
  headers_add = X-Deliver: $bmi_deliver/$bmi_alt_location/$bmi_verdict
  transport = file
"""
TRANSPORTS = f"file:\n  driver = appendfile\n  file = DIR/box\n  envelope_to_add\n  {ME}\n"
ACLS = "acl_not_smtp = accept control = bmi_run"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library."""
    return build(tmp_path_factory.mktemp("bmi"))


@pytest.fixture
def public(built: Path) -> Iterator[Path]:
    """A directory that every user may read, with the library and its configuration."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "bmi.cfg").write_text("quarantine\n")
        shutil.copy(built, directory)
        yield directory


def build(directory: Path, *flags: str) -> Path:
    compiler = shutil.which("gcc", path="/usr/bin:/bin")
    if compiler is None:
        pytest.skip("Debian package gcc is missing")
    path = directory / "shim.so"
    command = [compiler, "-shared", "-fPIC", *flags, "-o", str(path), str(SOURCE)]
    # Other tests read configurations that purge the environment.
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "TMPDIR": str(directory)})
    assert done.returncode == 0, done.stderr
    return path


def world(directory: Path, library: Path, main: str = ACLS) -> World:
    (directory / "bmi.cfg").write_text("quarantine\n")
    (directory / "aliases").write_text("quarantine: keep@dom.example\n")
    where = f"bmi_config_file = {directory}/bmi.cfg\nbmi_library = {library}\n"
    fill = {"DIR": str(directory)}
    return World(directory, ROUTERS.replace("DIR", fill["DIR"]), TRANSPORTS.replace("DIR", fill["DIR"]), main=where + main)


def kept(directory: Path, recipient: str) -> str:
    """What was delivered for this one."""
    messages = (directory / "box").read_text().split("\nFrom ")
    [found] = [text for text in messages if f"Envelope-to: {recipient}@" in text]
    return found


def test_each_recipient_has_its_verdict(tmp_path: Path, built: Path) -> None:
    w = world(tmp_path, built)
    lines = w.deliver("alt@dom.example", "Nobody@dom.example", "rule@dom.example", "joe@dom.example", "list@dom.example")
    assert w.log.panics == []
    log = "\n".join(lines)
    assert "=> :blackhole: <Nobody@dom.example> R=unwanted" in log
    assert "=> keep <alt@dom.example> R=rest T=file" in log
    assert "=> rule <rule@dom.example> R=ruled T=file" in log
    assert "=> someone <list@dom.example> R=children T=file" in log, "a child has its parent's verdict"
    ruled = kept(tmp_path, "rule")
    assert "X-Tracker: " in ruled and "X-Verdict: " in ruled
    octets = ruled.split("X-Verdict: ")[1].split()[0]
    assert octets.isdigit() and int(octets) > 40, "the library saw the whole message, with CRLF at its end"
    assert "X-Deliver: 1/quarantine/" in kept(tmp_path, "alt")
    assert f"X-Deliver: 1//{octets}\n" in kept(tmp_path, "joe")
    assert f"X-Child: 1//{octets}\n" in kept(tmp_path, "list")


def test_the_spool_keeps_equal_verdicts_once(tmp_path: Path, built: Path) -> None:
    w = world(tmp_path, built)
    message = w.accept(["a@dom.example", "b@dom.example", "alt@dom.example", "C@dom.example"])
    [(_, lock)] = w.held
    lock.release()
    again = w.services.store.load(message.id, with_headers=True)
    text = again.spool_variables["angaros_bmi"]
    assert text.count(";") == 1
    verdicts = read_verdicts(text)
    assert sorted(verdicts) == ["a@dom.example", "alt@dom.example", "b@dom.example", "c@dom.example"]
    assert verdicts["a@dom.example"] == verdicts["c@dom.example"] != verdicts["alt@dom.example"]
    assert verdicts["alt@dom.example"].alternate == "quarantine"


@pytest.mark.parametrize(
    ("recipient", "why"),
    [
        ("crash", "its process has ended"),
        ("fail", "the scanner is out of order"),
        ("odd", "an unknown action: 9"),
        ("hang", "no answer"),
    ],
)
def test_a_broken_library_loses_nothing(
    tmp_path: Path, built: Path, recipient: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if recipient == "hang":
        monkeypatch.setattr(brightmail, "TIMEOUT", 1.0)
    w = world(tmp_path, built)
    lines = w.deliver(f"{recipient}@dom.example", "no@dom.example")
    [panic] = w.log.panics
    assert panic == f"brightmail: {why}: message accepted without a verdict"
    assert sum("R=rest T=file" in line for line in lines) == 2
    assert "X-Deliver: 1//\n" in kept(tmp_path, "no")
    if recipient != "hang":
        assert any("R=unwanted" in line for line in w.deliver("no@dom.example")), "the next message gets a verdict"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("text", "cannot load"),
        ("version", "has version 2 of the interface, not 1"),
        ("configuration", "no location in the configuration"),
    ],
)
def test_a_library_that_does_not_start(tmp_path: Path, built: Path, how: str, why: str) -> None:
    library = build(tmp_path, "-DINTERFACE=2") if how == "version" else built
    if how == "text":
        library = tmp_path / "shim.so"
        library.write_text("no library")
    w = world(tmp_path, library)
    if how == "configuration":
        (tmp_path / "bmi.cfg").unlink()
    assert any("R=rest T=file" in line for line in w.deliver("no@dom.example"))
    assert len(w.log.panics) == 1 and w.log.panics[0].startswith("brightmail: ") and why in w.log.panics[0]


def test_only_who_was_asked_for(tmp_path: Path, public: Path) -> None:
    """In the RCPT ACL the control is for that recipient."""
    main = f"bmi_config_file = {public}/bmi.cfg\nbmi_library = {public}/shim.so\nacl_smtp_rcpt = rcpt"
    w = SmtpWorld(tmp_path, main=main, acl="rcpt:\n  accept local_parts = a : alt\n         control = bmi_run\n  accept\n")
    s = w.greeted()
    s.say("MAIL FROM:<s@far.test>", "RCPT TO:<a@here.test>", "RCPT TO:<no@here.test>", "RCPT TO:<alt@here.test>")
    assert s.message()[-1].startswith("250 OK")
    [(message, _)] = w.spooled()
    verdicts = read_verdicts(message.spool_variables["angaros_bmi"])
    assert sorted(verdicts) == ["a@here.test", "alt@here.test"]
    assert verdicts["a@here.test"].tracker == "192.0.2.7|client.test|s@far.test"
    s.mail(recipient="no@here.test")
    s.message()
    assert "angaros_bmi" not in w.spooled()[1][0].spool_variables
    assert len(w.services.extra["brightmail"]) == 1


def test_the_facility_is_off(tmp_path: Path) -> None:
    """Without `bmi_config_file`: the control is an error, nothing else changes."""
    w = SmtpWorld(tmp_path, main="acl_smtp_rcpt = rcpt", acl="rcpt:\n  accept control = bmi_run\n")
    s = w.greeted()
    assert s.mail() == "451"
    assert any('"control=bmi_run" needs bmi_config_file and bmi_library to be set' in line for line in w.log())


@pytest.mark.parametrize(
    ("main", "router", "error"),
    [
        ("bmi_config_file = /x", "", "bmi_config_file is set, but not bmi_library"),
        ("bmi_config_file = /x\nbmi_library = shim.so", "", "bmi_library: shim.so is not the absolute path of a file"),
        ("bmi_config_file = /x\nbmi_library = /no/such.so", "", "bmi_library: /no/such.so is not the absolute path of a file"),
        ("", "bmi_rule = 5", "bmi_rule is set, but not the main options bmi_config_file and bmi_library"),
        ("", "bmi_dont_deliver", "bmi_dont_deliver is set, but not the main options"),
    ],
)
def test_configuration_errors(tmp_path: Path, main: str, router: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        World(tmp_path, f"r:\n  driver = redirect\n  data = :blackhole:\n  {router}\n", main=main)


def test_item_of_the_spool() -> None:
    one, two = BmiVerdict("1", "a b;c", "\xff", "t", ("1", "22")), BmiVerdict()
    verdicts = {"a@b": one, "x;y@b": two, "c@d": one}
    text = write_verdicts(verdicts)
    assert read_verdicts(text) == verdicts
    assert "\n" not in text and text.isascii()
    assert read_verdicts("nonsense;" + text + ";0 - - - - %%") == verdicts
    assert read_verdicts("") == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: becomes another user")
def test_the_library_has_not_roots_power(public: Path) -> None:
    argv = [sys.executable, "-I", brightmail_child.__file__, f"{public}/shim.so", f"{public}/bmi.cfg", "65534", "65534"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.read(5) == b"R\0\0\0\0"
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.stdin.close()
    assert "Uid:\t65534\t65534\t65534\t65534\n" in status and "Gid:\t65534\t65534\t65534\t65534\n" in status
    assert "Groups:\t \n" in status
