"""A filter file, parsed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Condition:
    """One condition. `name`: `and`, `or`, `not`, a comparison (`is`, `BEGINS`, `above`, ...) or a word (`personal`, ...)."""

    name: str
    left: str = ""
    right: str = ""
    parts: list[Condition] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Command:
    """One command."""

    name: str
    arguments: list[str] = field(default_factory=list)
    """Data values, not expanded."""
    seen: bool | None = None
    """`seen` (True), `unseen` (False), neither (None)."""
    noerror: bool = False
    mail: dict[str, str] = field(default_factory=dict)
    """Keywords of mail and vacation."""
    expand_file: bool = False
    return_message: bool = False
    branches: list[tuple[Condition, list[Command]]] = field(default_factory=list)
    """if, elif ...; then the else part in `otherwise`."""
    otherwise: list[Command] = field(default_factory=list)
