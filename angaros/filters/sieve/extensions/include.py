"""include: scripts in scripts. # RFC 6609

Personal scripts lie in the directory of the user's script, global ones in `sieve_global_directory`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from angaros.filters.sieve.lexer import MAX_SCRIPT
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

MAX_DEPTH = 10
"""Scripts inside each other; RFC 6609 3.1 wants 3 at least."""

MAX_INCLUDES = 64
"""Scripts that one run may read."""

_NAME = re.compile(r"[A-Za-z0-9_@ .+-]{1,128}")
_PLACE_TWICE = "location already specified"


class Return(Exception):
    """`return`: back to the script that included this one."""


def check_include(checker: Any, node: Node) -> None:
    """A name, never a path."""
    name = node.args[0]
    if checker.constant(name) and (_NAME.fullmatch(name) is None or name.startswith(".") or ".." in name):
        raise checker.fail(f'invalid script name "{name}"')


def do_include(run: Run, node: Node) -> None:
    """# RFC 6609 3.2"""
    place = node.tags.get("place", ":personal")[1:]
    key = (place, node.args[0])
    active: list[tuple[str, str]] = run.memory.setdefault("include active", [])
    done: set[tuple[str, str]] = run.memory.setdefault("include done", set())
    if "once" in node.tags and key in done:
        return
    if key in active or len(active) >= MAX_DEPTH or run.memory.get("include count", 0) >= MAX_INCLUDES:
        raise run.fail(f'script "{node.args[0]}" includes itself or is nested too deeply')
    source = _read(run, place, node.args[0], optional="optional" in node.tags)
    if source is None:
        return
    run.memory["include count"] = run.memory.get("include count", 0) + 1
    active.append(key)
    done.add(key)
    try:
        _run(run, source, f"{len(active)}.{run.memory['include count']} ")
    finally:
        active.pop()


def _run(run: Run, source: str, prefix: str) -> None:
    """Run it with variables of its own."""
    from angaros.filters.sieve.parser import parse

    held = run.current, run.line, run.memory.get("include prefix", ""), run.memory.get("global names", frozenset())
    run.memory["include prefix"], run.memory["global names"] = prefix, frozenset()
    script = parse(source)
    run.required |= script.required
    try:
        run.script(script)
    except Return:
        pass
    finally:
        run.current, run.line, run.memory["include prefix"], run.memory["global names"] = held


def _read(run: Run, place: str, name: str, *, optional: bool) -> str | None:
    directory = run.setting.script_directories.get(place)
    if directory is None:
        if optional:
            return None
        raise run.fail(f"there are no {place} scripts here")
    for candidate in (name, f"{name}.sieve"):
        try:
            data = (run.setting.read_file or _read_plainly)(os.path.join(directory, str(candidate)), MAX_SCRIPT + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise run.fail(f'failed to open script "{name}": {error.strerror}') from None
        if len(data) > MAX_SCRIPT:
            raise run.fail(f'script "{name}" is too big')
        return data.decode("latin-1")
    if optional:
        return None
    raise run.fail(f'there is no {place} script "{name}"')


def _read_plainly(path: str, limit: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(limit)


def do_return(run: Run, node: Node) -> None:
    """# RFC 6609 3.3; in the outermost script it is `stop`."""
    if run.memory.get("include active"):
        raise Return
    from angaros.filters.sieve.run import Stop

    raise Stop


def do_global(run: Run, node: Node) -> None:
    """# RFC 6609 3.4"""
    if "variables" not in run.current.required:
        raise run.fail('missing previous require "variables";')
    names = run.memory.get("global names", frozenset())
    run.memory["global names"] = names | {name.lower() for name in node.args[0]}


EXTENSION = Extension(
    ("include",),
    commands=(
        Spec(
            "include",
            do_include,
            "include",
            (
                Tag(":personal", "place", twice=_PLACE_TWICE),
                Tag(":global", "place", twice=_PLACE_TWICE),
                Tag(":once"),
                Tag(":optional"),
            ),
            (Argument("string", "missing script name string"),),
            check_include,
        ),
        Spec("return", do_return, "include"),
        Spec("global", do_global, "include", arguments=(Argument("list", "variable list expected"),)),
    ),
)
