"""The command line as a user runs it: `exim` as a process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

EXIM = Path(sys.executable).with_name("exim")


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "exim.conf"
    file.write_text(
        f"primary_hostname = mail.example\nspool_directory = {tmp_path}/spool\nlog_file_path = {tmp_path}/%slog\n"
        f"domainlist missing = lsearch;{tmp_path}/nowhere\n"
        "begin routers\nr:\n  driver = redirect\n  domains = +missing\n  data = :blackhole:\n"
    )
    file.chmod(0o644)
    return file


def exim(configuration: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(EXIM), "-C", str(configuration), *arguments], capture_output=True, text=True, check=False, env=dict(os.environ)
    )


def test_a_list_that_needs_a_missing_file_ends_the_program_with_a_panic_entry(configuration: Path) -> None:
    done = exim(configuration, "-bt", "a@a.example")
    assert done.returncode == 1
    assert "failed to open" in done.stderr
    assert "Traceback" not in done.stderr


def test_condition_queue_running_holds_only_in_a_queue_run(configuration: Path) -> None:
    assert exim(configuration, "-be", "${if queue_running {yes}{no}}").stdout == "no\n"


def test_queue_size_is_empty_without_a_daemon(configuration: Path) -> None:
    assert exim(configuration, "-be", "<$queue_size>").stdout == "<>\n"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the Exim user and every other may use."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


def write(place: Path, *lines: str) -> Path:
    file = place / "exim.conf"
    text = [f"primary_hostname = h\nspool_directory = {place}/spool\nlog_file_path = {place}/%slog", *lines]
    file.write_text("\n".join(text) + "\n")
    file.chmod(0o644)
    return file


def run_as(login: str, configuration: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["setpriv", f"--reuid={login}", "--clear-groups", str(EXIM), "-C", str(configuration), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: acts as another user")
@pytest.mark.parametrize("mode", [("-be", "x"), ("-bt", "a@b"), ("-bv", "a@b"), ("-bP", "primary_hostname"), ("-brw", "a@b")])
def test_commandline_checks_require_admin(place: Path, mode: tuple[str, ...]) -> None:
    file = write(place, "commandline_checks_require_admin")
    done = run_as("nobody", file, *mode)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "exim: permission denied")
    assert "permission denied" not in exim(file, *mode).stderr


@pytest.mark.parametrize(("port", "logged"), [(25, "I=[192.0.2.1]:25"), (2525, "I=[192.0.2.1]")])
def test_log_ports_names_the_ports_that_are_logged(place: Path, port: int, logged: str) -> None:
    file = write(place, "log_selector = +incoming_interface", "log_ports = 25 : 587", "queue_only", "acl_smtp_rcpt = accept")
    dialogue = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"
    command = [str(EXIM), "-C", str(file), "-oMi", f"192.0.2.1.{port}", "-oMa", "192.0.2.9", "-bs"]
    subprocess.run(command, input=dialogue, capture_output=True, text=True, check=True)
    arrival = (place / "mainlog").read_text()
    assert " <= a@b " in arrival
    assert re.findall(r"I=\S+", arrival) == [logged]
