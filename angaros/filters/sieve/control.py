"""Control commands. # RFC 5228 3"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.filters.sieve.tree import Node, Spec

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run


def do_if(run: Run, node: Node) -> None:
    """# RFC 5228 3.1"""
    for test, block in node.branches:
        if test is None or run.test(test):
            run.block(block)
            return


def do_stop(run: Run, node: Node) -> None:
    """# RFC 5228 3.3"""
    from angaros.filters.sieve.run import Stop

    raise Stop


COMMANDS = (Spec("if", do_if, shape="if"), Spec("stop", do_stop))
