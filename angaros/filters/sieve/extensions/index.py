"""index: the n-th of several fields. # RFC 5260 6"""

from __future__ import annotations

from angaros.filters.sieve.tree import Argument, Extension, Tag

_TAGS = (
    Tag(":index", argument=Argument("number", "missing number"), capability="index"),
    Tag(":last", capability="index"),
)
EXTENSION = Extension(("index",), tags={"header": _TAGS, "address": _TAGS, "date": _TAGS})
