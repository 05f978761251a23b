"""`exiqgrep`: messages of the queue that match (Exim spec 54.2). Runs `exim -bpu` or, with -a, `exim -bp`."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from angaros.regex import Regex, RegexError
from angaros.spool.ids import id_time
from angaros.tools.program import ToolError, complain, finish, reading_exim, write

HELP = """Exim message queue display utility.

\t-h\t\tThis help message.
\t-C\t\tSpecify which exim.conf to use.
\t-E\t\tSpecify exim binary to use.

Selection criteria:
\t-f <regexp>\tMatch sender address sender (field is "< >" wrapped)
\t-r <regexp>\tMatch recipient address
\t-s <regexp>\tMatch against the size field from long output
\t-y <seconds>\tMessage younger than
\t-o <seconds>\tMessage older than
\t-z\t\tFrozen messages only (exclude non-frozen)
\t-x\t\tNon-frozen messages only (exclude frozen)
\t-G <queuename>\tMatch in given queue only

[ NB: for regexps, provided string sits in /<string>/ ]

Display options:
\t-c\t\tDisplay match count
\t-l\t\tLong Format [Default]
\t-i\t\tMessage IDs only
\t-b\t\tBrief Format
\t-R\t\tReverse order
\t-a\t\tAll recipients (including delivered)
"""
HEAD = re.compile(
    r"^\s*(?P<age>\d+[mhdw])\s+(?P<size>\d[\d.]*[KM]?)?\s+(?P<id>[0-9A-Za-z]{6}-\w{6,11}-\w{2,4})\s+(?P<sender><.*?>)"
    r"(?P<login> \([^)]*\))?(?P<frozen> \*\*\* frozen \*\*\*)?(?: \*\*\* held until [-:. 0-9]+ \*\*\*)?\s*$"
)
RECIPIENT = " " * 7
"""How a recipient's line begins; a message's begins with its age."""
SELECTIONS = "frsyozxG"


@dataclass(slots=True)
class Queued:
    """A message as `-bp` shows it."""

    message_id: str
    age: str
    size: str
    sender: str
    """With its angle brackets."""
    login: str = ""
    frozen: bool = False
    recipients: list[str] = field(default_factory=list)
    """`D ` and `+D ` before those that are done."""


def parse_queue(lines: Iterable[str]) -> Iterator[Queued]:
    """Messages in the output of `-bp`, as it comes."""
    message: Queued | None = None
    for line in lines:
        match = HEAD.match(line) if line[:7] != RECIPIENT else None
        if match:
            if message is not None:
                yield message
            size, login = match["size"] or "", (match["login"] or "").strip(" ()")
            message = Queued(match["id"], match["age"], size, match["sender"], login, match["frozen"] is not None)
        elif message is not None and line.strip():
            message.recipients.append(line.strip())
    if message is not None:
        yield message


def _pattern(text: str) -> Regex:
    try:
        return Regex(text, caseless=True)
    except RegexError as error:
        raise ToolError(f"exiqgrep: {error}") from error


class Selection:
    """The criteria: a message must fit all."""

    def __init__(self, options: dict[str, str], now: float) -> None:
        self._options = options
        self._now = now
        self._patterns = {name: _pattern(options[name]) for name in "frs" if name in options}

    def fits(self, message: Queued) -> bool:
        """Whether to show it."""
        options, patterns = self._options, self._patterns
        age = self._now - id_time(message.message_id)
        return not (
            ("z" in options and not message.frozen)
            or ("x" in options and message.frozen)
            or ("o" in options and age < _seconds(options["o"]))
            or ("y" in options and age > _seconds(options["y"]))
            or ("f" in patterns and not patterns["f"].matches(message.sender))
            or ("s" in patterns and not patterns["s"].matches(message.size))
            or ("r" in patterns and not any(patterns["r"].matches(one) for one in message.recipients))
        )


def _seconds(text: str) -> int:
    if not text.isdigit():
        raise ToolError(f"exiqgrep: {text} is not a number of seconds")
    return int(text)


def show(message: Queued, form: str) -> str:
    """In the long form, brief (`b`), or only the id (`i`)."""
    if form == "i":
        return message.message_id + "\n"
    if form == "b":
        return f"{message.message_id} From: {message.sender} To: {';'.join(message.recipients)}\n"
    frozen = " *** frozen ***" if message.frozen else ""
    head = f"{message.age:>3}  {message.size:>4} {message.message_id} {message.sender}{frozen}\n"
    return head + "".join(f"\t  {one}\n" for one in message.recipients) + "\n"


def _options(arguments: list[str]) -> dict[str, str] | None:
    import getopt

    try:
        pairs, _ = getopt.getopt(arguments, "hf:r:y:o:s:C:zxlibRcaG:E:", ["help"])
    except getopt.GetoptError as error:
        complain(f"Unknown option: {error.opt}")
        return None
    return {name.lstrip("-"): value for name, value in pairs}


def _run() -> int:
    options = _options(sys.argv[1:])
    if options is None or "h" in options or "help" in options:
        write(HELP)
        return 0 if options is not None else 1
    if not any(one in options for one in SELECTIONS + "c"):
        write(HELP)
        return 1
    config = ["-C", options["C"]] if options.get("C") else []
    queue = [f"-qG{options['G']}"] if options.get("G") else []
    with reading_exim([*config, "-bp" if "a" in options else "-bpu", *queue], options.get("E", "")) as exim:
        chosen = _Counted(parse_queue(exim.lines))
        _show(filter(Selection(options, time.time()).fits, chosen), options, chosen)
    return exim.status


class _Counted:
    """Goes through messages once and knows how many there were."""

    def __init__(self, messages: Iterable[Queued]) -> None:
        self._messages = messages
        self.count = 0

    def __iter__(self) -> Iterator[Queued]:
        for message in self._messages:
            self.count += 1
            yield message


def _show(found: Iterable[Queued], options: dict[str, str], everything: _Counted) -> None:
    """A message as soon as it is known, unless the order or the number asks for all."""
    if "c" in options:
        matches = sum(1 for _ in found)
        write(f"{matches} matches out of {everything.count} messages\n")
        return
    form = next((one for one in "ib" if one in options), "l")
    for message in reversed(list(found)) if "R" in options else found:
        write(show(message, form))


def main() -> int:
    """`exiqgrep [options]`"""
    return finish(_run)
