"""Tag lists: `v=1; a=rsa-sha256; ...`. # RFC 6376 3.2

Used by signatures, key records and ARC headers; DMARC records have the same form.
"""

from __future__ import annotations

import re

MAX_TAGS = 100
"""More is no signature: a dozen are defined."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z", re.ASCII)
_WHITE = " \t\r\n"
_ANY_WHITE = re.compile(r"[ \t\r\n]+")


class TagError(ValueError):
    """No tag list."""


def parse_tags(text: str) -> dict[str, str]:
    """Names and values, in order. A name that comes twice makes the whole list invalid. # RFC 6376 3.2"""
    found: dict[str, str] = {}
    parts = text.split(";")
    if len(parts) > MAX_TAGS:
        raise TagError("too many tags")
    if not parts[-1].strip(_WHITE):
        del parts[-1]
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip(_WHITE)
        if not equals or not _NAME.match(name):
            raise TagError("syntax error")
        if name in found:
            raise TagError(f"tag {name} twice")
        found[name] = value.strip(_WHITE)
    return found


def without_white(text: str) -> str:
    """A value in which folding white space means nothing (base64, lists)."""
    return _ANY_WHITE.sub("", text)


def split_colons(text: str) -> tuple[str, ...]:
    """A colon-separated value."""
    return tuple(item for item in without_white(text).split(":") if item)
