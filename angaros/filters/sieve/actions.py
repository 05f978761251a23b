"""Actions of the core. # RFC 5228 4"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.filters.outcome import Item
from angaros.filters.sieve.tree import Argument, Node, Spec
from angaros.mime.addresses import extract_address

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run


def do_keep(run: Run, node: Node) -> None:
    """# RFC 5228 4.3; it is `fileinto "inbox"`. # Exim filter spec 2.7"""
    run.implicit_keep = False
    run.keep(node.tags.get("flags"))


def do_discard(run: Run, node: Node) -> None:
    """# RFC 5228 4.4"""
    run.implicit_keep = False


def check_redirect(checker: Any, node: Node) -> None:
    """The address has to have a domain; routing judges the rest. # Exim filter spec 2.9"""
    address = node.args[0]
    if not checker.constant(address):
        return
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain:
        raise checker.fail("unqualified recipient address")
    if any(char < " " or char == "\x7f" for char in address):
        raise checker.fail("malformed address")


def do_redirect(run: Run, node: Node) -> None:
    """# RFC 5228 4.2"""
    found = extract_address(node.args[0], allow_null=False)
    item = Item("address", found.address if found.ok else node.args[0])
    run.decorate(item)
    item.flags = ""
    run.add(item)
    if "copy" not in node.tags:
        run.implicit_keep = False


COMMANDS = (
    Spec("keep", do_keep),
    Spec("discard", do_discard),
    Spec("redirect", do_redirect, arguments=(Argument("string", "missing redirect recipient string"),), check=check_redirect),
)
