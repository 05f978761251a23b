"""reject and ereject: the sender gets the message back. # RFC 5429

The message was accepted before a user's script runs, so both end in a bounce with the reason. # RFC 5429 2.1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.filters.sieve.tree import Argument, Extension, Node, Spec

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

_REASON = (Argument("string", "missing reason string"),)


def do_reject(run: Run, node: Node) -> None:
    """Not beside anything that delivers. # RFC 5429 2.4"""
    if run.outcome.items or run.memory.get("vacation") or run.outcome.action:
        raise run.fail(f"{node.name} is incompatible with other actions")
    run.outcome.action, run.outcome.text = "fail", node.args[0]
    run.implicit_keep = False


EXTENSION = Extension(
    ("reject", "ereject"),
    commands=(Spec("reject", do_reject, "reject", arguments=_REASON), Spec("ereject", do_reject, "ereject", arguments=_REASON)),
)
