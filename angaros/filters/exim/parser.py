"""Parser: filter text to commands. Exim filter spec 3.6 to 3.30. Messages are Exim's."""

from __future__ import annotations

import re
from collections.abc import Callable

from angaros.filters.exim.tree import Command, Condition
from angaros.filters.exim.words import Words
from angaros.filters.outcome import FilterError

MAX_DEPTH = 200
"""Nested conditions."""

MAIL_WORDS = frozenset(
    {"to", "cc", "bcc", "from", "reply_to", "subject", "extra_headers", "text", "file", "log", "once", "once_repeat"}
)

_COMPARISONS = ("begin", "end", "contain", "match")
_COMPARE = {f"{stem}{s}": f"{stem}s" if stem != "match" else "matches" for stem in _COMPARISONS for s in ("", "s")} | {
    "matches": "matches"
}
_WORD_CONDITIONS = frozenset({"delivered", "error_message", "first_delivery", "manually_thawed", "personal", "foranyaddress"})


def parse(text: str, *, system: bool, allowed: frozenset[str]) -> list[Command]:
    """Commands of a file. `system`: a system filter; `allowed`: what a user filter may end with. Raises FilterError."""
    return Parser(text, system, allowed).file()


class Parser:
    """One file."""

    def __init__(self, text: str, system: bool, allowed: frozenset[str]) -> None:
        self.words = Words(text)
        self.system = system
        self.allowed = allowed
        self.depth = 0

    def file(self) -> list[Command]:
        """Everything; a stray endif or else is an error."""
        commands, end = self._commands()
        if end:
            raise FilterError(f'unexpected "{end}" command near line {self.words.line} of filter file')
        return commands

    def _commands(self) -> tuple[list[Command], str]:
        """Commands up to elif, else, endif or the end; and which it was."""
        commands: list[Command] = []
        while not self.words.at_end:
            word = self.words.word()
            if word in ("elif", "else", "endif"):
                return commands, word
            commands.append(self._command(word))
        return commands, ""

    def _command(self, word: str) -> Command:
        seen: bool | None = None
        noerror = False
        while word in ("seen", "unseen", "noerror"):
            if word == "noerror":
                noerror = True
                if self.words.at_end:
                    raise FilterError(f'"noerror" near line {self.words.line} is not followed by a command')
            else:
                if seen is not None:
                    raise FilterError(f'"seen" or "unseen" repeated near line {self.words.line}')
                seen = word == "seen"
            words = '"seen", "unseen", or "noerror"' if noerror or not self.words.at_end else '"seen" or "unseen"'
            if self.words.at_end:
                raise FilterError(f"{words} near line {self.words.line} is not followed by a command")
            word = self.words.word()
        if word in ("elif", "else", "endif"):
            raise FilterError(f'"seen", "unseen", or "noerror" near line {self.words.line} is not followed by a command')
        parse_one = _COMMANDS.get(word)
        if parse_one is None:
            raise FilterError(f'unknown filtering command "{word}" near line {self.words.line} of filter file')
        if (seen is not None or noerror) and word in _UNMARKED:
            text = f'"seen", "unseen", or "noerror" found before an "{word}" command near line {self.words.line}'
            raise FilterError(text)
        command = Command(word, seen=seen, noerror=noerror)
        parse_one(self, command)
        return command

    # --- Commands with arguments ---------------------------------------------------------------------------------------

    def _argument(self, command: Command) -> None:
        value = "" if self.words.at_end else self.words.value()
        if not value:
            raise FilterError(f'"{command.name}" requires an argument near line {self.words.line} of filter file')
        command.arguments.append(value)

    def add(self, command: Command) -> None:
        """`add <number> to <variable>`."""
        self._argument(command)
        if self.words.word() != "to":
            raise FilterError(f'"to" expected in "add" command near line {self.words.line} of filter file')
        if self.words.at_end:
            raise FilterError(f'value missing after "to" near line {self.words.line} of filter file')
        command.arguments.append(self.words.value())

    def deliver(self, command: Command) -> None:
        """`deliver <address> [errors_to <address>]`."""
        self._argument(command)
        pos = self.words.pos
        if self.words.word() == "errors_to":
            command.arguments.append(self.words.value())
        else:
            self.words.pos = pos

    def save(self, command: Command) -> None:
        """`save <path> [<mode>]`."""
        self._argument(command)
        if self.words.peek().isdigit():
            command.arguments.append(self.words.word())

    def one(self, command: Command) -> None:
        """A command with one argument."""
        self._argument(command)

    def logfile(self, command: Command) -> None:
        """`logfile <path> [<mode>]`."""
        self.save(command)

    def none(self, command: Command) -> None:
        """`finish`."""

    def ending(self, command: Command) -> None:
        """`fail`, `freeze`, `defer`, with `text <string>`."""
        if not self.system and command.name not in self.allowed:
            text = f'filtering command "{command.name}" is disabled: near line {self.words.line} of filter file'
            raise FilterError(text)
        if self.words.peek() == '"':
            command.arguments.append(self.words.value())
            return
        pos, line = self.words.pos, self.words.line
        if self.words.word() == "text":
            command.arguments.append(self.words.value())
        else:
            self.words.pos, self.words.line = pos, line

    def headers(self, command: Command) -> None:
        """`headers add|remove|charset <string>`."""
        if self.words.at_end:
            raise FilterError(f'"headers" requires an argument near line {self.words.line} of filter file')
        word = self.words.word()
        if word not in ("add", "remove", "charset"):
            if self.system:
                raise FilterError(
                    f'"add", "remove", or "charset" expected after "headers" near line {self.words.line} of filter file'
                )
        if word != "charset" and not self.system:
            text = f"header addition and removal is available only in system filters: near line {self.words.line} of filter file"
            raise FilterError(text)
        command.arguments.append(word)
        value = "" if self.words.at_end else self.words.value()
        if not value:
            text = f'value missing after "add", "remove", or "charset" near line {self.words.line} of filter file'
            raise FilterError(text)
        command.arguments.append(value)

    def mail(self, command: Command) -> None:
        """`mail` and `vacation` with their keywords."""
        while True:
            pos, line = self.words.pos, self.words.line
            word = self.words.word()
            if word in MAIL_WORDS:
                command.mail[word] = self.words.value()
                if word == "file":
                    command.expand_file = False
            elif word == "return":
                self._followed_by(word, "message")
                command.return_message = True
            elif word == "expand":
                self._followed_by(word, "file")
                command.mail["file"] = self.words.value()
                command.expand_file = True
            else:
                self.words.pos, self.words.line = pos, line
                break
        if command.name == "vacation":
            for name, value in _VACATION.items():
                command.mail.setdefault(name, value)
            if "file" not in command.mail:
                command.mail["file"], command.expand_file = ".vacation.msg", True

    def _followed_by(self, word: str, wanted: str) -> None:
        if self.words.word() != wanted:
            raise FilterError(f'"{word}" not followed by "{wanted}"  near line {self.words.line} of filter file')

    # --- if ------------------------------------------------------------------------------------------------------------

    def conditional(self, command: Command) -> None:
        """`if ... then ... [elif ...] [else ...] endif`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FilterError(f"conditions nested too deeply near line {self.words.line} of filter file")
        word = "if"
        while word in ("if", "elif"):
            condition = self._condition(toplevel=True)
            commands, word = self._commands()
            command.branches.append((condition, commands))
            if not word:
                raise FilterError('"endif" missing at end of filter file')
        if word == "else":
            command.otherwise, word = self._commands()
            if not word:
                raise FilterError('"endif" missing at end of filter file')
        if word != "endif":
            raise FilterError(f'"endif" missing near line {self.words.line} of filter file')
        self.depth -= 1

    def _condition(self, *, toplevel: bool) -> Condition:
        """Up to `then`, or to `)`: `and` binds more tightly than `or`."""
        alternatives: list[Condition] = []
        conjunction: list[Condition] = []
        while True:
            if self.words.at_end:
                raise FilterError('"then" missing at end of filter file' if toplevel else '")" missing at end of filter file')
            conjunction.append(self._single())
            if not toplevel and self.words.take(")"):
                break
            if self.words.peek() == ")":
                raise FilterError(f'unexpected ")" in line {self.words.line} of filter file')
            word = self.words.word(brackets=True)
            if word == "then":
                if toplevel:
                    break
                raise FilterError(f'missing ")" at end of condition near line {self.words.line} of filter file')
            if word == "or":
                alternatives.append(_joined("and", conjunction))
                conjunction = []
            elif word != "and":
                expected = '"and" or "or" or "then"' if toplevel else '"and" or "or" or ")"'
                text = f'{expected} expected near line {self.words.line} of filter file, but found "{word}"'
                raise FilterError(text)
        alternatives.append(_joined("and", conjunction))
        return _joined("or", alternatives)

    def _single(self) -> Condition:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FilterError(f"conditions nested too deeply near line {self.words.line} of filter file")
        try:
            return self._one_condition()
        finally:
            self.depth -= 1

    def _one_condition(self) -> Condition:
        words = self.words
        if words.take("("):
            return self._condition(toplevel=False)
        if words.peek() == ")":
            raise FilterError(f'unexpected ")" in line {words.line} of filter file')
        quoted = words.peek() == '"'
        word = words.value(brackets=True)
        if quoted:
            return self._comparison(word)
        if word == "then":
            raise FilterError(f'unexpected "then" near line {words.line} of filter file')
        if word == "not":
            return Condition("not", parts=[self._single()])
        if word == "personal":
            return Condition("personal", aliases=self._aliases())
        if word == "foranyaddress":
            value = words.value(brackets=True)
            if not words.take("("):
                raise FilterError(f'"(" expected after "foranyaddress" near line {words.line} of filter file')
            return Condition("foranyaddress", left=value, parts=[self._condition(toplevel=False)])
        if word in _WORD_CONDITIONS:
            return Condition(word)
        return self._comparison(word)

    def _aliases(self) -> list[str]:
        aliases: list[str] = []
        while True:
            pos, line = self.words.pos, self.words.line
            if self.words.word(brackets=True) != "alias":
                self.words.pos, self.words.line = pos, line
                return aliases
            aliases.append(self.words.value(brackets=True))

    def _comparison(self, left: str) -> Condition:
        """`<value> [does not | is not] <operator> <value>`."""
        words = self.words
        word = words.word(brackets=True)
        upper = word.isupper()
        lowered = word.lower()
        negated = False
        if lowered in ("is", "does") and (lowered == word or upper):
            pos, line = words.pos, words.line
            following = words.word(brackets=True)
            if following.lower() == "not":
                negated = True
                pos, line = words.pos, words.line
                following = words.word(brackets=True)
            if lowered == "is" and following.lower() not in ("above", "below"):
                words.pos, words.line = pos, line
            else:
                word = following
                upper = word.isupper()
                lowered = word.lower()
        name = "is" if lowered == "is" else lowered if lowered in ("above", "below") else _COMPARE.get(lowered, "")
        if not name or not (word == lowered or upper):
            raise FilterError(f'unrecognized condition word "{word}" near line {words.line} of filter file')
        right = words.value(brackets=True)
        condition = Condition(name.upper() if upper and name not in ("above", "below") else name, left, right)
        return Condition("not", parts=[condition]) if negated else condition


def _joined(name: str, parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Condition(name, parts=parts)


_VACATION = {"subject": "On vacation", "log": ".vacation.log", "once": ".vacation", "once_repeat": "7d"}
"""What `vacation` adds to `mail`. Exim filter spec 3.14."""

_UNMARKED = frozenset({"add", "if", "headers"})
"""Commands that seen, unseen and noerror may not precede."""

_COMMANDS: dict[str, Callable[[Parser, Command], None]] = {
    "add": Parser.add,
    "defer": Parser.ending,
    "deliver": Parser.deliver,
    "fail": Parser.ending,
    "finish": Parser.none,
    "freeze": Parser.ending,
    "headers": Parser.headers,
    "if": Parser.conditional,
    "logfile": Parser.logfile,
    "logwrite": Parser.one,
    "mail": Parser.mail,
    "pipe": Parser.one,
    "save": Parser.save,
    "testprint": Parser.one,
    "vacation": Parser.mail,
}

IS_FILTER = re.compile(r"\s*#\s*exim\s+filter", re.IGNORECASE)
