"""Obeying a parsed Exim filter. Exim filter spec 3.6 to 3.20."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from angaros.config.values import parse_time
from angaros.filters.exim.conditions import holds
from angaros.filters.exim.parser import parse
from angaros.filters.exim.tree import Command
from angaros.filters.outcome import FilterError, FilterOutcome, Item, c_quoted
from angaros.logs.text import printing
from angaros.mime.addresses import AddressRules, extract_address, split_addresses
from angaros.mime.headers import header_type
from angaros.model.errors import ExpansionError
from angaros.model.message import Header
from angaros.model.reply import Reply
from angaros.model.scope import Scope
from angaros.model.text import concat, untaint

FORBIDDEN_OPTIONS = ("dlfunc", "existstest", "lookup", "perl", "readfile", "readsocket", "run")
"""`forbid_filter_...` options that expansions obey."""

SHOWN_RECIPIENTS = 256
"""Octets of recipients of a reply that name the delivery."""

MAX_REASON = 1000
"""Octets of the text of `fail`, `freeze` and `defer`."""

_MAIL_HEADERS = {"to": "to", "cc": "cc", "bcc": "bcc", "from": "from_", "reply_to": "reply_to", "subject": "subject"}


@dataclass(slots=True)
class FilterSetting:
    """How a filter runs."""

    scope: Scope
    """Expansions; its `local` may be changed."""
    system: bool = False
    testing: bool = False
    """-bf, -bF: only tell."""
    allowed: frozenset[str] = frozenset()
    """Of `fail`, `freeze`, `defer`."""
    may_log: bool = True
    write_log: Callable[[str, int, str], None] | None = None
    """(path, mode, text): append to a log file as the right user. OSError."""
    log_ids: tuple[int, int] | None = None
    """uid and gid with which `write_log` writes; None: our own."""
    own_addresses: tuple[str, ...] = ()
    """What `errors_to` may name, and what `personal` takes for the user's."""


def run_exim_filter(text: str, setting: FilterSetting) -> FilterOutcome:
    """Parse and obey. Raises FilterError."""
    # The text is the filter's author's, even when the router's `data` expanded something into it.
    commands = parse(untaint(text), system=setting.system, allowed=setting.allowed)
    run = _Run(setting)
    try:
        run.obey(commands)
    except FilterError as error:
        error.transcript = run.told
        raise
    run.outcome.transcript = run.told
    return run.outcome


class _Finished(Exception):
    """`finish`, `fail`, ...: nothing more is obeyed."""


@dataclass(slots=True)
class _Run:
    setting: FilterSetting
    outcome: FilterOutcome = field(default_factory=FilterOutcome)
    told: list[str] = field(default_factory=list)
    logfile: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        for number in range(10):
            self.setting.scope.local[f"n{number}"] = "0"

    # --- Walking ---------------------------------------------------------------------------------------------------------

    def obey(self, commands: list[Command]) -> None:
        """All commands, until one ends the run."""
        try:
            self._all(commands)
        except _Finished:
            return

    def _all(self, commands: list[Command]) -> None:
        for command in commands:
            if command.name == "if":
                self._branch(command)
            else:
                self.outcome.delivered = self.outcome.delivered or command.seen is True
                _OBEY[command.name](self, command)

    def _branch(self, command: Command) -> None:
        for condition, commands in command.branches:
            if holds(condition, self.setting.scope, self.outcome, self.setting.own_addresses):
                self._all(commands)
                return
        self._all(command.otherwise)

    def _expand(self, text: str, command: Command) -> str:
        try:
            return self.setting.scope.expand(text)
        except ExpansionError as error:
            raise FilterError(f"failed to expand {c_quoted(text)} in {command.name} command: {error}") from error

    def _printable(self, text: str) -> str:
        """As test runs show strings."""
        return printing(text, top_bit=self.setting.scope.services.config.main.print_topbitchars)

    def _tell(self, text: str) -> bool:
        """A line of a test run; False: this is a real one."""
        if self.setting.testing:
            self.told.append(text)
        return self.setting.testing

    def _significant(self, command: Command, default: bool) -> str:
        """Note `seen` and `unseen`; the word for a test run."""
        seen = command.seen if command.seen is not None else default
        if seen:
            self.outcome.delivered = True
        if seen == default:
            return ""
        return "Seen " if seen else "Unseen "

    # --- Deliveries ------------------------------------------------------------------------------------------------------

    def deliver(self, command: Command) -> None:
        """`deliver`."""
        address = self._address(self._expand(command.arguments[0], command))
        errors_to = None
        if len(command.arguments) > 1:
            errors_to = self._errors_to(self._expand(command.arguments[1], command))
        word = self._significant(command, True)
        line = f"{word}{'deliver' if word else 'Deliver'} message to: {address}"
        line += f" errors_to {errors_to}" if errors_to is not None else ""
        if not self._tell(line + _noerror(command)):
            self._add(command, Item("address", address, errors_to=errors_to))

    def _add(self, command: Command, item: Item) -> None:
        item.ignore_error = command.noerror
        self.outcome.items.append(item)

    def _address(self, text: str) -> str:
        main = self.setting.scope.services.config.main
        found = extract_address(text, AddressRules.of(main), allow_null=False)
        if not found.ok:
            raise FilterError(f'malformed address "{text}" in filter file: {found.error}')
        return found.address if found.domain else f"{found.address}@{main.qualify_recipient}"

    def _errors_to(self, text: str) -> str:
        address = self._address(text)
        if not self.setting.system and address.lower() not in self.setting.own_addresses:
            raise FilterError("errors_to must point to the caller's address")
        return address

    def save(self, command: Command) -> None:
        """`save`."""
        path = self._expand(command.arguments[0], command)
        if not path:
            raise FilterError('empty file name in "save" command')
        mode = 0
        shown = ""
        if len(command.arguments) > 1:
            mode = _octal(command.arguments[1])
            shown = f" {mode:04o}"
        word = self._significant(command, True)
        if not self._tell(f"{word}{'save' if word else 'Save'} message to: {path}{shown}{_noerror(command)}"):
            self._add(command, Item("file", path, mode=mode))

    def pipe(self, command: Command) -> None:
        """`pipe`: the command is expanded by the transport, with the values of now."""
        text = command.arguments[0].lstrip()
        word = self._significant(command, True)
        if not self._tell(f"{word}{'pipe' if word else 'Pipe'} message to: {text}{_noerror(command)}"):
            scope = self.setting.scope
            item = Item("pipe", text, numeric=scope.numeric)
            if "thisaddress" in scope.local:
                item.variables["thisaddress"] = scope.local["thisaddress"]
            self._add(command, item)

    # --- Replies ---------------------------------------------------------------------------------------------------------

    def mail(self, command: Command) -> None:
        """`mail`, `vacation`; nothing happens for a bounce."""
        scope = self.setting.scope
        if not scope.local.get("return_path", scope.message.sender_address if scope.message is not None else ""):
            self._tell("mail command ignored because return_path is empty")
            return
        fields = {name: self._expand(value, command) for name, value in command.mail.items() if name not in ("file",)}
        if "file" in command.mail:
            fields["file"] = self._expand(command.mail["file"], command)
        for name, value in fields.items():
            _check_lines(name, value, command.name)
        word = self._significant(command, False)
        if self.setting.testing:
            self._tell_mail(command, fields, word)
            return
        to = _one_line(fields.get("to") or self.setting.scope.expand("$reply_address"))
        reply = Reply(
            to=to,
            headers=fields.get("extra_headers", ""),
            text=fields.get("text", ""),
            file=fields.get("file", ""),
            file_expand=command.expand_file,
            expand_forbid=self.setting.scope.local.get("expand_forbid", ""),
            logfile=fields.get("log", ""),
            oncelog=fields.get("once", ""),
            return_message=command.return_message,
        )
        for name, attribute in _MAIL_HEADERS.items():
            if name != "to":
                setattr(reply, attribute, _one_line(fields.get(name, "")))
        if fields.get("once_repeat"):
            reply.once_repeat = _once_repeat(fields["once_repeat"])
        shown = self._recipients(to)
        self._add(command, Item("reply", shown or "**bad-reply**", reply=reply))
        if not shown:
            item = self.outcome.items[-1]
            item.failure, item.ignore_error = "filter autoreply generated syntactically invalid recipient", True

    def _recipients(self, to: str) -> str:
        """The addresses of a reply as the log shows them; "" when one is wrong."""
        rules = AddressRules.of(self.setting.scope.services.config.main)
        out = ""
        found = split_addresses(to)
        for number, text in enumerate(found, 1):
            address = extract_address(text, rules, allow_null=False)
            if not address.ok:
                return ""
            out = concat([out, "," if out else "", address.address])
            if len(out) >= SHOWN_RECIPIENTS and number < len(found):
                return concat([out, ", ..."])
        return out

    def _tell_mail(self, command: Command, fields: dict[str, str], word: str) -> None:
        kind = " (vacation)" if command.name == "vacation" else ""
        lead = f"{word}mail" if word else "Mail"
        self._tell(f"{lead} to: {fields.get('to', '<default>')}{kind}{_noerror(command)}")
        order = ("cc", "bcc", "from", "reply_to", "subject", "extra_headers", "text", "file", "log", "once", "once_repeat")
        for name in order:
            if name in fields:
                tail = " (expanded)" if name == "file" and command.expand_file else ""
                self._tell(f"{name:>7}: {self._printable(fields[name])}{tail}")
        if command.return_message:
            self._tell("Return original message")

    # --- Logs and numbers ------------------------------------------------------------------------------------------------

    def add(self, command: Command) -> None:
        """`add <number> to n<digit>`."""
        number = self._expand(command.arguments[0], command)
        variable = self._expand(command.arguments[1], command)
        if not number.lstrip("+-").isdigit():
            raise FilterError(f'malformed number "{number}" in "add" command')
        if len(variable) != 2 or variable[0] != "n" or not variable[1].isdigit():
            raise FilterError(f'unknown variable "{variable}" in "add" command')
        local = self.setting.scope.local
        value = _c_int(int(number))
        total = _c_int(int(local[variable]) + value)
        self._tell(f"Add {value} to {variable}")
        local[variable] = str(total)

    def set_logfile(self, command: Command) -> None:
        """`logfile`."""
        path = self._expand(command.arguments[0], command)
        mode = _octal(command.arguments[1]) if len(command.arguments) > 1 else 0o600
        self.logfile = path, mode
        self._tell(f"Logfile {path}")

    def logwrite(self, command: Command) -> None:
        """`logwrite`."""
        text = self._expand(command.arguments[0], command)
        text = text if text.endswith("\n") else concat([text, "\n"])
        if self._tell(f'Logwrite "{self._printable(text)}"'):
            return
        if not self.setting.may_log or self.setting.write_log is None:
            raise FilterError('filtering command "logwrite" is disabled: near line 0 of filter file')
        if self.logfile is None:
            raise FilterError('attempt to obey "logwrite" command without a previous "logfile"')
        try:
            self.setting.write_log(*self.logfile, text)
        except OSError as error:
            uid, gid = self.setting.log_ids or (os.geteuid(), os.getegid())
            who = f" (euid={uid} egid={gid})" if error.errno == errno.EACCES else ""
            raise FilterError(f'failed to open filter log file "{self.logfile[0]}": {error.strerror}{who}') from error

    def testprint(self, command: Command) -> None:
        """`testprint`."""
        text = self._expand(command.arguments[0], command)
        self._tell(f"Testprint: {self._printable(text)}")

    # --- Ends ------------------------------------------------------------------------------------------------------------

    def finish(self, command: Command) -> None:
        """`finish`."""
        if command.seen is not None and command.seen:
            self.outcome.delivered = True
            self._tell("Seen finish")
        else:
            self._tell("Finish")
        raise _Finished

    def end(self, command: Command) -> None:
        """`fail`, `freeze`, `defer`."""
        text = self._expand(command.arguments[0], command) if command.arguments else ""
        if len(text) > MAX_REASON:
            text = concat([text[:MAX_REASON], " ... (truncated)"])
        self.outcome.action, self.outcome.text = command.name, text
        self._tell(f'{command.name.capitalize()} text "{self._printable(text)}"')
        raise _Finished

    # --- Header lines ----------------------------------------------------------------------------------------------------

    def headers(self, command: Command) -> None:
        """`headers add`, `remove`, `charset`."""
        what, raw = command.arguments
        text = self._expand(raw, command)
        self._tell(f'Headers {what} "{self._printable(text)}"')
        message = self.setting.scope.message
        if what == "charset":
            self.setting.scope.local["headers_charset"] = text
        elif message is not None and what == "add":
            for line in _header_lines(text):
                message.headers.append(Header(line, header_type(line.partition(":")[0].rstrip())))
            self.outcome.headers_changed = True
        elif message is not None:
            names = {name.strip().lower() for name in text.split(":")}
            for header in message.headers:
                if header.name.lower() in names and header.kind != "*":
                    header.kind = "*"
                    self.outcome.headers_changed = True


_OBEY: dict[str, Callable[[_Run, Command], None]] = {
    "add": _Run.add,
    "defer": _Run.end,
    "deliver": _Run.deliver,
    "fail": _Run.end,
    "finish": _Run.finish,
    "freeze": _Run.end,
    "headers": _Run.headers,
    "logfile": _Run.set_logfile,
    "logwrite": _Run.logwrite,
    "mail": _Run.mail,
    "pipe": _Run.pipe,
    "save": _Run.save,
    "testprint": _Run.testprint,
    "vacation": _Run.mail,
}


def _one_line(text: str) -> str:
    """A value for a header field: a newline becomes a space."""
    return text.rstrip("\n").replace("\n", " ")


def _c_int(value: int) -> int:
    """As in a C int: too great a number wraps around."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def _noerror(command: Command) -> str:
    return " (noerror)" if command.noerror else ""


def _octal(text: str) -> int:
    digits = ""
    for char in text:
        if char not in "01234567":
            break
        digits += char
    return int(digits or "0", 8)


def _once_repeat(text: str) -> int:
    seconds = parse_time(text)
    if seconds < 0:
        raise FilterError(f'Bad time value for "once_repeat" in mail or vacation command: {text}')
    return seconds


def _check_lines(name: str, value: str, command: str) -> None:
    """A newline in a header value must begin a continuation; in extra_headers it may begin a header."""
    if "\n" not in value or name in ("text", "file", "log", "once", "once_repeat"):
        return
    if name == "extra_headers":
        for line in value.rstrip("\n").split("\n")[1:]:
            head, colon, _ = line.partition(":")
            if line[:1] not in (" ", "\t") and not (colon and head and all("!" <= char <= "~" for char in head.rstrip(" \t"))):
                raise FilterError(f'\\n not followed by space or valid header name in "{printing(value)}" in {command} command')
        return
    for line in value.rstrip("\n").split("\n")[1:]:
        if line[:1] not in (" ", "\t"):
            raise FilterError(f'\\n not followed by space in "{printing(value)}" in {command} command')


def _header_lines(text: str) -> list[str]:
    """Header lines with their continuation, each ending in a newline."""
    lines: list[str] = []
    for line in text.rstrip("\n").split("\n"):
        if line[:1] in (" ", "\t") and lines:
            lines[-1] += line + "\n"
        elif line:
            lines.append(line + "\n")
    return lines
