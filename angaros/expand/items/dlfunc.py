"""`${dlfunc{file}{function}{arg}...}`: a C function in a shared object, through ctypes. # Exim spec 11.5 (dlfunc)

The function's type is Exim's: `int f(uschar **yield, int argc, uschar *argv[])`; 0 is success, 1 and 2 (defer, fail) fail with
the text of `yield` as message, 3 is an error. What the administrator loads runs in our process: as with Exim, it can do all that
we can. Exim's own C functions are not there for it.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from angaros.expand.limits import permitted, refuse_tainted
from angaros.expand.nodes import Call, Node, fail
from angaros.expand.parser import Parser

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_ARGUMENTS = 10
"""File, function and eight arguments."""
OK, DEFER, FAIL, ERROR, FAIL_FORCED = 0, 1, 2, 3, 4


def _library(path: str, scope: Scope) -> Any:
    loaded: dict[str, Any] = scope.services.extra.setdefault("dlfunc", {})
    library = loaded.get(path)
    if library is None:
        try:
            library = loaded[path] = ctypes.CDLL(path)
        except OSError as error:
            text = f'dlopen "{path}" failed: {error}'
            scope.services.log.write(text, panic=True)
            raise fail(text) from None
    return library


def do_dlfunc(arguments: list[str], scope: Scope) -> str:
    """Call it."""
    from angaros.model.errors import ForcedFailure

    permitted(scope, "dlfunc")
    path, name = arguments[:2]
    refuse_tainted(path, "dlfunc")
    refuse_tainted(name, "dlfunc")
    try:
        function = getattr(_library(str(path), scope), str(name))
    except AttributeError as error:
        text = f'dlsym "{name}" in "{path}" failed: {error}'
        scope.services.log.write(text, panic=True)
        raise fail(text) from None
    values = [word.encode("latin-1") for word in arguments[2:]]
    argv = (ctypes.c_char_p * (len(values) + 1))(*values, None)
    result = ctypes.c_char_p()
    function.restype = ctypes.c_int
    status = function(ctypes.byref(result), len(values), argv)
    text = (result.value or b"").decode("latin-1")
    if status == OK:
        return text
    if status == FAIL_FORCED:
        raise ForcedFailure(text or "(no message)")
    failure = fail(text or "(no message)")
    failure.temporary = status == DEFER
    raise failure


def parse_dlfunc(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (dlfunc)"""
    arguments = p.arguments(name, 2, MAX_ARGUMENTS)
    return p.unfinished(arguments) if p.broken else Call(do_dlfunc, arguments)
