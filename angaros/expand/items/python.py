"""`${python{module:function}{arg}...}`: ours, the same idea as `${perl`, in a process beside us.

`python_startup` names the files whose functions may be called, separated by colons (`/etc/exim4/hooks.py`); the module is the
file's name without `.py`; without `module:` the first file is meant. Arguments are `str` of octets; a parameter annotated `int`,
`float`, `bool` or `list` is converted (a list is split as Exim splits lists). Results: text, bytes (taken as octets), numbers,
truth values (`true`, `false`), sequences (a colon-separated list); None forces failure. An exception fails the expansion with its
text; the traceback goes to the panic log. The functions run with our uid in a process that has no connection of ours open.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from angaros.expand.coprocess import Coprocess, Dead, Pool, pack
from angaros.expand.limits import permitted
from angaros.expand.nodes import Call, Node, fail
from angaros.expand.parser import Parser
from angaros.model.errors import ForcedFailure

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_ARGUMENTS = 20
"""The function's name and its arguments."""


def _start(scope: Scope) -> Coprocess:
    startup = scope.services.config.main.python_startup
    files = [item.strip() for item in (startup or "").split(":") if item.strip()]
    if not files:
        raise fail("A setting of python_startup is needed when using Python functions")
    from angaros.expand import python_child

    argv = [sys.executable, "-I", python_child.__file__]
    try:
        process = Coprocess(scope.services.waiter.open_command(argv))
    except OSError as error:
        raise fail(f"cannot start {sys.executable}: {error.strerror}") from None
    try:
        process.send("S", pack(files))
        kind, text = pool(scope).converse(process, scope)
    except Dead as error:
        process.close()
        raise fail(f"Python process died in python_startup: {error}") from None
    if kind == "E":
        process.close()
        raise fail(text)
    return process


def pool(scope: Scope) -> Pool:
    """The Python processes of these services."""
    found = scope.services.extra.get("python")
    if found is None:
        found = scope.services.extra["python"] = Pool("Python", _start)
    assert isinstance(found, Pool)
    return found


def do_python(arguments: list[str], scope: Scope) -> str:
    """Call the function."""
    permitted(scope, "python")
    kind, text = pool(scope).call(arguments, scope)
    if kind == "U":
        raise ForcedFailure(f'Python function "{arguments[0]}" returned None to force failure')
    if kind == "E":
        raise fail(text)
    return text


def parse_python(p: Parser, name: str) -> Node:
    """Ours."""
    arguments = p.arguments(name, 1, MAX_ARGUMENTS)
    return p.unfinished(arguments) if p.broken else Call(do_python, arguments)
