"""Expansion strings from a generator, given to `exim -be` of both programs: what differs is shown.

    python scripts/fuzz_expand.py [--exim COMMAND] [--examples N] [--seed N] [--show N]

About half of the strings are well formed, the others are damaged. Two errors count as equal whatever their words (`--words`
compares those, too). Strings whose answer may differ for a reason (time, version, processes) are not generated.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

CONFIG = """primary_hostname = mx.example.org
headers_charset = iso-8859-1
keep_environment =
tls_advertise_hosts =
domainlist dlist = *.aa.bb : example.com
spool_directory = {directory}/spool
log_file_path = {directory}/spool/%slog
"""
PLAIN = (
    "a",
    "b",
    "abc",
    "x:y:z",
    "1",
    "2",
    "-1",
    "0",
    "10K",
    " ",
    "1.2.3.4",
    "::1",
    "a@b.c",
    "k=v w=x",
    "\\n",
    "\\x41",
    "[1,2]",
    "",
)
VARIABLES = (
    "$primary_hostname",
    "${qualify_domain}",
    "$acl_m0",
    "$h_to:",
    "$1",
    "$0",
    "$item",
    "$tls_bits",
    "$unknown",
)


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


UNARY = words(
    """lc uc strlen md5 sha1 sha256 eval eval10 base64 base64d base32 base32d base62 base62d hex2b64 hexquote escape escape8bit
    quote quote_local_part rxquote local_part domain address addresses mask reverse_ip ipv6norm ipv6denorm time_eval time_interval
    listcount from_utf8 utf8clean hash_3 hash_5_62 nhash_7 nhash_3_5 length_2 substr_1 substr_-2_1 l_2 s_1_1 rfc2047 expand
    listnamed str2b64"""
)
COMPARISONS = words("eq eqi lt lti le lei gt gti ge gei = == < <= > >= inlist inlisti match match_domain match_local_part")
SINGLE = words("isip isip4 isip6 exists bool bool_lax")
MAX_LENGTH = 250
"""Exim refuses longer arguments."""
DAMAGE = ("", "}", "{", "$", "${", "\\", "fail", "{x}", ":", "x")


class Generator:
    """Makes strings."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self, depth: int) -> str:
        """Some pieces after each other."""
        return "".join(self.piece(depth) for _ in range(self.random.choice((1, 1, 1, 2, 3))))

    def piece(self, depth: int) -> str:
        """A literal, a variable, or something in braces."""
        choice = self.random.random()
        if depth <= 0 or choice < 0.3:
            return self.random.choice(PLAIN)
        if choice < 0.45:
            return self.random.choice(VARIABLES)
        if choice < 0.7:
            return f"${{{self.random.choice(UNARY)}:{self.text(depth - 1)}}}"
        return self.item(depth - 1)

    def item(self, depth: int) -> str:
        """An item with braces."""
        group, condition = self.group, self.condition
        forms = (
            lambda: f"${{if {condition(depth)}{self.branches(depth)}}}",
            lambda: f"${{extract{group(depth)}{group(depth)}{self.branches(depth)}}}",
            lambda: f"${{extract{{{self.random.randint(-3, 4)}}}{group(depth)}{group(depth)}{self.branches(depth)}}}",
            lambda: f"${{listextract{{{self.random.randint(-3, 4)}}}{group(depth)}{self.branches(depth)}}}",
            lambda: f"${{map{group(depth)}{group(depth)}}}",
            lambda: f"${{filter{group(depth)}{{{condition(depth)}}}}}",
            lambda: f"${{reduce{group(depth)}{group(depth)}{group(depth)}}}",
            lambda: f"${{tr{group(depth)}{group(depth)}{group(depth)}}}",
            lambda: f"${{sg{group(depth)}{group(depth)}{group(depth)}}}",
            lambda: f"${{substr{group(depth)}{group(depth)}{group(depth)}}}",
            lambda: f"${{length{group(depth)}{group(depth)}}}",
            lambda: f"${{hash{group(depth)}{group(depth)}}}",
            lambda: f"${{listquote{group(depth)}{group(depth)}}}",
            lambda: f"${{hmac{{md5}}{group(depth)}{group(depth)}}}",
            lambda: f"${{env{group(depth)}{self.branches(depth)}}}",
        )
        return self.random.choice(forms)()

    def group(self, depth: int) -> str:
        """Text in braces."""
        return "{" + self.text(depth) + "}"

    def branches(self, depth: int) -> str:
        """The strings to choose from."""
        yes, no = self.group(depth), self.group(depth)
        return self.random.choice(("", yes, yes + no, yes + " fail", f" {yes} {no} "))

    def condition(self, depth: int) -> str:
        """A condition."""
        choice = self.random.random()
        if choice < 0.5:
            return f"{self.random.choice(COMPARISONS)} {self.group(depth)}{self.group(depth)}"
        if choice < 0.65:
            return self.random.choice(SINGLE) + self.group(depth)
        if choice < 0.75:
            return self.random.choice(("def:primary_hostname", "def:acl_m0", "def:h_x:", "def:unknown"))
        if depth <= 0 or choice < 0.8:
            return "!eq{a}{b}"
        if choice < 0.9:
            return f"{self.random.choice(('and', 'or'))}{{{{{self.condition(depth - 1)}}}{{{self.condition(depth - 1)}}}}}"
        return f"{self.random.choice(('forany', 'forall'))}{self.group(depth)}{{{self.condition(depth - 1)}}}"

    def string(self) -> str:
        """A string, perhaps damaged."""
        text = self.text(self.random.choice((1, 2, 2, 3)))
        if self.random.random() < 0.4 and text:
            at = self.random.randrange(len(text))
            text = text[:at] + self.random.choice(DAMAGE) + text[at + self.random.choice((0, 1)) :]
        return text


def answers(command: list[str], strings: list[str]) -> list[str]:
    """What `-be` says to each, one process for a batch; one for each string when a batch cannot be told apart."""
    done = subprocess.run([*command, *strings], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    lines = done.stdout.decode("latin-1").split("\n")[:-1]
    if len(lines) == len(strings):
        return lines
    if len(strings) == 1:
        return ["\n".join(lines)]
    half = len(strings) // 2
    return answers(command, strings[:half]) + answers(command, strings[half:])


def differs(ours: str, theirs: str, words: bool) -> bool:
    """Whether two answers are not the same."""
    if ours.startswith("Failed:") and theirs.startswith("Failed:") and not words:
        return False
    return ours != theirs


def main() -> int:
    """Generate, ask both, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", default=str(Path(sys.executable).parent / "exim"))
    parser.add_argument("--exim", default="/opt/exim-heavy/root/usr/sbin/exim4")
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=40)
    parser.add_argument("--words", action="store_true")
    options = parser.parse_args()
    generator = Generator(options.seed)
    strings = [generator.string() for _ in range(options.examples)]
    # A line that begins with a capital letter is a macro definition to both; a newline in an argument confuses the count.
    strings = [text for text in strings if text and not text[:1].isupper() and len(text) <= MAX_LENGTH]
    found = 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "spool").mkdir(mode=0o777)
        (directory / "spool").chmod(0o777)
        config = directory / "exim.conf"
        config.write_text(CONFIG.format(directory=directory))
        config.chmod(0o644)
        for start in range(0, len(strings), 60):
            batch = strings[start : start + 60]
            ours = answers([options.ours, "-C", str(config), "-be"], batch)
            theirs = answers([options.exim, "-C", str(config), "-be"], batch)
            for text, mine, other in zip(batch, ours, theirs, strict=True):
                if differs(mine, other, options.words):
                    found += 1
                    if found <= options.show:
                        print(f"{text!r}\n  ours: {mine!r}\n  exim: {other!r}")
    print(f"{len(strings)} strings, {found} differ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
