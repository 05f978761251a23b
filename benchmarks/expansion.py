"""Expansions per second of `exim -be`, whole process, beside a real Exim fed with the same lines.

    python benchmarks/expansion.py [--ours COMMAND] [--exim COMMAND] [--lines N] [--rounds N] [--each]

Two sets of ten strings: what a default configuration and what a hosting panel expand for every message; each names a variable or
a file, so that none can be answered once and for all. Each program reads N lines of a set from a file and writes its answers to
a file; the best of several rounds counts, rounds alternate. `--each`: string by string, too. Exit status 1 when we are slower.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from debian_exim import EXIM, with_user

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


def prepare(directory: Path) -> Path:
    """Files that the strings name, and a configuration."""
    (directory / "aliases").write_text("root: x\nalice: alice@example.net\n")
    (directory / "domains").write_text("example.org: uid1000\n")
    (directory / "spool").mkdir()
    config = directory / "exim.conf"
    config.write_text(
        "primary_hostname = mx.example.org\n"
        f"spool_directory = {directory}/spool\nlog_file_path = {directory}/spool/%slog\nkeep_environment =\n"
        "domainlist served = example.org : example.net\ntls_advertise_hosts =\n"
    )
    for path in (directory, *directory.iterdir()):
        os.chmod(path, 0o777 if path.name == "spool" else 0o755)
    return config


def used() -> float:
    """Processor time of the children so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds(command: list[str], source: Path, result: Path) -> tuple[float, float]:
    """Wall-clock and processor time of one run."""
    with source.open("rb") as stdin, result.open("wb") as stdout:
        start, before = time.perf_counter(), used()
        subprocess.run(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start, used() - before


def compare(label: str, strings: Sequence[str], config: Path, options: argparse.Namespace) -> bool:
    """One set; whether we are at least as fast."""
    directory = config.parent
    strings = [text.replace("DIR", str(directory)) for text in strings]
    source = directory / "lines"
    source.write_text("".join(strings[number % len(strings)] + "\n" for number in range(options.lines)))
    best: dict[str, tuple[float, float]] = {}
    for _ in range(options.rounds):
        for name in ("exim", "ours"):
            taken = seconds([getattr(options, name), "-C", str(config), "-be"], source, directory / f"{name}.out")
            wall, processor = best.get(name, taken)
            best[name] = min(wall, taken[0]), min(processor, taken[1])
    same = (directory / "ours.out").read_bytes() == (directory / "exim.out").read_bytes()
    ratio, processor = (best["exim"][kind] / best["ours"][kind] for kind in (0, 1))
    speeds = ", ".join(f"{name} {taken:.3f} s ({options.lines / taken:,.0f} a second)" for name, (taken, _) in best.items())
    equal = "equal" if same else "differ (times may)"
    print(f"{label}: {speeds}, ratio {ratio:.2f}, of processor time {processor:.2f}; outputs {equal}", flush=True)
    return ratio >= 1


def main() -> int:
    """Compare, and say so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", default=str(Path(sys.executable).parent / "exim"))
    parser.add_argument("--exim", default=EXIM)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    with_user()
    fast = True
    with tempfile.TemporaryDirectory() as name:
        config = prepare(Path(name))
        for label, strings in (("default", TYPICAL), ("panel", PANEL)):
            fast &= compare(label, strings, config, options)
        for text in (*TYPICAL, *PANEL) if options.each else ():
            compare(text, [text], config, options)
    return 0 if fast else 1


if __name__ == "__main__":
    sys.exit(main())
