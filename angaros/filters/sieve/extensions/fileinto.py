"""fileinto: delivery to a folder. # RFC 5228 4.1; Exim filter spec 2.8"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.filters.outcome import Item
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run


def check_folder(checker: Any, node: Node) -> None:
    """No way out of the user's directory by `..`. # Exim filter spec 2.12"""
    folder = node.args[0]
    if checker.constant(folder) and (not folder or ".." in folder or "\0" in folder):
        raise checker.fail("invalid folder")


def do_fileinto(run: Run, node: Node) -> None:
    """# RFC 5228 4.1"""
    item = Item("file", node.args[0])
    run.decorate(item, node.tags.get("flags"))
    run.add(item)
    if "copy" not in node.tags:
        run.implicit_keep = False


EXTENSION = Extension(
    ("fileinto",),
    commands=(
        Spec(
            "fileinto",
            do_fileinto,
            "fileinto",
            arguments=(Argument("string", "missing fileinto folder string"),),
            check=check_folder,
        ),
    ),
)
