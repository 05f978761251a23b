"""Macros of the configuration: definition and replacement (Exim spec 6.4 to 6.9).

Laws:
- Each macro is applied to a line in the order of definition, its own replacement text is not scanned again for it.
- A macro given by -D wins over all definitions in the file.
- Built-in macros start with an underscore and come first. They are made only when a line may name one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from angaros.config.config import Macro

MAX_NAME = 63
"""Characters in a macro's name."""
MAX_COMMAND_LINE = 10
"""-D options on one command line."""

_HEAD = re.compile(r"[ \t\r\v\f]*[A-Z][A-Za-z0-9_]*(?=[ \t\r\v\f]*=)")
_UPPER = re.compile(r"[A-Z]")
_BUILTIN = re.compile(r"(?=(_(?:HAVE|OPT|DRIVER|LOG|EXP|ACL|CRYPTO|DKIM|RESUME)_[A-Za-z0-9_]+))")
"""What may be a built-in macro, overlapping ones too: their names begin like this (Exim spec 6.9)."""
_NAME = re.compile(r"[A-Z][A-Za-z0-9_]*")
_WHITE = " \t\r\v\f"


class MacroError(ValueError):
    """A wrong definition. `located`: Exim names the line in its message."""

    def __init__(self, text: str, *, located: bool = False) -> None:
        super().__init__(text)
        self.located = located


class Macros:
    """The macros known so far."""

    def __init__(self, builtins: Callable[[], Mapping[str, str]] | None = None) -> None:
        self._make = builtins
        self._builtins: Mapping[str, str] | None = None
        self._own: dict[str, Macro] = {}

    @property
    def builtins(self) -> Mapping[str, str]:
        """Built-in macros: name to value."""
        if self._builtins is None:
            self._builtins = self._make() if self._make else {}
        return self._builtins

    def all(self) -> dict[str, Macro]:
        """All macros, built-in ones first, in order of definition."""
        return {name: Macro(name, value, builtin=True) for name, value in self.builtins.items()} | self._own

    def own(self) -> dict[str, Macro]:
        """The macros of the file and of -D, in order of definition."""
        return dict(self._own)

    def define_command_line(self, name: str, value: str) -> None:
        """-D."""
        self._own[name] = Macro(name, value, command_line=True)

    def define_line(self, line: str) -> None:
        """A definition line: `NAME = text` or `NAME == text`."""
        found = _NAME.match(line)
        if not found:
            raise MacroError("malformed macro definition", located=True)
        name = found.group()
        if len(name) > MAX_NAME:
            raise MacroError(f"macro name too long (maximum is {MAX_NAME} characters)", located=True)
        rest = line[found.end() :].lstrip(_WHITE)
        if not rest.startswith("="):
            raise MacroError("malformed macro definition", located=True)
        redefine = rest.startswith("==")
        self.define(name, rest[2 if redefine else 1 :].strip(_WHITE), redefine=redefine)

    def define(self, name: str, value: str, *, redefine: bool = False) -> None:
        """Define or redefine."""
        known = self._own.get(name)
        if known is None:
            if redefine:
                raise MacroError(f'can\'t redefine an undefined macro "{name}"')
            for other in self._own:
                if other in name:
                    raise MacroError(
                        f'"{name}" cannot be defined as a macro because previously defined macro "{other}" is a substring'
                    )
        elif known.command_line:
            return
        elif not redefine:
            raise MacroError(f'macro "{name}" is already defined (use "==" if you want to redefine it)')
        self._own[name] = Macro(name, value)

    def _builtins_in(self, line: str) -> list[str]:
        """Names of built-in macros that occur in the line, in their order."""
        words = _BUILTIN.findall(line)
        if not words:
            return []
        known = self.builtins
        found = {word[:end] for word in words for end in range(3, len(word) + 1) if word[:end] in known}
        return [name for name in known if name in found] if found else []

    def replace(self, line: str) -> tuple[str, bool]:
        """The line with macros replaced, and whether there were any."""
        if not _UPPER.search(line):
            return line, False
        head = ""
        if found := _HEAD.match(line):
            head, line = found.group(), line[found.end() :]
        replaced = False
        if "_" in line:
            for name in self._builtins_in(line):
                line = line.replace(name, self.builtins[name])
                replaced = True
        for name, macro in self._own.items():
            if name in line:
                line = line.replace(name, macro.value)
                replaced = True
        return head + line, replaced


_WANTED = re.compile(r"[ \t]*([A-Z][A-Za-z0-9_]*)[ \t]*(?:=[ \t]*(.*))?\Z", re.DOTALL)


def parse_command_line(text: str) -> tuple[str, str]:
    """Name and value of what follows -D. MacroError with Exim's words; "" for an option that is malformed otherwise."""
    if not _UPPER.match(text.lstrip(" \t")):
        raise MacroError("macro name set by -D must start with an upper case letter")
    found = _WANTED.match(text)
    if not found:
        raise MacroError("")
    return found.group(1), found.group(2) or ""


def parse_command_line_macros(texts: list[str]) -> dict[str, str]:
    """All -D options of a command line."""
    macros: dict[str, str] = {}
    for text in texts:
        name, value = parse_command_line(text)
        if len(macros) >= MAX_COMMAND_LINE:
            raise MacroError("too many -D options on command line")
        if name in macros:
            raise MacroError("duplicated -D in command line")
        macros[name] = value
    return macros
