"""What expansions may not do: inside filters (`forbid_filter_*`), and with text from outside.

A filter's scope says what is forbidden in `local["expand_forbid"]`: names of the options without `forbid_filter_`, separated by
spaces (`existstest lookup perl python readfile readsocket run dlfunc`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.nodes import fail
from angaros.model.text import Tainted

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MESSAGES = {
    "dlfunc": "dynamically-loaded functions are not permitted",
    "existstest": "File existence tests are not permitted",
    "stat": "Use of the stat() expansion is not permitted",
    "lookup": "lookup expansions are not permitted",
    "perl": "Perl calls are not permitted",
    "python": "Python calls are not permitted",
    "readfile": "file insertions are not permitted",
    "readsocket": "socket insertions are not permitted",
    "run": "running a command is not permitted",
}


def permitted(scope: Scope, what: str) -> None:
    """Raise when a filter must not do `what` (a key of MESSAGES)."""
    forbidden = scope.local.get("expand_forbid")
    if forbidden and ("existstest" if what == "stat" else what) in forbidden.split():
        raise fail(MESSAGES[what])


def refuse_tainted(text: str, item: str) -> None:
    """Raise when `text` came from outside."""
    if type(text) is Tainted:
        raise fail(f"attempt to use tainted string '{text}' for {item}")
