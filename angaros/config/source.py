"""Lines of the configuration: files, inclusion, conditionals, macros, continuation (Exim spec 6.2 to 6.10).

Laws:
- The order of work is Exim's: comment, macros, directive (all on physical lines), then continuation.
- A position is that of the last physical line read: it is what Exim names in its errors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from angaros.config.config import Position
from angaros.config.macros import MacroError, Macros
from angaros.model.errors import ConfigError
from angaros.model.record import dataclass, field

MAX_DEPTH = 100
"""Files included in one another: a file that includes itself must end in an error, not in a lack of file descriptors."""

BOM = "\xef\xbb\xbf"
WHITE = " \t\r\v\f"
_DIRECTIVE = re.compile(
    r"\.(include_if_exists|include|ifdef|ifndef|elifdef|elifndef|else|endif)(?:[ \t\r\v\f]+(.*))?\Z", re.DOTALL
)
_CONDITIONALS = frozenset({"ifdef", "ifndef", "elifdef", "elifndef", "else", "endif"})


def config_error(text: str, position: Position | None = None, *, whose: str = "", source: str = "") -> ConfigError:
    """An error in Exim's layout. `whose`: `r1 router`, `t1 transport`."""
    if position is not None and position.line:
        head = f" in line {position.line} of {position.file}"
        return ConfigError(f"Exim configuration error{head}:\n  {text}", file=position.file, line=position.line, source=source)
    return ConfigError(f"Exim configuration error{f' for {whose}' if whose else ''}:\n  {text}")


def read_file(name: str) -> str:
    """The text of a configuration file."""
    with open(name, encoding="latin-1", newline="") as handle:
        return handle.read()


@dataclass(slots=True)
class _File:
    name: str
    lines: list[str]
    number: int = 0


@dataclass(slots=True)
class _Branch:
    """One open `.ifdef`."""

    taking: bool
    done: bool
    """A branch was taken (or everything around is skipped): no further one can be."""


@dataclass(slots=True)
class Source:
    """Reads logical lines."""

    macros: Macros
    open: Callable[[str], str] = read_file
    """Text of a file by name; OSError when it cannot be read."""
    keep: bool = False
    """Keep what `-bP config` shows."""
    files: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    _stack: list[_File] = field(default_factory=list)
    _branches: list[_Branch] = field(default_factory=list)
    line: str = ""
    """The current logical line."""

    def start(self, name: str, content: str) -> None:
        """Begin with the main file."""
        self._push(name, content)

    def _push(self, name: str, content: str) -> None:
        lines = content.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        self._stack.append(_File(name, lines))
        self.files.append(name)

    @property
    def position(self) -> Position:
        """Of the last physical line read."""
        top = self._stack[-1]
        return Position(top.name, top.number)

    def error(self, text: str) -> ConfigError:
        """An error here."""
        return config_error(text, self.position, source=self.line)

    def _physical(self) -> str | None:
        while True:
            top = self._stack[-1]
            if top.number < len(top.lines):
                top.number += 1
                line = top.lines[top.number - 1]
                if top.number == 1:
                    self._first_line(top, line)
                return line
            if len(self._stack) == 1:
                return None
            self._stack.pop()
            if self.keep:
                self.kept.append(f'# {self._stack[-1].number} "{self._stack[-1].name}"')

    def _first_line(self, file: _File, line: str) -> None:
        if line.startswith(BOM):
            raise self.error("found unexpected BOM (Byte Order Mark)")
        if self.keep:
            self.kept.append(f'# 1 "{file.name}"')

    def next(self) -> str | None:
        """The next logical line, not empty, without white space at its ends; None at the end."""
        parts: list[str] = []
        while True:
            raw = self._physical()
            if raw is None:
                return self._end(parts)
            text = raw.strip(WHITE)
            if text.startswith("#") or (not text and not parts):
                continue
            text, replaced = self.macros.replace(text)
            if replaced:
                text = text.strip(WHITE)
                if text.startswith("#"):
                    continue
            if text.startswith(".") and self._directive(text, replaced):
                continue
            if self._branches and not self._branches[-1].taking:
                continue
            if text.endswith("\\"):
                parts.append(text[:-1])
                continue
            if parts:
                parts.append(text)
                text = "".join(parts).strip(WHITE)
                parts = []
            if text:
                return self._found(text)

    def _found(self, text: str) -> str:
        self.line = text
        if self.keep:
            self.kept.append(text)
        return text

    def _end(self, parts: list[str]) -> str | None:
        if self._branches:
            raise self.error("Unexpected end of configuration file: .endif missing")
        text = "".join(parts).strip(WHITE)
        return self._found(text) if text else None

    def _directive(self, text: str, replaced: bool) -> bool:
        """Do what `.name argument` says; False when it is no directive."""
        found = _DIRECTIVE.match(text)
        if not found:
            return False
        name, argument = found.group(1), (found.group(2) or "").strip(WHITE)
        if name in _CONDITIONALS:
            self._conditional(name, replaced)
            return True
        if self._branches and not self._branches[-1].taking:
            return True
        if not argument:
            return False
        self._include(argument, must_exist=name == "include")
        return True

    def _conditional(self, name: str, replaced: bool) -> None:
        """Whether a macro was replaced in the line is the condition (Exim spec 6.10)."""
        if name in ("ifdef", "ifndef"):
            skipped = bool(self._branches) and not self._branches[-1].taking
            take = not skipped and replaced == (name == "ifdef")
            self._branches.append(_Branch(take, take or skipped))
            return
        if not self._branches:
            raise self.error(f".{name} without matching .ifdef")
        branch = self._branches[-1]
        if name == "endif":
            self._branches.pop()
        elif branch.done:
            branch.taking = False
        else:
            branch.taking = branch.done = name == "else" or replaced == (name == "elifdef")

    def _include(self, name: str, *, must_exist: bool) -> None:
        if len(name) > 1 and name.startswith('"') and name.endswith('"'):
            name = name[1:-1]
        if not name.startswith("/"):
            if not must_exist:
                raise self.error(f'.include specifies a non-absolute path "{name}"')
            name = os.path.join(os.path.dirname(self._stack[-1].name), name)
        if len(self._stack) >= MAX_DEPTH:
            raise self.error(f"failed to open included configuration file {name}")
        try:
            content = self.open(name)
        except OSError as error:
            if not must_exist and isinstance(error, FileNotFoundError | NotADirectoryError):
                return
            raise self.error(f"failed to open included configuration file {name}") from None
        if self.keep:
            self.kept.append(f'# {self._stack[-1].number} "{self._stack[-1].name}"')
        self._push(name, content)

    def define_macro(self, line: str) -> None:
        """A line that defines a macro."""
        try:
            self.macros.define_line(line)
        except MacroError as error:
            wrong = self.error(str(error)) if error.located else config_error(str(error))
            wrong.dies = False
            raise wrong from None
