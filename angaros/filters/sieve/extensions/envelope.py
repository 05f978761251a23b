"""envelope: the test of sender and recipient. # RFC 5228 5.4"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.filters.sieve.fields import address_part
from angaros.filters.sieve.match import MATCH_TAGS, check_comparator, compare
from angaros.filters.sieve.tests import KEYS, PART_TAGS
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run


def check_envelope(checker: Any, node: Node) -> None:
    """Only parts that we have."""
    check_comparator(checker, node)
    known = ("from", "to", "auth") if "envelope-auth" in checker.required else ("from", "to")
    for part in node.args[0]:
        if checker.constant(part) and part.lower() not in known:
            raise checker.fail("invalid envelope string")


def is_envelope(run: Run, node: Node) -> bool:
    """# RFC 5228 5.4"""
    values: list[str] = []
    for part in node.args[0]:
        if part.lower() == "auth":  # Exim's own: who has authenticated
            values += [run.message.session.authenticated_id] if run.message.session.authenticated_id else []
            continue
        address = run.message.sender_address if part.lower() == "from" else run.recipient
        values += address_part(run, node, address)
    return compare(run, node, values, node.args[1])


EXTENSION = Extension(
    ("envelope", "envelope-auth"),
    tests=(
        Spec(
            "envelope",
            is_envelope,
            "envelope",
            (*PART_TAGS, *MATCH_TAGS),
            (Argument("list", "envelope string list expected"), KEYS),
            check_envelope,
        ),
    ),
)
