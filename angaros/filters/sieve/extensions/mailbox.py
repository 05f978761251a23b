"""mailbox: `mailboxexists`, and `:create` of fileinto. # RFC 5490 3

Whether a missing folder is made is for the transport to say (`create_directory`, `create_file`; Exim filter spec 2.8): `:create`
asks for no more than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run


def is_mailboxexists(run: Run, node: Node) -> bool:
    """All of them. # RFC 5490 3.1"""
    exists = run.setting.mailbox_exists
    inbox = run.setting.inbox.lower()
    return all(name.lower() in ("inbox", inbox) or (exists is not None and _sane(name) and exists(name)) for name in node.args[0])


def _sane(name: str) -> bool:
    return bool(name) and ".." not in name and "\0" not in name


EXTENSION = Extension(
    ("mailbox",),
    tests=(Spec("mailboxexists", is_mailboxexists, "mailbox", arguments=(Argument("list", "mailbox string list expected"),)),),
    tags={"fileinto": (Tag(":create", capability="mailbox"),)},
)
