"""`exipick`: messages of the queue by criteria on their variables (Exim spec 54.5, and `exipick --help`)."""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from angaros import EXIM_VERSION
from angaros.model.message import Message
from angaros.regex import Regex, RegexError
from angaros.spool.codec import SpoolFormatError
from angaros.spool.ids import is_message_id
from angaros.spool.listing import age_text, size_text
from angaros.tools.exipick_vars import EACH, VARIABLES, delivered, load, undelivered, value
from angaros.tools.program import ToolError, complain, finish, long_options, settings, write

USAGE = """Usage:
      exipick [<options>] [<criterion> [<criterion> ...]]
      exipick --help

A criterion is `$variable`, `!$variable` or `$variable operator value`, with the operators < <= > >= == != for numbers (that may
have one of d h m s M K B behind them) and = eq ne =~ !~ for strings.

Options:
  --and, --or, --not          all criteria (default), any of them, the contrary of each
  -bp, -l, -bpa, -bpr, -bpra, -bpru, -bpu, -bpc   as with exim; --flatq: a line a message
  -b, -c, -i                  brief, count, ids (exiqgrep)
  -f, -r, -s <re>             sender, recipients, shown size; -o, -y <seconds>: older, younger; -x, -z: not frozen, frozen
  --caseful                   = heeds the case
  --config, -C <file>         where to learn the spool directory from
  --spool, --queue, --input-dir, --finput         other places
  --freeze, --thaw <file>     save the queue's ids, use them
  --random, --reverse, -R, --unsorted, --sort <variable,...>
  --show-vars <variable,...>  ^re for all that match; --show-rules, --show-tests
  --size                      octets of all messages shown
  --version
"""
_FLAGS = (
    "and or not b bp l bpa bpc bpr bpra bpru bpu c caseful finput flatq help man i random reverse R show-rules show-tests size "
    "unsorted version x z a"
)
_VALUES = "C config charset f freeze input-dir o queue r s spool show-vars sort thaw y E G"
OPTIONS = {name: (name, False) for name in _FLAGS.split()} | {name: (name, True) for name in _VALUES.split()}
_CRITERION = re.compile(r"(!*)\s*\$?([A-Za-z_][\w:-]*)\s*(?:(<=|>=|==|!=|=~|!~|<|>|=|eq\b|ne\b)\s*(.*))?", re.DOTALL)
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)([dhmsMKB]?)")
_FACTORS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "M": 1048576, "K": 1024, "B": 1, "": 1}
_NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


LONG = frozenset({"message_body", "message_headers"})
"""Shown only when they are asked for by their full names."""


@dataclass(slots=True)
class Criterion:
    """One test."""

    variable: str
    operator: str
    operand: str
    negated: bool
    test: Callable[[str], bool]

    def rule(self) -> str:
        """For --show-rules."""
        return f"{'!' if self.negated else ''}${self.variable}\t{self.operator} {self.operand}".rstrip()


def _numeric(operator: str, operand: str) -> Callable[[str], bool]:
    match = _NUMBER.fullmatch(operand)
    if match is None:
        raise ToolError(f"Expression {operator} {operand} did not parse")
    limit, compare = float(match[1]) * _FACTORS[match[2]], _NUMERIC[operator]

    def test(text: str) -> bool:
        found = re.match(r"-?\d+(?:\.\d+)?", text)
        return compare(float(found[0]) if found else 0.0, limit)

    return test


def _expression(operator: str, operand: str, caseful: bool) -> Callable[[str], bool]:
    match = re.fullmatch(r"/(.*)/([imsx]*)", operand, re.DOTALL)
    pattern, flags = (match[1], match[2]) if match else (operand, "")
    caseless = "i" in flags or (operator == "=" and not caseful)
    extra = "".join(flag for flag in flags if flag in "msx")
    try:
        found = Regex(f"(?{extra}){pattern}" if extra else pattern, caseless=caseless).matches
    except RegexError as error:
        raise ToolError(f"exipick: {error}") from error
    return (lambda text: not found(text)) if operator == "!~" else found


def criterion(text: str, *, caseful: bool = False, negate: bool = False) -> Criterion:
    """Parse one. Raises ToolError."""
    match = _CRITERION.fullmatch(text.strip())
    if match is None:
        raise ToolError(f"Expression {text} did not parse")
    bangs, variable, operator, operand = match[1], match[2], match[3] or "", (match[4] or "").strip()
    if operator and not operand and operator not in ("eq", "ne"):
        raise ToolError(f"Expression {text} did not parse")
    if not operator:
        test: Callable[[str], bool] = bool
    elif operator in _NUMERIC:
        test = _numeric(operator, operand)
    elif operator in ("eq", "ne"):
        test = (lambda value: value == operand) if operator == "eq" else (lambda value: value != operand)
    else:
        test = _expression(operator, operand, caseful)
    return Criterion(variable, operator, operand, (len(bangs) % 2 == 1) != negate, test)


@dataclass(slots=True)
class Pick:
    """What to choose and how to show it."""

    options: dict[str, str]
    criteria: list[Criterion]
    now: float
    shown: list[str] = field(default_factory=list)
    """Variables for --show-vars, with patterns."""

    def fits(self, message: Message) -> bool:
        """Whether the message is chosen."""
        if not self.criteria:
            return True
        answers: Iterable[bool] = (self._answer(message, one) for one in self.criteria)
        if "show-tests" in self.options:
            answers = list(answers)
        return any(answers) if "or" in self.options else all(answers)

    def _answer(self, message: Message, one: Criterion) -> bool:
        if one.variable in EACH:
            each = [one.test(address) for address in EACH[one.variable](message)]
            answer = any(each) if "or" in self.options else bool(each) and all(each)
        else:
            answer = one.test(value(message, one.variable, self.now))
        answer = answer != one.negated
        if "show-tests" in self.options:
            write(f"{message.id}\n{'$' + one.variable:>27} =  '{value(message, one.variable, self.now)}'\n")
            write(f"{(one.operator + ' ' + one.operand).strip() or '($var) ? 1 : 0':>27} => {int(answer)}\n")
        return answer

    def variables(self, message: Message) -> list[tuple[str, str]]:
        """What --show-vars asks for."""
        out = []
        for name in self.shown:
            if not name.startswith("^"):
                out.append((name, value(message, name, self.now)))
                continue
            pattern = re.compile(name)
            out += [
                (one, text)
                for one in VARIABLES
                if one not in LONG and pattern.search(one) and (text := value(message, one, self.now))
            ]
        return out

    # --- Showing ------------------------------------------------------------------------------------------------------

    def show(self, message: Message) -> str:
        """In the form that was asked for."""
        pairs = self.variables(message)
        if "i" in self.options:
            return message.id + "".join(f" {name}='{text}'" for name, text in pairs) + "\n"
        if "b" in self.options:
            return f"{message.id} From: <{message.sender_address}> To: {';'.join(undelivered(message))}\n"
        frozen = " *** frozen ***" if message.frozen else ""
        age = age_text(self.now - message.received_time)
        if "flatq" in self.options:
            middle = ";".join(f"{name}='{text}'" for name, text in pairs) if pairs else size_text(message.message_size).strip()
            head = f"{age}{middle:>5} {message.id} <{message.sender_address}>{frozen}"
            return f"{head} {' '.join(undelivered(message))}".rstrip() + "\n"
        login = f" ({message.session.originator_login})" if message.sender_set_untrusted else ""
        head = f"{age}{size_text(message.message_size)} {message.id} <{message.sender_address}>{login}{frozen}\n"
        return head + "".join(f"{name:>27} = '{text}'\n" for name, text in pairs) + self._recipients(message) + "\n"

    def _recipients(self, message: Message) -> str:
        only_undelivered = any(one in self.options for one in ("bpu", "bpru"))
        done = set(delivered(message))
        lines = [
            f"        {'D' if one.address in done else ' '} {one.address}\n"
            for one in message.recipients
            if not (only_undelivered and one.address in done)
        ]
        if any(one in self.options for one in ("bpa", "bpra")):
            top = {one.address for one in message.recipients}
            lines += [f"       +D {address}\n" for address in sorted(message.non_recipients - top)]
        return "".join(lines)


def _criteria(options: list[tuple[str, str]], texts: list[str]) -> list[Criterion]:
    names = dict(options)
    caseful, negate = "caseful" in names, "not" in names
    short = {
        "f": "$sender_address =~ /{}/i",
        "r": "$recipients =~ /{}/i",
        "s": "$shown_message_size eq {}",
        "o": "$message_age > {}",
        "y": "$message_age < {}",
        "x": "!$deliver_freeze",
        "z": "$deliver_freeze",
    }
    given = [short[name].format(text) for name, text in options if name in short]
    return [criterion(text, caseful=caseful, negate=negate) for text in [*given, *texts]]


def _place(options: dict[str, str]) -> str:
    """The directory with the messages."""
    name = options.get("input-dir", "Finput" if "finput" in options else "input")
    if name.startswith("/"):
        return name
    spool = options.get("spool", "")
    if not spool:
        config = options.get("C", options.get("config", ""))
        spool = settings(["spool_directory"], ["-C", config] if config else [], options.get("E", "")).get("spool_directory", "")
    queue = queue_of(options)
    return f"{spool}/{queue}/{name}" if queue else f"{spool}/{name}"


Place = tuple[str, str]
"""Directory and id of a message."""


def find(base: str) -> Iterator[Place]:
    """All messages, split spool or not."""
    try:
        names = os.listdir(base)
    except OSError as error:
        raise ToolError(f"Couldn't opendir {base}: {error.strerror}") from error
    for name in names:
        if len(name) == 1 and os.path.isdir(f"{base}/{name}"):
            yield from find(f"{base}/{name}")
        elif name[-2:] == "-H" and is_message_id(name[:-2]):
            yield base, name[:-2]


def _places(options: dict[str, str]) -> list[Place]:
    """Where the messages are that may be chosen, in the order of the queue."""
    places = list(find(_place(options)))
    if "thaw" in options:
        try:
            with open(options["thaw"], encoding="ascii") as file:
                wanted = {line.strip() for line in file}
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(f"exipick: can't read {options['thaw']}: {error}") from error
        places = [place for place in places if place[1] in wanted]
    if "random" in options:
        random.shuffle(places)
    elif not any(one in options for one in ("unsorted", "bpr", "bpra", "bpru")):
        places.sort(key=lambda place: place[1])
    if "reverse" in options or "R" in options:
        places.reverse()
    return places


def _messages(places: Iterable[Place], queue_name: str) -> Iterator[Message]:
    for directory, message_id in places:
        try:
            yield load(directory, message_id, queue_name)
        except FileNotFoundError:
            continue  # delivered meanwhile
        except (OSError, SpoolFormatError) as error:
            complain(f"exipick: {message_id}: {error}")


def _in_order(found: Iterable[Message], pick: Pick) -> Iterator[Message]:
    """As --sort asks. Only the ranks are kept meanwhile, and the chosen messages read again: a queue may be long."""
    options = pick.options
    if "sort" not in options:
        yield from found
        return
    names = options["sort"].split(",")

    def rank(message: Message) -> list[tuple[float, str]]:
        texts = [value(message, name.lstrip("$"), pick.now) for name in names]
        return [(float(text) if _NUMBER.fullmatch(text) else 0.0, text) for text in texts]

    ranks = [(rank(message), (os.path.dirname(message.body_path), message.id)) for message in found]
    ranks.sort(key=lambda one: one[0], reverse="reverse" in options or "R" in options)
    yield from _messages((place for _, place in ranks), queue_of(options))


def queue_of(options: dict[str, str]) -> str:
    """The named queue that is asked for."""
    return options.get("queue", options.get("G", ""))


def _run() -> int:
    pairs, texts = long_options(sys.argv[1:], OPTIONS)
    options = dict(pairs)
    if "help" in options or "man" in options:
        write(USAGE)
        return 0
    if "version" in options:
        write(f"exipick: {sys.argv[0]}\nbuild: {EXIM_VERSION}\n")
        return 0
    names = [name.lstrip("$") for name in options.get("show-vars", "").split(",") if name]
    pick = Pick(options, _criteria(pairs, texts), time.time(), names)
    if "show-rules" in options:
        write("".join(f"{one.rule()}\n" for one in pick.criteria))
    places = _places(options)
    if "freeze" in options:
        with open(options["freeze"], "w", encoding="ascii") as file:
            file.writelines(f"{message_id}\n" for _, message_id in places)
    _report(filter(pick.fits, _messages(places, queue_of(options))), pick, len(places))
    return 0


def _report(found: Iterable[Message], pick: Pick, everything: int) -> None:
    options = pick.options
    if "c" in options:
        write(f"{sum(1 for _ in found)} matches out of {everything} messages\n")
    elif "bpc" in options:
        write(f"{sum(1 for _ in found)}\n")
    elif "size" in options:
        write(f"{sum(message.message_size for message in found)}\n")
    else:
        for message in _in_order(found, pick):
            write(pick.show(message))


def main() -> int:
    """`exipick [options] [criteria]`"""
    return finish(_run)
