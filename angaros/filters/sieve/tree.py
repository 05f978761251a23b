"""A parsed script, and the rows of the command and test tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Node:
    """One command or test. Arguments are not yet substituted (variables)."""

    spec: Spec
    line: int
    tags: dict[str, Any] = field(default_factory=dict)
    """Key of the tag -> its name (when it takes no argument) or its argument."""
    args: list[Any] = field(default_factory=list)
    tests: list[Node] = field(default_factory=list)
    branches: list[tuple[Node | None, list[Node]]] = field(default_factory=list)
    """Of `if`: test and block; the test of `else` is None."""

    @property
    def name(self) -> str:
        """Name of the command or test."""
        return self.spec.name


@dataclass(frozen=True, slots=True)
class Argument:
    """What has to stand somewhere. `kind`: `string`, `list` (one string or several), `number`."""

    kind: str
    error: str
    """Exim's words when it is not there."""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged argument."""

    name: str
    """With the colon."""
    key: str = ""
    """Tags with one key exclude each other; "" : the name without the colon."""
    argument: Argument | None = None
    capability: str = ""
    """What a `require` must have named."""
    twice: str = ""
    """Exim's words when a tag of this key is there already; "" : the last one holds."""

    @property
    def place(self) -> str:
        """Where its value stands in `Node.tags`."""
        return self.key or self.name[1:]


@dataclass(frozen=True, slots=True)
class Spec:
    """One command or test: how it is written and what it does."""

    name: str
    run: Callable[..., Any]
    """Of a command `(run, node)`, of a test `(run, node) -> bool`."""
    capability: str = ""
    tags: tuple[Tag, ...] = ()
    arguments: tuple[Argument, ...] = ()
    check: Callable[..., None] | None = None
    """`(checker, node)`: what can be wrong with constants; called when it has been read, and again with substituted strings."""
    needs: tuple[tuple[str, str], ...] = ()
    """Keys of tags of which one has to be there, each with the words when it is not."""
    shape: str = ""
    """`list` (a list of tests), `test` (one test), `if`, "" for arguments only."""


@dataclass(frozen=True, slots=True)
class Extension:
    """What one capability (or a few that belong together) adds to the language."""

    capabilities: tuple[str, ...]
    commands: tuple[Spec, ...] = ()
    tests: tuple[Spec, ...] = ()
    tags: dict[str, tuple[Tag, ...]] = field(default_factory=dict)
    """Name of a command or test -> tags that it gets; `match` for all tests that compare."""


@dataclass(slots=True)
class Script:
    """A script as far as it could be read."""

    commands: list[Node] = field(default_factory=list)
    required: set[str] = field(default_factory=set)
    error: Exception | None = None
    """Why reading ended early: it is raised when running has got there."""
