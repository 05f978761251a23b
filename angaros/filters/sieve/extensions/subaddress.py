"""subaddress: `:user` and `:detail` of an address. # RFC 5233; Exim spec 22.10, sieve_useraddress, sieve_subaddress"""

from __future__ import annotations

from angaros.filters.sieve.tests import PART_TWICE
from angaros.filters.sieve.tree import Extension, Tag

_PARTS = tuple(Tag(name, "part", capability="subaddress", twice=PART_TWICE) for name in (":user", ":detail"))
EXTENSION = Extension(("subaddress",), tags={"address": _PARTS, "envelope": _PARTS})
