"""Which language a filter file is in. Exim spec 22.3."""

from __future__ import annotations

import re

_FIRST_LINE = re.compile(r"\s*#\s*(exim|sieve)\s+filter", re.IGNORECASE)


def filter_kind(text: str) -> str:
    """`exim`, `sieve`, or "" for a list of addresses."""
    found = _FIRST_LINE.match(text[:400])
    return found[1].lower() if found is not None else ""
