"""imap4flags: flags for what is filed. # RFC 5232

A transport sees the flags of its delivery in `$r_sieve_flags`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from angaros.filters.sieve.match import MATCH_TAGS, check_comparator, compare
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

_FLAGS = Argument("list", "flag string list expected")
_VARIABLE = Argument("string", "missing variable name string", optional=True)
_TAG = (Tag(":flags", argument=_FLAGS, capability="imap4flags"),)


def split_flags(values: list[str]) -> list[str]:
    """One flag a word, without those that came before in any case. # RFC 5232 2"""
    out: dict[str, str] = {}
    for value in values:
        for flag in value.split():
            out.setdefault(flag.lower(), flag)
    return list(out.values())


def current(run: Run, name: str | None) -> list[str]:
    """The flags of a variable, or of the internal one."""
    if name is None:
        return list(run.memory.get("imap4flags", []))
    return split_flags([run.variables.get(name.lower(), "")])


def _store(run: Run, name: str | None, flags: list[str]) -> None:
    if name is None:
        run.memory["imap4flags"] = flags
        return
    from angaros.filters.sieve.extensions.variables import store

    if "variables" not in run.current.required:
        raise run.fail('missing previous require "variables";')
    store(run, name, " ".join(flags))


def do_setflag(run: Run, node: Node) -> None:
    """# RFC 5232 3.1"""
    _store(run, node.args[0], split_flags(node.args[1]))


def do_addflag(run: Run, node: Node) -> None:
    """# RFC 5232 3.2"""
    _store(run, node.args[0], split_flags(current(run, node.args[0]) + node.args[1]))


def do_removeflag(run: Run, node: Node) -> None:
    """# RFC 5232 3.3"""
    gone = {flag.lower() for flag in split_flags(node.args[1])}
    _store(run, node.args[0], [flag for flag in current(run, node.args[0]) if flag.lower() not in gone])


def is_hasflag(run: Run, node: Node) -> bool:
    """# RFC 5232 4"""
    names: list[str | None] = node.args[0] if node.args[0] is not None else [None]
    values = [flag for name in names for flag in current(run, name)]
    return compare(run, node, values, split_flags(node.args[1]))


def _change(name: str, run: Callable[[Run, Node], None]) -> Spec:
    return Spec(name, run, "imap4flags", arguments=(_VARIABLE, _FLAGS))


EXTENSION = Extension(
    ("imap4flags",),
    commands=(_change("setflag", do_setflag), _change("addflag", do_addflag), _change("removeflag", do_removeflag)),
    tests=(
        Spec(
            "hasflag",
            is_hasflag,
            "imap4flags",
            MATCH_TAGS,
            (Argument("list", "variable list expected", optional=True), _FLAGS),
            check_comparator,
        ),
    ),
    tags={"keep": _TAG, "fileinto": _TAG},
)
