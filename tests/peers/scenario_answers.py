"""The same configuration, the same question: what Exim 4.96 and we answer."""

from __future__ import annotations

import difflib
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.peers import packages
from tests.peers.world import BIN, world

ANSWERS = Path(__file__).parent / "answers"
SITE = Path("/tmp/site")
HOSTS = ("203.0.113.5", "10.1.1.1", "192.0.2.5", "198.51.100.7")


def make_site() -> None:
    shutil.copytree(ANSWERS / "site", SITE)
    with sqlite3.connect(SITE / "mail.db") as database:
        database.executescript((SITE / "mail.sql").read_text())
    for path in (SITE, *SITE.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666 if path.suffix == ".db" else 0o644)


def ask(program: str, configuration: Path, *arguments: str, stdin: str = "") -> str:
    """Standard output and the exit status."""
    done = subprocess.run(
        [program, "-C", str(configuration), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return f"{done.stdout}status {done.returncode}\n"


def same_everywhere(text: str) -> str:
    """Without what differs by nature: version, time, ids; what 4.99 has and 4.96 has not."""
    text = re.sub(r"ESMTP Exim .*", "ESMTP Exim", text)
    text = re.sub(r"id=\S+", "id=ID", text)
    text = re.sub(r'gave DEFER: "(.*)"', r"gave DEFER: \1", text)
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("250-LIMITS "))


def filter_tests(message: str) -> list[tuple[list[str], str]]:
    who = ["-f", "alice@example.org", "-bfd", "example.com", "-bfl", "bob"]
    return [([mode, str(file), *who], message) for file in sorted((SITE / "filters").iterdir()) for mode in ("-bf", "-bF")]


def questions(configuration: str, session: str) -> list[tuple[list[str], str]]:
    addresses = (ANSWERS / "addresses.txt").read_text().splitlines()
    about: list[tuple[list[str], str]] = [([mode, *addresses], "") for mode in ("-bt", "-bv", "-bvs")]
    about += [(["-brw", address], "") for address in ("root@x.internal", "a@alias.example", "u@c.example", "<>")]
    about += [(["-brt", address], "") for address in ("x@relay.example", "bob@example.com", "q@lists.example")]
    if configuration == "rewriting.conf":  # the filters are the same with each
        about += [question for message in (ANSWERS / "messages").iterdir() for question in filter_tests(message.read_text())]
    return about + [(["-bh", host], session) for host in HOSTS]


def main(name: str) -> None:
    theirs = str(packages.exim() / "usr/sbin/exim4")
    ours = str(BIN / "exim")
    own = ANSWERS / name.replace(".conf", ".session")
    session = (own if own.exists() else ANSWERS / "session.txt").read_text()
    failures = 0
    with world():
        make_site()
        for directory in ("/var/spool/exim4", "/var/log/exim4"):
            Path(directory).mkdir(parents=True)
            Path(directory).chmod(0o777)
        configuration = Path("/tmp/exim.conf")
        configuration.write_text(f"add_environment = PATH=/bin\n{(ANSWERS / name).read_text()}")
        for arguments, stdin in questions(name, session):
            wanted, got = (same_everywhere(ask(program, configuration, *arguments, stdin=stdin)) for program in (theirs, ours))
            if wanted != got:
                failures += 1
                print(" ".join(arguments))
                print("".join(difflib.unified_diff(wanted.splitlines(True), got.splitlines(True), "Exim", "Angaros")))
    print(f"{failures} answers differ" if failures else "ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
