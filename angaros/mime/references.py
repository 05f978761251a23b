"""The References line of an answer. RFC 5322 3.6.4."""

from __future__ import annotations

import re
from collections.abc import Iterable

from angaros.model.message import Header

LONGEST_LINE = 998
"""The first id and the latest ones are kept, as many as fit into one line. RFC 5322 2.1.1."""

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
    room = LONGEST_LINE - len("References:") - sum(len(one) + 1 for one in ids[:1] + own)
    kept: list[str] = []
    for one in reversed(ids[1 : len(ids) - len(own)]):
        room -= len(one) + 1
        if room < 0:
            break
        kept.insert(0, one)
    return " ".join(dict.fromkeys(ids[:1] + kept + own))
