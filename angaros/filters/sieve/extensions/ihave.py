"""ihave: asking for extensions at run time. # RFC 5463"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.filters.sieve.tree import Argument, Extension, Node, Spec

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run


def is_ihave(run: Run, node: Node) -> bool:
    """Whether we have all of these; from here on they are as if required. # RFC 5463 4"""
    from angaros.filters.sieve.language import LANGUAGE

    if not all(name in LANGUAGE.capabilities for name in node.args[0]):
        return False
    run.current.required |= set(node.args[0])
    return True


def do_error(run: Run, node: Node) -> None:
    """# RFC 5463 5"""
    raise run.fail(node.args[0])


EXTENSION = Extension(
    ("ihave",),
    commands=(Spec("error", do_error, "ihave", arguments=(Argument("string", "missing message string"),)),),
    tests=(Spec("ihave", is_ihave, "ihave", arguments=(Argument("list", "capability string list expected"),)),),
)
