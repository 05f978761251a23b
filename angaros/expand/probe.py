"""`exim -be`: expand strings for a person or a script. # Exim spec 5.3 (-be)

Each argument, or else each line of standard input after a prompt, is expanded and the result written. A line that ends in a
backslash goes on in the next; `NAME = value` defines a macro; `set acl_m0 = value` sets an ACL variable (`set,t`: a tainted one).

Law: all output for the input that is there is written at once, and before more input is waited for: a program that talks to us
line by line gets its answers, and 100,000 lines from a file cost a few system calls.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from angaros.model.errors import AngarosError, ExpansionError, PanicError
from angaros.model.text import taint

if TYPE_CHECKING:
    from angaros.config.macros import Macros
    from angaros.expand.nodes import Node
    from angaros.model.scope import Scope

CHUNK = 1 << 16
"""Octets read at once."""
CACHE_SIZE = 4096
"""Lines whose trees are kept."""
MAX_REMEMBERED = 4096
"""Longest such line."""
PROMPT = "> "
_WHITE = " \t\n\v\f\r"


class Probe:
    """One session of `-be`."""

    __slots__ = ("_macros", "_ready", "_scope")

    def __init__(self, scope: Scope, admin: bool) -> None:
        self._scope = scope
        self._macros = _macros(scope, admin)
        self._ready: dict[str, Node] = {}
        """Trees of lines seen."""
        scope.local["show_recipients"] = "1"
        if scope.message is None or not scope.message.id:
            scope.local["return_path"] = ""  # known where a message is delivered or an address is routed

    def answer(self, line: str) -> str | None:
        """What one line gives, without newline; None when it gives nothing at all."""
        text = self._text(line)
        if text is None:
            return self._command(line)
        scope = self._scope
        try:
            return scope.expand(text)
        except PanicError:
            raise
        except (AngarosError, RecursionError) as error:
            return _failed(error)
        finally:
            scope.local.pop("value", None)

    def answer_all(self, lines: list[str], pending: str | None, out: list[str]) -> str | None:
        """Answers to several physical lines; returns what a backslash leaves for the next."""
        ready, scope, local = self._ready, self._scope, self._scope.local
        for line in lines:
            node = ready.get(line) if pending is None else None
            if node is not None:
                try:
                    out.append(node.eval(scope))
                except PanicError:
                    raise
                except (AngarosError, RecursionError) as error:
                    out.append(_failed(error))
                if "value" in local:
                    del local["value"]
                continue
            if line[-1:] in ("\\", " ", "\t", "\r"):
                line = line.rstrip(_WHITE)
            if pending is not None:
                line = pending + line.lstrip(_WHITE)
                pending = None
            if line[-1:] == "\\":
                pending = line[:-1]
                continue
            answer = self.answer(line)
            if answer is not None:
                out.append(answer)
                self._remember(line)
        return pending

    def _remember(self, line: str) -> None:
        """Keep the tree of a line: lines come again."""
        text = self._text(line)
        if text is not None and len(text) < MAX_REMEMBERED and len(self._ready) < CACHE_SIZE:
            tree = getattr(self._scope.services.expander, "tree", None)
            if tree is not None:
                self._ready[line] = tree(text)

    def _text(self, line: str) -> str | None:
        """The line with its macros replaced; None when it is a command."""
        if line.startswith(("set ", "set,")):
            return None
        text = self._macros.replace(line)[0]
        return None if "A" <= text[:1] <= "Z" else text

    def _command(self, line: str) -> str | None:
        self._ready.clear()
        return self._set(line) if line.startswith(("set ", "set,")) else self._define(self._macros.replace(line)[0])

    def _define(self, line: str) -> str | None:
        """A macro definition, as each line is that begins with a capital letter: what to say about it."""
        from angaros.config.macros import MacroError

        try:
            self._macros.define_line(line)
        except MacroError as error:
            sys.stderr.write(f"Exim configuration error:\n  {error}\n")
            return None
        return f"Defined macro '{line.partition('=')[0].rstrip(_WHITE)}'"

    def _set(self, line: str) -> str:
        """`set[,t] acl_m0 = value`."""
        options, _, rest = line[3:].partition(" ")
        name, equals, value = rest.partition("=")
        name = name.strip(_WHITE)
        key = name.removeprefix("acl_")
        if options not in ("", ",t"):
            return f"Failed: bad option '{options[1:]}' for set"
        if key == name or key[:1] not in ("c", "m") or not (key[1:2] == "_" or key[1:2].isdigit()):
            return f'Failed: invalid variable name "{name}" after "set" (must start "acl_c" or "acl_m")'
        if not equals:
            return f'Failed: missing "=" after "{name}" in "set"'
        try:
            text = self._scope.expand(self._macros.replace(value.lstrip(_WHITE))[0])
        except ExpansionError as error:
            return f"Failed: {error}"
        if options:
            text = taint(text)
        session, message = self._scope.session, self._scope.message
        if key[0] == "c" and session is not None:
            session.acl_c[key] = text
        elif key[0] == "m" and message is not None:
            message.acl_m[key] = text
        return f"variable {key} set"


def _failed(error: Exception) -> str:
    """How a failure is shown."""
    return "Failed: expansion is nested too deeply" if isinstance(error, RecursionError) else f"Failed: {error}"


def _macros(scope: Scope, admin: bool) -> Macros:
    """The macros that lines may name; those of the configuration, often secrets, for administrators only."""
    from angaros.config.macros import Macros

    known = scope.services.config.macros
    found = Macros(scope.services.config.extra.get("builtins"))
    if admin:
        for name, macro in known.items():
            if macro.command_line:
                found.define_command_line(name, macro.value)
            elif not macro.builtin:
                found.define(name, macro.value)
    return found


def _chunks(stdin: Any) -> Iterator[bytes]:
    """Input as it comes."""
    try:
        descriptor = stdin.fileno()
    except (AttributeError, OSError, ValueError):
        text = stdin.read()
        yield text if isinstance(text, bytes) else text.encode("latin-1")
        return
    while data := os.read(descriptor, CHUNK):
        yield data


def _batches(stdin: Any) -> Iterator[list[str]]:
    """Complete physical lines, as many as have come."""
    rest = ""
    for data in _chunks(stdin):
        lines = (rest + data.decode("latin-1")).split("\n")
        rest = lines.pop()
        if lines:
            yield lines
    if rest:
        yield [rest]


def _interactive() -> Iterator[list[str]]:
    """Lines from a terminal, with editing and history."""
    import readline  # noqa: F401  (its import gives `input` line editing)

    while True:
        try:
            yield [input(PROMPT).encode(sys.stdin.encoding or "utf-8", "surrogateescape").decode("latin-1")]
        except EOFError:
            return


def run(scope: Scope, arguments: Sequence[str], stdin: Any, write: Callable[[str], None], *, admin: bool = True) -> int:
    """The whole mode; returns the exit status. `write` gets text of octets."""
    probe = Probe(scope, admin)
    if arguments:
        for argument in arguments:
            answer = probe.answer(argument)
            if answer is not None:
                write(answer + "\n")
        return 0
    terminal = bool(getattr(stdin, "isatty", lambda: False)())
    prompt = "" if terminal else PROMPT
    if prompt:
        write(prompt)
    pending: str | None = None
    for batch in _interactive() if terminal else _batches(stdin):
        out: list[str] = []
        try:
            pending = probe.answer_all(batch, pending, out)
        finally:  # what came before a PanicError is seen
            if out:
                write(("\n" + prompt).join(out) + "\n" + prompt)
    if pending is not None:
        write((probe.answer(pending) or "") + "\n" + prompt)
    write("\n")
    return 0
