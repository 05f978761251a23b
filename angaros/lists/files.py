"""Files as list items: one item a line, with comments. # Exim spec 10.3"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from angaros.model.errors import PanicError
from angaros.model.text import is_tainted

if TYPE_CHECKING:
    from angaros.lists.walk import Walk

_COMMENT = re.compile(r"(?:^|[ \t])#.*")
"""In files of address and local-part lists, where # may be part of an item."""


def read_items(path: str, walk: Walk) -> list[str]:
    """The items in a file. It is read each time: administrators change it. PanicError when it cannot be."""
    if is_tainted(path):
        walk.scope.log(f"Tainted filename '{path}'", panic=True)
        raise PanicError(f"failed to open {path} when checking {walk.name}: Permission denied")
    try:
        with open(path, encoding="latin-1", newline="\n") as file:
            text = file.read()
    except OSError as error:
        raise PanicError(f"failed to open {path} when checking {walk.name}: {error.strerror}") from error
    words = walk.subject.kind in ("address", "localpart")
    items: list[str] = []
    for line in text.split("\n"):
        if "#" in line:
            line = _COMMENT.sub("", line) if words else line.partition("#")[0]
        line = line.strip()
        if line:
            items.append(line)
    return items
