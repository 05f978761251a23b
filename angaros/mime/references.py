"""The References line of an answer. RFC 5322 3.6.4."""

from __future__ import annotations

import re
from collections.abc import Iterable

from angaros.model.message import Header

MOST = 12
"""Longer lists keep the first id and the latest ones, as Exim's do."""

_ID = re.compile(r"<[^<>\s]+>")


def references_for(headers: Iterable[Header]) -> str:
    """Value of References for an answer to the message; "" when it has no id."""
    found: dict[str, list[str]] = {}
    for header in headers:
        name = header.name.lower()
        if header.kind != "*" and name in ("references", "in-reply-to", "message-id") and name not in found:
            found[name] = _ID.findall(header.value)
    before = found.get("references") or found.get("in-reply-to", [])
    own = found.get("message-id", [])[:1]
    ids = [one for one in before if one not in own] + own
    if len(ids) > MOST:
        ids = ids[:1] + ids[-(MOST - 1) :]
    return "\n ".join(ids) if len(" ".join(ids)) > 900 else " ".join(ids)
