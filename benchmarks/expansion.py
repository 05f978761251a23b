"""Expansions per second of `exim -be`, whole process, beside a real Exim fed with the same lines.

    python benchmarks/expansion.py [--ours COMMAND] [--exim COMMAND] [--lines N] [--rounds N]

The strings are what a default configuration and a hosting panel expand for every message; each names a variable or a file, so
that none can be answered once and for all. Each program reads N lines from a file and writes its answers to a file; the best of
several rounds counts, rounds alternate. Exit status 1 when we are slower.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXIM = "/var/cache/angaros-tests/exim4-daemon-heavy-exim4-base-exim4-config/usr/sbin/exim4"
"""Where `tests/peers/packages.py` unpacks Debian's exim4-daemon-heavy (it wants a user Debian-exim)."""
TYPICAL = (
    "${lc:$sender_address}",
    "${if eq{$sender_host_address}{}{local}{remote}}",
    "${lookup{alice}lsearch{DIR/aliases}{$value}}",
    "${if match{$sender_address}{\\N^([^@]+)@\\N}{accept $1}{deny}}",
    "(Received: from $sender_helo_name ($sender_host_address) by $primary_hostname with $received_protocol at $tod_log)",
    "${extract{1}{@}{$sender_address}{$value}{none}}",
    "${if and{{def:sender_address}{!eq{$sender_address}{root@localhost}}}{yes}{no}}",
    "${sg{$sender_address}{@}{_at_}}",
    "/var/mail/${substr_0_1:$sender_address}/$primary_hostname/Maildir",
    "${if def:authenticated_id{$authenticated_id}{$sender_address}}",
)
"""Strings of Debian's and upstream's default configurations."""
PANEL = (
    "${if exists{DIR/domains}{${lookup{example.org}lsearch{DIR/domains}{$value}}}{}}",
    "${if or{{eq{${lc:$primary_hostname}}{localhost}}{match_domain{example.org}{+served}}}{local}{relay}}",
    "${reduce{1:2:3:$caller_uid}{0}{${eval:$value+$item}}}",
    "${map{a:b:c}{${uc:$item}@$primary_hostname}}",
    "${filter{alice:bob:$sender_address}{match{$item}{^[ab]}}}",
    "${extract{quota}{uid=1000 gid=1000 quota=500M home=/home/$sender_address}{$value}{0}}",
    "${if >{${eval:20*1024+$caller_uid}}{10K}{large}{small}}",
    "${hash_8_62:$sender_address}",
    "${quote_local_part:$sender_address} ${domain:$sender_address}",
    "${if forany{<, 10.0.0.1,$sender_helo_name,10.0.0.2}{eq{$item}{10.0.0.2}}{trusted}{unknown}}",
)
"""Strings as control panels write them."""


def prepare(directory: Path, count: int) -> Path:
    """Files that the strings name, a configuration and the input."""
    (directory / "aliases").write_text("root: x\nalice: alice@example.net\n")
    (directory / "domains").write_text("example.org: uid1000\n")
    (directory / "spool").mkdir()
    config = directory / "exim.conf"
    config.write_text(
        "primary_hostname = mx.example.org\n"
        f"spool_directory = {directory}/spool\nlog_file_path = {directory}/spool/%slog\nkeep_environment =\n"
        "domainlist served = example.org : example.net\ntls_advertise_hosts =\n"
    )
    strings = [text.replace("DIR", str(directory)) for text in (*TYPICAL, *PANEL)]
    lines = [strings[number % len(strings)] for number in range(count)]
    source = directory / "lines"
    source.write_text("\n".join(lines) + "\n")
    for path in (directory, *directory.iterdir()):
        os.chmod(path, 0o777 if path.name == "spool" else 0o755)
    return source


def seconds(command: list[str], source: Path, result: Path) -> float:
    """Wall-clock time of one run."""
    with source.open("rb") as stdin, result.open("wb") as stdout:
        start = time.perf_counter()
        subprocess.run(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start


def main() -> int:
    """Compare, and say so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", default=str(Path(sys.executable).parent / "exim"))
    parser.add_argument("--exim", default=EXIM)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        source = prepare(directory, options.lines)
        best: dict[str, float] = {}
        for _ in range(options.rounds):
            for label, program in (("exim", options.exim), ("ours", options.ours)):
                command = [program, "-C", str(directory / "exim.conf"), "-be"]
                taken = seconds(command, source, directory / f"{label}.out")
                best[label] = min(best.get(label, taken), taken)
        same = (directory / "ours.out").read_bytes() == (directory / "exim.out").read_bytes()
    for label, taken in best.items():
        print(f"{label}: {taken:.3f} s, {options.lines / taken:,.0f} expansions a second")
    print(
        f"ratio {best['exim'] / best['ours']:.2f} (above 1: we are faster); outputs {'equal' if same else 'differ'} (times may)"
    )
    return 0 if best["ours"] <= best["exim"] else 1


if __name__ == "__main__":
    sys.exit(main())
