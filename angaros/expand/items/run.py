"""`${run`: a command without a shell. # Exim spec 11.5 (run)

Laws:
- Without `preexpand` the text is split into arguments first, each of which is then expanded: outside data stays one argument.
- The command's name is never outside data; with `preexpand`, no argument is.
- `$runrc` and `$value` keep the command's status and output afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.items.branches import Branches, parse_branches
from angaros.expand.items.extract import dequote
from angaros.expand.limits import permitted
from angaros.expand.nodes import Node, fail
from angaros.expand.parser import NAME, SPACE, Parser
from angaros.model.errors import ExpansionError
from angaros.model.text import is_tainted

if TYPE_CHECKING:
    from angaros.model.scope import Scope

TIMEOUT = 60.0
"""Seconds that a command may take."""
MAX_OUTPUT = 1 << 20
"""Octets of output that are kept."""
MAX_ARGUMENTS = 100
"""Arguments of one command."""
NOT_FOUND = 127
"""Status when the command cannot be started, as shells have it."""


def split_command(text: str) -> list[str]:
    """Arguments between white space; quotes around an argument count, inside one they do not."""
    found: list[str] = []
    pos, end = 0, len(text)
    while True:
        while pos < end and text[pos] in SPACE:
            pos += 1
        if pos >= end:
            return found
        if text[pos] == "'":
            stop = text.find("'", pos + 1)
            stop = end if stop < 0 else stop
            found.append(text[pos + 1 : stop])
            pos = stop + 1
        elif text[pos] == '"':
            word, pos = dequote(text, pos)
            found.append(word)
        else:
            start = pos
            while pos < end and text[pos] not in SPACE:
                pos += 1
            found.append(text[start:pos])


class Run(Node):
    """`${run{command}{yes}{no}}`. `whole`: the command of `preexpand`; else `words` are expanded one by one."""

    __slots__ = ("branches", "command", "whole", "words")

    def __init__(self, command: str, whole: Node | None, branches: Branches) -> None:
        super().__init__()
        self.command = command
        self.whole = whole
        self.words = [] if whole is not None else split_command(command)
        self.branches = branches
        self.skip_error = (whole.skip_error if whole is not None else None) or branches.skip_error
        self.skip_text = branches.skip_text

    def _argv(self, scope: Scope) -> list[str]:
        if self.whole is not None:
            text = self.whole.eval(scope)
            return split_command(text)
        found: list[str] = []
        for word in self.words:
            try:
                found.append(scope.expand(word))
            except ExpansionError as error:
                from angaros.expand.items.lists import inside

                text = f'Expansion of "{word}" from command "{self.command}" in ${{run}} expansion failed: {error}'
                raise inside(error, text) from None
        return found

    def eval(self, scope: Scope) -> str:
        permitted(scope, "run")
        argv = self._argv(scope)
        if len(argv) > MAX_ARGUMENTS:
            raise fail(f'Too many arguments to command "{self.command}" in ${{run}} expansion')
        if argv and (is_tainted(argv[0]) or (self.whole is not None and any(map(is_tainted, argv)))):
            scope.services.log.write(f"Attempt to exec tainted path: '{argv[0]}'", panic=True)
            raise fail("couldn't create child process: Operation not permitted")
        status, output = execute(argv, scope)
        scope.state["runrc"] = str(status)
        scope.local["value"] = output
        if status == 0:
            return self.branches.when_true(output, scope)
        return self.branches.when_false(scope)


def execute(argv: list[str], scope: Scope) -> tuple[int, str]:
    """Exit status and output of a command. Raises ExpansionError when it is killed or takes too long."""
    if not argv or not argv[0].startswith("/"):
        return NOT_FOUND, ""
    try:
        done = scope.services.waiter.run_command(
            [str(word) for word in argv], timeout=TIMEOUT, max_output=MAX_OUTPUT, merge_stderr=True
        )
    except (OSError, ValueError):
        return NOT_FOUND, ""
    if done.timed_out:
        raise fail("command timed out")
    if done.status < 0:
        raise fail(f"command killed by signal {-done.status}")
    return done.status, done.output.decode("latin-1")


def find_end(text: str, pos: int) -> int:
    """Where the brace is that closes the command; -1: nowhere. Expansions inside are passed over; other braces do not count."""
    depth, end = 0, len(text)
    while pos < end:
        ch = text[pos]
        if ch == "\\":
            if text.startswith("\\N", pos):
                stop = text.find("\\N", pos + 2)
                pos = end if stop < 0 else stop + 1
            else:
                pos += 1
        elif ch == "{" and text[pos - 1] == "$":
            depth += 1
        elif ch == "}":
            if not depth:
                return pos
            depth -= 1
        pos += 1
    return -1


def parse_run(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (run)"""
    preexpand = False
    while p.peek() == ",":
        p.pos += 1
        start = p.pos
        p.pos += 1 if p.peek() not in NAME else 0
        p.name()
        option = p.text[start : p.pos]
        if option != "preexpand":
            return p.fail(f"bad option '{option}' for run")
        preexpand = True
    if p.skip_space() != "{":
        return p.fail_curly("missing '{' for command arg of run")
    whole: Node | None = None
    command = ""
    if preexpand:
        whole = p.group()
        if p.broken:
            return p.unfinished([whole])
    else:
        stop = find_end(p.text, p.pos + 1)
        if stop < 0:
            return p.fail_curly("missing '}' closing command arg of run")
        command = p.text[p.pos + 1 : stop]
        p.pos = stop + 1
    return Run(command, whole, parse_branches(p, name))
