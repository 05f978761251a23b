"""`exigrep`: all log entries of the messages that match (Exim spec 54.4).

A message is shown when its `Completed` line (or the line that says it was rejected) comes; those still unfinished at the end of
the input come last, marked as such. Matching lines about no message stand alone.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from angaros.regex import Regex, RegexError
from angaros.tools.logline import MESSAGE_ID, LogLine, parse_line, seconds
from angaros.tools.program import ToolError, complain, finish, log_lines, long_options, write

USAGE = """Usage:
    exigrep [options] pattern [log] ...
"""
HELP = (
    USAGE
    + """
Options:
    -l|--literal
        All characters in the pattern stand for themselves. Otherwise the
        pattern is a (Perl compatible) regular expression. The match is
        case-insensitive.

    -t|--queue-time seconds
        Only messages that spent more than seconds in the queue.

    -I|--sensitive
        Do a case sensitive search.

    -v|--invert
        Show the messages that are not related to the pattern.

    -M|--related
        Search for related messages too.

    --no-pager
        Do not use a pager, even if the standard output is a terminal.

    -h|--help, -m|--man
        Print this text.
"""
)
OPTIONS = {
    "l": ("literal", False),
    "literal": ("literal", False),
    "t": ("time", True),
    "queue-time": ("time", True),
    "I": ("sensitive", False),
    "sensitive": ("sensitive", False),
    "v": ("invert", False),
    "invert": ("invert", False),
    "M": ("related", False),
    "related": ("related", False),
    "no-pager": ("no-pager", False),
    "h": ("help", False),
    "help": ("help", False),
    "m": ("help", False),
    "man": ("help", False),
}
_IDS = re.compile(rf"(?<![0-9A-Za-z])(?:{MESSAGE_ID})(?![0-9A-Za-z])")


@dataclass(slots=True)
class Entries:
    """What is known of one message."""

    lines: list[str] = field(default_factory=list)
    received: float | None = None
    wanted: bool = False


@dataclass(slots=True)
class Search:
    """A search over lines; `run` gives texts to print."""

    matches: Callable[[str], bool]
    invert: bool = False
    related: bool = False
    queue_time: int = -1
    messages: dict[str, Entries] = field(default_factory=dict)
    chosen: set[str] = field(default_factory=set)
    """Ids of messages that matched, for `related`."""

    def run(self, lines: Iterable[str]) -> Iterator[str]:
        """The output, a message at a time."""
        for line in lines:
            parsed = parse_line(line)
            if parsed is None:
                continue
            if parsed.message_id:
                yield from self._entry(parsed)
            elif self.matches(parsed.text) != self.invert:
                yield _ended(parsed.text) + "\n"
        for message_id, message in self.messages.items():
            if message.wanted != self.invert:
                yield f"+++ {message_id} has not completed +++\n{''.join(message.lines)}\n"

    def _entry(self, line: LogLine) -> Iterator[str]:
        message = self.messages.setdefault(line.message_id, Entries())
        message.lines.append(_ended(line.text))
        if not message.wanted and (self.matches(line.text) or (self.related and self._mentions(line))):
            message.wanted = True
            self.chosen.add(line.message_id)
        if line.rest.startswith("<= "):
            message.received = seconds(line.stamp)
        elif line.rest.startswith(("Completed", "rejected ")):
            del self.messages[line.message_id]
            spent = 0.0 if message.received is None else seconds(line.stamp) - message.received
            if message.wanted != self.invert and spent > self.queue_time:
                yield "".join(message.lines) + "\n"

    def _mentions(self, line: LogLine) -> bool:
        """Whether the line names a message that matched: a bounce has `R=` with the id of its cause."""
        return any(one in self.chosen for one in _IDS.findall(line.rest))


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _matcher(pattern: str, literal: bool, sensitive: bool) -> Callable[[str], bool]:
    if literal:
        if sensitive:
            return lambda line: pattern in line
        wanted = pattern.lower()
        return lambda line: wanted in line.lower()
    try:
        return Regex(pattern, caseless=not sensitive).matches
    except RegexError as error:
        raise ToolError(f"exigrep: {error}", 2) from error


def _page() -> None:
    """Let the pager read what is written, when there is a terminal to show it on."""
    import shlex
    import shutil
    import subprocess

    command = shlex.split(os.environ.get("PAGER", "")) or ["less", "-R"]
    if shutil.which(command[0]) is None:
        return
    pager = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert pager.stdin is not None
    os.dup2(pager.stdin.fileno(), 1)
    pager.stdin.close()
    import atexit

    def wait() -> None:
        sys.stdout.flush()
        os.close(1)
        pager.wait()

    atexit.register(wait)


def _run() -> int:
    arguments = [one for given in sys.argv[1:] for one in (("-t", given[2:]) if re.fullmatch(r"-t\d+", given) else (given,))]
    try:
        found, rest = long_options(arguments, OPTIONS)
    except ToolError as error:
        complain(str(error))
        raise ToolError(USAGE, 2) from None
    options = dict(found)
    if "help" in options:
        write(HELP)
        return 0
    if not rest:
        raise ToolError(USAGE, 2)
    if "time" in options and not options["time"].isdigit():
        raise ToolError(f"exigrep: {options['time']} is not a number of seconds", 2)
    search = Search(
        _matcher(rest[0], "literal" in options, "sensitive" in options),
        "invert" in options,
        "related" in options,
        int(options.get("time", "-1")),
    )
    unreadable = [path for path in rest[1:] if path != "-" and not os.access(path, os.R_OK)]
    if sys.stdout.isatty() and "no-pager" not in options:
        _page()
    for text in search.run(log_lines(rest[1:])):
        write(text)
    return 2 if unreadable else 0


def main() -> int:
    """`exigrep [options] pattern [log] ...`"""
    return finish(_run)
