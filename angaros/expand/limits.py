"""What expansions may not do: inside filters (`forbid_filter_*`), with text from outside, and without end.

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


MAX_WORK = 1_000_000
"""Items that the loops of one expansion go through, nested ones multiplied; each KiB of text that they make counts as one more.
Lists of real configurations have some hundred items; this is a second or two."""


def begin_loop(scope: Scope, items: int) -> bool:
    """Before a loop over so many items: True when it is the outermost, which calls `end_loop`. Raises ExpansionError."""
    work = scope.work
    if work is None:
        if items > MAX_WORK:
            _check(items)
        scope.work = [items]
        return True
    work[0] += items
    _check(work[0])
    return False


def end_loop(scope: Scope) -> None:
    """After the outermost loop."""
    scope.work = None


KIB = 1 << 10
"""Only longer texts are work: a caller need not report others."""


def spend(scope: Scope, octets: int, items: int = 0) -> None:
    """A loop made so much text, or goes through more items. Raises ExpansionError."""
    work = scope.work
    if work is not None:
        work[0] += items + octets // KIB
        _check(work[0])


def _check(work: int) -> None:
    if work > MAX_WORK:
        raise fail(f"expansion goes through too many items (limit {MAX_WORK})")


def permitted(scope: Scope, what: str) -> None:
    """Raise when a filter must not do `what` (a key of MESSAGES)."""
    forbidden = scope.local.get("expand_forbid")
    if forbidden and ("existstest" if what == "stat" else what) in forbidden.split():
        raise fail(MESSAGES[what])


def refuse_tainted(text: str, item: str) -> None:
    """Raise when `text` came from outside."""
    if type(text) is Tainted:
        raise fail(f"attempt to use tainted string '{text}' for {item}")
