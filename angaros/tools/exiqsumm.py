"""`exiqsumm`: a summary by domain of what `exim -bp` prints (Exim spec 54.3)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from angaros.tools.exiqgrep import Queued, parse_queue
from angaros.tools.program import ToolError, finish, write

UNITS = {"": 1, "K": 1024, "M": 1024 * 1024}
MINUTES = {"m": 1, "h": 60, "d": 1440, "w": 10080}
USAGE = "Usage: exim -bp | exiqsumm [-a|-c] [-b] [-f] [-s]"
RULE = "---------------------------------------------------------------\n"


def octets(size: str) -> int:
    """`2.9K` in octets."""
    if not size:
        return 0
    unit = size[-1] if size[-1] in UNITS else ""
    return int(float(size.removesuffix(unit)) * UNITS[unit])


def minutes(age: str) -> int:
    """`3h` in minutes."""
    return int(age[:-1]) * MINUTES[age[-1]]


def volume(size: int) -> str:
    """As the columns show it: octets below ten thousand, KB, MB."""
    if size < 10_000:
        return str(size)
    if size < 10_000 * 1024:
        return f"{(size + 512) // 1024}KB"
    return f"{(size + 512 * 1024) // (1024 * 1024)}MB"


@dataclass(slots=True)
class Total:
    """Of one line."""

    count: int = 0
    size: int = 0
    oldest: str = ""
    newest: str = ""

    def add(self, message: Queued) -> None:
        """One more delivery."""
        self.count += 1
        self.size += octets(message.size)
        if not self.oldest or minutes(message.age) > minutes(self.oldest):
            self.oldest = message.age
        if not self.newest or minutes(message.age) < minutes(self.newest):
            self.newest = message.age

    def line(self, name: str) -> str:
        """`Count  Volume  Oldest  Newest  Domain`."""
        return f"{self.count:5}  {volume(self.size):>6}  {self.oldest or '0m':>6}  {self.newest or '0m':>6}  {name}\n"


def line_name(message: Queued, address: str, split: frozenset[str]) -> str:
    """The line that a delivery counts for: the domain, and what `split` asks to keep apart (b, f, s)."""
    name = address.rpartition("@")[2].lower()
    if "s" in split:
        sender = message.sender.strip("<>").rpartition("@")[2].lower()
        name = f"{sender or '<>'} > {name}"
    if "b" in split and message.sender == "<>":
        name += " (b)"
    if "f" in split and message.frozen:
        name += " (f)"
    return name


def summarize(messages: Iterable[Queued], split: frozenset[str]) -> tuple[dict[str, Total], Total]:
    """Totals by line, and of all."""
    lines: dict[str, Total] = {}
    everything = Total()
    for message in messages:
        for recipient in message.recipients:
            if "@" in recipient and not recipient.startswith(("D ", "+D ")):
                lines.setdefault(line_name(message, recipient, split), Total()).add(message)
                everything.add(message)
    return lines, everything


def report(messages: Iterable[Queued], order: str = "", split: frozenset[str] = frozenset()) -> str:
    """The text. `order`: `a` oldest first, `c` most first; else by name."""
    lines, everything = summarize(messages, split)
    names: Sequence[str] = sorted(lines)
    if order == "a":
        names = sorted(names, key=lambda name: -minutes(lines[name].oldest))
    elif order == "c":
        names = sorted(names, key=lambda name: -lines[name].count)
    head = "\nCount  Volume  Oldest  Newest  Domain\n-----  ------  ------  ------  ------\n\n"
    return head + "".join(lines[name].line(name) for name in names) + RULE + everything.line("TOTAL") + "\n"


def _run() -> int:
    letters = []
    for argument in sys.argv[1:]:
        if argument.startswith("-") and argument[1:].strip("acbfs") == "" and len(argument) > 1:
            letters += list(argument[1:])
        else:
            raise ToolError(USAGE)
    order = next((one for one in reversed(letters) if one in "ac"), "")
    write(report(parse_queue(line.decode("latin-1") for line in sys.stdin.buffer), order, frozenset(letters) & frozenset("bfs")))
    return 0


def main() -> int:
    """`exim -bp | exiqsumm [-a|-c] [-b] [-f] [-s]`"""
    return finish(_run)
