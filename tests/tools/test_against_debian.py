"""Debian's utilities and ours give the same figures for the same log or queue."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from angaros.tools.exigrep import main as exigrep
from angaros.tools.eximstats import main as eximstats
from angaros.tools.exiqgrep import main as exiqgrep
from angaros.tools.exiqsumm import main as exiqsumm
from tests.peers import packages
from tests.tools.logs import day
from tests.tools.rejections import OTHERS, REJECTIONS
from tests.tools.running import run

QUEUE = """25m  2.9K 1vAbcd-0000c8-00 <alice@wonderland.example>
          red.king@looking-glass.example
          Bob@foo.example

 3h   31K 1vAbce-0000c8-00 <> *** frozen ***
        D x@foo.example
          y@foo.example

 4d  4.0M 1vAbcf-0000c8-00 <bob@foo.example> *** frozen ***
          y@bar.example

"""


@pytest.fixture
def debian() -> Callable[..., str]:
    """Runs one of Debian's utilities."""
    try:
        package = packages.exim()
    except packages.Missing as missing:
        pytest.skip(str(missing))
    if shutil.which("perl") is None:
        pytest.skip("Debian package perl is missing")

    def call(name: str, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["perl", str(package / "usr/sbin" / name), *arguments],
            input=stdin.encode("latin-1"),
            capture_output=True,
            check=False,
            env={**os.environ, "PERL5LIB": "/usr/share/perl5", "PERL_HASH_SEED": "0"},
        )
        return done.stdout.decode("latin-1")

    return call


@pytest.mark.peers
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options",
    [
        "",
        "-h4 -bydomain -byemail -byedomain",
        "-h0 -q0 -t3 -nvr",
        "-nr/mx/ -nt/local/ -tnl",
        "-q1,60 -ne -nr -h0",
        "-pattern A /remote/ -t0",
    ],
)
def test_eximstats_text(debian: Callable[..., str], tmp_path: Path, seed: int, options: str) -> None:
    log = tmp_path / "mainlog"
    log.write_text(day(seed))
    assert (
        run(eximstats, *options.split(), str(log)).out.splitlines()
        == debian("eximstats", *options.split(), str(log)).splitlines()
    )


@pytest.mark.peers
@pytest.mark.parametrize("options", ["", "-h0 -q0 -nr", "-t3 -bydomain -byemail", "-tnl"])
def test_eximstats_on_all_kinds_of_rejections(debian: Callable[..., str], tmp_path: Path, options: str) -> None:
    texts = [text for text, *_ in REJECTIONS] + OTHERS
    log = tmp_path / "mainlog"
    log.write_text("".join(f"2026-11-20 {hour % 24:02d}:00:00 {text}\n" for hour, text in enumerate(texts)))
    ours, theirs = (
        [line.rstrip() for line in text.splitlines()]
        for text in (run(eximstats, *options.split(), str(log)).out, debian("eximstats", *options.split(), str(log)))
    )
    assert ours == theirs


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["txt", "html"])
def test_reports_of_either_can_be_merged_by_either(debian: Callable[..., str], tmp_path: Path, kind: str) -> None:
    logs, reports = [], []
    for seed in (10, 11):
        log, report = tmp_path / f"log{seed}", tmp_path / f"report{seed}"
        log.write_text(day(seed))
        logs.append(log)
        reports.append(str(report))
    for log, report in zip(logs, reports, strict=True):
        Path(report).write_text(run(eximstats, "-nr", f"-{kind}", str(log)).out)
    ours = debian("eximstats", "-merge", *reports)
    for log, report in zip(logs, reports, strict=True):
        Path(report).write_text(debian("eximstats", "-nr", f"-{kind}", str(log)))
    assert run(eximstats, "-merge", *reports).out.splitlines() == ours.splitlines()


def blocks(text: str) -> list[str]:
    """Without the order of unfinished messages, which is that of a hash in Debian's."""
    return sorted(text.split("\n\n"))


@pytest.mark.peers
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "arguments", [["root"], ["-l", "[192.0.2.3]"], ["-t", "100", "remote"], ["-I", "Three"], ["relay not"], [r"u[13]@"]]
)
def test_exigrep(debian: Callable[..., str], tmp_path: Path, seed: int, arguments: list[str]) -> None:
    log = tmp_path / "mainlog"
    log.write_text(day(seed))
    assert blocks(run(exigrep, *arguments, str(log)).out) == blocks(debian("exigrep", *arguments, str(log)))


@pytest.mark.peers
@pytest.mark.parametrize("options", [[], ["-a"], ["-c"], ["-b"], ["-f"], ["-s"]])
def test_exiqsumm(debian: Callable[..., str], options: list[str]) -> None:
    ours, theirs = run(exiqsumm, *options, stdin=QUEUE).out, debian("exiqsumm", *options, stdin=QUEUE)
    if options == ["-c"]:  # lines with equal counts stand in the order of a hash in Debian's
        assert sorted(ours.splitlines()) == sorted(theirs.splitlines())
    else:
        assert ours == theirs


@pytest.mark.peers
@pytest.mark.parametrize(
    "options", ["-f wonder", "-f ^<>$", "-r FOO", "-z", "-x", "-s 31K", "-i -z", "-b -z -R", "-c -x", "-i -o 60", "-i -y 60"]
)
def test_exiqgrep(debian: Callable[..., str], tmp_path: Path, options: str) -> None:
    program = tmp_path / "exim"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{QUEUE}END\n")
    program.chmod(0o755)
    arguments = ["-E", str(program), *options.split()]
    assert run(exiqgrep, *arguments).out == debian("exiqgrep", *arguments)
