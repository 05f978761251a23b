"""Expansion strings from a generator, given to `exim -be` of both programs: what differs is shown.

    python scripts/fuzz_expand.py [--exim COMMAND] [--examples N] [--seed N] [--show N]

About half of the strings are well formed, the others are damaged. The texts of errors are compared, too, but for what is known to
differ (`KNOWN`): each line of it is in docs/expansion-differences.md with its reason. Exit status 1 when something else differs.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from debian_exim import EXIM, with_user  # noqa: E402
from expansion_strings import OF_THE_MACHINE, Generator  # noqa: E402

from angaros.expand import variables  # noqa: E402

CONFIG = """primary_hostname = mx.example.org
headers_charset = iso-8859-1
keep_environment = EXPANSION_FUZZ
tls_advertise_hosts =
domainlist dlist = *.aa.bb : example.com
hostlist hlist = 10.0.0.1 : ^\\Nx(.*)
spool_directory = {directory}/spool
log_file_path = {directory}/spool/%slog
begin acl
a_ret:
 accept message = ($acl_narg) [$acl_arg1] [$acl_arg2]
a_none:
 accept
a_deny:
 deny message = ($acl_narg) [$acl_arg1] [$acl_arg2]
a_defer:
 defer
"""
MAX_LENGTH = 900
"""Exim reads lines of `-be` into a buffer of 1024 octets."""
BATCH = 500
MARK = "==mark %d=="

KNOWN: tuple[tuple[str, str, str], ...] = (
    ("base36", "base 36/62 number", "base 62 number"),
    ("inner", r'"((?:\\.|[^"\\])*)" inside "(map|reduce)" item', r'\1 inside "\2" item'),
    ("defer", r'gave DEFER: "((?:\\.|[^"\\])*)"', r"gave DEFER: \1"),
    ("comparator", r'unknown condition "[^"]*" as comparator for sort', ""),
    ("idn", r"to (utf8|alabel): .*", r"to \1: (the library)"),
    ("skipped", r'(inside "for[^"]*" condition inside "filter") condition', r"\1 item"),
    ("label", r'Failed: ERROR from acl "[^"]*:.*', ""),
    ("command", r"Failed: Expansion of .* from command .*", "Failed: missing '}' closing command arg of run"),
)
"""Reason (its name in the document), pattern in our text, what Exim 4.96 says."""


HEADER_HINT = "could be header name not terminated by colon"
BY_STRING: tuple[tuple[str, str, str], ...] = (
    ("prefix", r"\b[gl][te]i\b", ""),
    ("command", r"\$\{run", r"from command|closing command arg"),
    ("command", r"\$\{run.*\$h_", ""),
    ("norm", r"ipv6norm", ""),
    ("descriptor", r"readsocket.*readsocket", "Bad file descriptor"),
    ("ended", r"sort", "Internal error in sort"),
    ("numbers", r"prvscheck.*\$\{?[0-9]", ""),
    ("skipped", r"\{.*\$\{(run|env)\b.*\} *\{", "^Failed: "),
    ("certificate", r"(md5|sha1|sha256):\$tls_(in|out)_(our|peer)cert\}", ""),
    ("prvscheck", r"prvscheck", r"Too many arguments for 'prvscheck' \(max is 1\)"),
    ("directory", r"dsearch", r"for directory search"),
    ("lookup type", r"lookup.*\*[^ ]", "Failed: "),
    ("lookup type", r"lookup.* [a-z0-9-]+\*@?[^ @{]", ""),
    ("label", r"\$\{acl\{[^}]*(:|\$|\\)", ""),
    ("skipped", r"stat:", r"^Failed: stat\("),
    ("addresses", r"addresses:[^}]*:", ""),
    ("overflow", r"time_interval", ""),
    ("srs", r"srs_encode.*<", "SRS0="),
    ("mask", r"iplsearch", "is not a valid iplsearch key"),
    ("octets", r"from_utf8:.*[\x80-\xff]", ""),
    ("header", r"\$(r|b|l)?h(eader)?_", r"missing or misplaced \{ or \} - could|^Failed: "),
    ("words", r"rfc2047:", r"\?Q\?"),
    ("lookup type", r"lookup", "unknown lookup type"),
    ("group", r"\{addresses.*;", ""),
    ("json", r"extract jsons? ", "missing '}' closing extract"),
    (
        "skipped",
        r"for(any|all)",
        r'inside "for(any|all)[^"]*" condition inside "filter" item|inside "for(any|all)[^"]*" condition$',
    ),
)
"""Reason, pattern in the string, pattern in what Exim says."""


def prepare(directory: Path) -> Path:
    """Configuration and the files that strings name."""
    (directory / "spool").mkdir()
    (directory / "data").write_text('k1: v1\nk2: "v 2"\n*.b.c: wild\n1.2.3.0/24: net\n*: default\n')
    (directory / "lines").write_text("one\ntwo\n")
    config = directory / "exim.conf"
    config.write_text(CONFIG.format(directory=directory))
    for path in (directory, *directory.iterdir()):
        path.chmod(0o777 if path.name == "spool" else 0o755 if path.is_dir() else 0o644)
    return config


def answers(command: list[str], strings: list[str]) -> list[str]:
    """What `-be` says to each line; a line between every two marks where an answer ends."""
    lines = [line for number, text in enumerate(strings) for line in (text, MARK % number)]
    environment = {**os.environ, "EXPANSION_FUZZ": "from the environment"}
    done = subprocess.run(
        command,
        input="\n".join([*lines, ""]).encode("latin-1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        check=False,
    )
    output = done.stdout.decode("latin-1")
    found: list[str] = []
    for number in range(len(strings)):
        answer, mark, output = output.partition(f"> {MARK % number}\n")
        if not mark:  # the program ended: this one killed it
            return (
                [*found, "(ended)", *answers(command, strings[number + 1 :])]
                if number + 1 < len(strings)
                else [*found, "(ended)"]
            )
        found.append(answer.removeprefix("> ").removesuffix("\n"))
    return found


def fit(text: str) -> bool:
    """A line of `-be` that is one string: no definition, no continuation, no white space that is dropped."""
    return (
        text == text.strip() != ""
        and not text[0].isupper()
        and text[-1] != "\\"
        and text[:3] != "set"
        and len(text) <= MAX_LENGTH
    )


def unquoted(text: str, pattern: str, replacement: str) -> str:
    """A text of 4.99, in which each level puts the error of the one inside it in quotes, as 4.96 has it."""
    found = re.search(pattern, text, flags=re.S)
    start = found.start() if found else 0
    while found is not None:
        changed = text[:start] + re.sub(pattern, replacement, text[start:], count=1, flags=re.S)
        text = re.sub(r'\\(["\\])', r"\1", changed)
        found = re.compile(pattern, re.S).match(text, start)
    return text


def excuse(text: str, ours: str, theirs: str) -> str | None:
    """Why two different answers are right; None: there is no reason."""
    for reason, words, other in BY_STRING:
        if re.search(words, text) and re.search(other, theirs) and (reason != "header" or HEADER_HINT in ours + theirs):
            return reason
    reasons: list[str] = []
    theirs = re.sub(r"to (utf8|alabel): .*", r"to \1: (the library)", theirs)
    for reason, pattern, replacement in KNOWN:
        changed = re.sub(pattern, replacement, ours, flags=re.S)
        if reason in ("inner", "defer"):
            changed = unquoted(ours, pattern, replacement)
        if changed != ours:
            reasons.append(reason)
            ours = changed
        if ours == theirs:
            return "+".join(reasons)
    if theirs == "(ended)":
        return "ended"
    if theirs == "Failed: " and ours.startswith(theirs):
        return "silent"
    if "does not take an _arg" in ours:
        return "argument"
    return None


def unknown_variables(ours: list[str], theirs: list[str]) -> frozenset[str]:
    """Names that only one program has; and what differs where nothing has happened is shown."""
    names = sorted(set(variables.table()) - OF_THE_MACHINE - {"value"})
    unknown: list[str] = []
    for name, mine, other in zip(
        names, *(answers(each, [f"<${name}>" for name in names]) for each in (ours, theirs)), strict=True
    ):
        if "unknown variable" in mine + other:
            unknown.append(name)
        elif mine != other:
            print(f"${name}: ours {mine} exim {other}")
    print("not in both programs:", " ".join(unknown))
    return frozenset(unknown)


def main() -> int:
    """Generate, ask both, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", default=str(Path(sys.executable).parent / "exim"))
    parser.add_argument("--exim", default=EXIM)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=40)
    parser.add_argument("--words", action="store_true", help="how often each word was used")
    options = parser.parse_args()
    with_user()
    differ, equal, errors = 0, 0, 0
    excused: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        config = prepare(directory)
        ours_command = [options.ours, "-C", str(config), "-be"]
        theirs_command = [options.exim, "-C", str(config), "-be"]
        generator = Generator(options.seed, name, unknown_variables(ours_command, theirs_command))
        seen: set[str] = set()
        while len(seen) < options.examples:
            batch: list[str] = []
            while len(batch) < BATCH and len(seen) < options.examples:
                text = generator.string()
                if text not in seen and fit(text):
                    batch.append(text)
                    seen.add(text)
            ours = answers(ours_command, batch)
            theirs = answers(theirs_command, batch)
            for text, mine, other in zip(batch, ours, theirs, strict=True):
                errors += other.startswith("Failed:")
                if mine == other:
                    equal += 1
                elif answers(ours_command, [text]) == (alone := answers(theirs_command, [text])):
                    excused["leak"] += 1  # in a process of its own the answer is the same
                elif (reason := excuse(text, mine, alone[0])) is not None:
                    excused[reason] += 1
                else:
                    differ += 1
                    if differ <= options.show:
                        print(f"{text!r}\n  ours: {mine!r}\n  exim: {alone[0]!r}")
    total = equal + differ + sum(excused.values())
    print(f"{total} strings ({errors} errors): {equal} equal, {dict(excused)} for known reasons, {differ} differ")
    if options.words:
        print(sorted(generator.used.items()))
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
