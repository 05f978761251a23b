"""What a driver is, and what all drivers need. # Exim spec 9"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from angaros.model.errors import LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.record import dataclass

if TYPE_CHECKING:
    from angaros.lookups.files import OpenFiles
    from angaros.model.scope import Scope

NOT_FOUND = LookupResult(None)


@dataclass(slots=True)
class Request:
    """One search, as a driver sees it."""

    kind: str
    """Name of the type, without affixes."""
    key: str
    """Key, or query."""
    scope: Scope
    files: OpenFiles
    source: str = ""
    """File of single-key types."""
    options: tuple[str, ...] = ()
    """`name=value` parts, without `cache=` and `ret=key`."""

    def option(self, name: str) -> str | None:
        """Value of an option."""
        prefix = name + "="
        return next((part[len(prefix) :] for part in self.options if part.startswith(prefix)), None)


class Driver(Protocol):
    """One lookup type, or several that differ little. Made once an engine; keeps connections."""

    def find(self, request: Request) -> LookupResult:
        """Raises `LookupDefer`, `LookupFailure`."""
        ...

    def quote(self, value: str, option: str, kind: str) -> str | None:
        """`${quote_<kind>_<option>:value}`; None for an unknown option."""
        ...

    def close(self) -> None:
        """Drop connections."""
        ...


class PlainDriver:
    """A driver without quoting and connections."""

    def quote(self, value: str, option: str, kind: str) -> str | None:
        """No quoting is needed."""
        return None if option else value

    def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True, slots=True)
class FileRules:
    """What is demanded of a file. # Exim spec 22 (owners, modemask)"""

    forbidden_mode: int = 0
    owners: Sequence[int] = ()
    groups: Sequence[int] = ()
    directory: bool = False


NO_RULES = FileRules()


def check_file(status: os.stat_result, path: str, kind: str, rules: FileRules = NO_RULES) -> None:
    """Type, mode, owner and group of a file. Raises `LookupFailure` in Exim's words."""
    if rules.directory:
        if not stat.S_ISDIR(status.st_mode):
            raise LookupFailure(f"{path} is not a directory ({kind} lookup)")
    elif not stat.S_ISREG(status.st_mode):
        raise LookupFailure(f"{path} is not a regular file ({kind} lookup)")
    if status.st_mode & rules.forbidden_mode:
        mode = stat.S_IMODE(status.st_mode)
        raise LookupFailure(f"{path} ({kind} lookup): file mode {mode:04o} should not contain {mode & rules.forbidden_mode:04o}")
    if rules.owners and status.st_uid not in rules.owners:
        raise LookupFailure(f"{path} ({kind} lookup): file has wrong owner")
    if rules.groups and status.st_gid not in rules.groups:
        raise LookupFailure(f"{path} ({kind} lookup): file has wrong group")


def quote_value(value: str) -> str:
    """A field's value in a result of several fields: in double quotes when empty or with white space. # Exim spec 9.21"""
    if value and value[0] != '"' and not any(char.isspace() for char in value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
