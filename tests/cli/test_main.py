"""The command line as a user runs it: `exim` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_queue_size_counts_the_spool(configuration: Path) -> None:
    assert exim(configuration, "-be", "$queue_size").stdout == "0\n"
