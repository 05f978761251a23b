"""The type of a lookup as written in the configuration: `partial2-lsearch*@,ret=key`. # Exim spec 9.6, 9.7"""

from __future__ import annotations

import re

from angaros.lookups.registry import TYPES
from angaros.model.errors import LookupFailure
from angaros.model.record import dataclass

_PARTIAL = re.compile(r"partial([0-9]*)(?:-|\(([^a-zA-Z0-9)]*)\))")
_WORD = re.compile(r"([^*,]*)(\*@|\*)?(?:,(.*))?\Z", re.S)
DEFAULT_AFFIX = "*."


class UnknownType(LookupFailure, KeyError):
    """The type does not exist, or what stands around it is not permitted."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class TypeSpec:
    """A parsed type."""

    name: str
    partial: int = -1
    """Least number of components that are not wild; -1: no partial matching."""
    affix: str = DEFAULT_AFFIX
    star: str = ""
    """`*` or `*@`: the default keys to try."""
    options: tuple[str, ...] = ()

    @property
    def query_style(self) -> bool:
        """Whether a query is wanted, not a key and a file."""
        return TYPES[self.name].style == "query"


def parse_type(text: str) -> TypeSpec:
    """Raises `UnknownType` with Exim's text."""
    partial, affix, rest = -1, DEFAULT_AFFIX, text
    if text.startswith("partial"):
        match = _PARTIAL.match(text)
        if match is None:
            raise UnknownType(f'format error in lookup type "{text}"')
        partial = int(match[1]) if match[1] else 2
        affix = DEFAULT_AFFIX if match[2] is None else match[2]
        rest = text[match.end() :]
    word = _WORD.match(rest)
    name, star, options = (word[1], word[2] or "", word[3]) if word else (rest, "", None)
    row = TYPES.get(name)
    if row is None:
        raise UnknownType(f'unknown lookup type "{name}"')
    if row.style == "query":
        if partial >= 0:
            raise UnknownType(f'"partial" is not permitted for lookup type "{rest}"')
        if star:
            raise UnknownType(f'defaults using "*" or "*@" are not permitted for lookup type "{rest}"')
    return TypeSpec(name, partial, affix, star, tuple(part.strip() for part in options.split(",")) if options else ())


def partial_keys(key: str, spec: TypeSpec) -> list[tuple[str, str, str]]:
    """Keys to try after the whole key failed, each with the wild and the fixed part it stands for. # Exim spec 9.7"""
    affix, least = spec.affix, spec.partial
    tries: list[tuple[str, str, str]] = []
    count = key.count(".") + 1
    start = 0
    while count >= max(least, 1):
        if affix or start:
            tries.append((affix + key[start:], key[: start - 1] if start else "", key[start:]))
        dot = key.find(".", start)
        if dot < 0:
            break
        start, count = dot + 1, count - 1
    if least == 0 and affix:
        last = affix[:-1] if len(affix) > 1 and affix.endswith(".") else affix
        tries.append((last, key, ""))
    return tries


def default_keys(key: str, star: str) -> list[str]:
    """# Exim spec 9.6"""
    keys: list[str] = []
    at = key.rfind("@")
    if star == "*@" and at >= 0 and not (at == 1 and key[0] == "*"):
        keys.append("*" + key[at:])
    if star:
        keys.append("*")
    return keys
