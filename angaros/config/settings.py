"""Reading option settings: `name = value`, `no_name`, `hide name = value` (Exim spec 6.11 to 6.19).

A `Block` collects the settings of main or of one driver instance. Its errors are ValueErrors with Exim's words; the reader
adds the place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from angaros.config import options as kinds
from angaros.config import values
from angaros.config.options import BOOLEAN_KINDS, Option, Options
from angaros.config.users import find_group, find_user, group_name
from angaros.model.errors import ExpansionError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_HIDE = re.compile(r"hide[ \t]+")
_WHITE = " \t\r\v\f"

Expand = Callable[[str], str]
"""Expands a string while the configuration is read."""

REWRITE_CHECK = Callable[[str], object]


class Block:
    """The settings of one block while it is read."""

    def __init__(self, table: type[Options], expand: Expand) -> None:
        self.table = table
        self.values: dict[str, Any] = {}
        self.written: dict[str, str] = {}
        """Name as written (`no_x`) by option name."""
        self.hidden: set[str] = set()
        self._expand = expand

    def read(self, line: str, unknown: Callable[[str], str]) -> Option:
        """Read one line; `unknown` makes the error text for a name that is no option. Returns the row that was set."""
        hide = _HIDE.match(line)
        if hide:
            line = line[hide.end() :]
        elif line == "hide":
            line = ""
        found = _NAME.match(line)
        if not found:
            raise ValueError(unknown("") if hide or not line else f"option setting expected: {line}")
        written = found.group()
        row, negated = self._find(written)
        if row is None:
            raise ValueError(unknown(written))
        rest = line[found.end() :].lstrip(_WHITE)
        self._check_repeated(row, written)
        if hide:
            self.hidden.add(row.name)
        if row.kind in BOOLEAN_KINDS:
            self._set_boolean(row, rest, negated, written)
        else:
            if negated:
                raise ValueError("negation prefix applied to a non-boolean option")
            if not rest:
                raise ValueError(f"unexpected end of line (data missing) after {row.name}")
            if not rest.startswith("="):
                raise ValueError(f'missing "=" after {row.name}')
            self._set(row, rest[1:].lstrip(_WHITE))
        self.written[row.name] = written
        return row

    def _find(self, written: str) -> tuple[Option | None, bool]:
        rows = self.table.OPTIONS
        if written in rows:
            return rows[written], False
        for prefix in ("no_", "not_"):
            if written.startswith(prefix) and (row := rows.get(written[len(prefix) :])):
                return row, True
        return None, False

    def _check_repeated(self, row: Option, written: str) -> None:
        if row.name in self.written and row.kind not in (kinds.REP_CON, kinds.REP_STR):
            raise ValueError(f'"{written}" option set for the second time')

    def _set_boolean(self, row: Option, rest: str, negated: bool, written: str) -> None:
        if row.kind == kinds.EXPAND_BOOL and not negated and rest.startswith("="):
            text = values.read_string(rest[1:].lstrip(_WHITE), row.name)
            if text and "$" in text:
                self.values[row.name] = text
                return
        value = values.read_boolean(rest, row.name, negated=negated, written=written)
        self.values[row.name] = value
        if row.kind == kinds.BOOL_VERIFY:
            self.values[f"{row.name}_sender"] = self.values[f"{row.name}_recipient"] = value

    def _set(self, row: Option, text: str) -> None:
        name = row.name
        match row.kind:
            case kinds.INT | kinds.MKINT | kinds.KINT:
                value: Any = values.read_integer(text, name, row.kind)
            case kinds.OCTAL:
                value = values.read_octal(text, name)
            case kinds.FIXED:
                value = values.read_fixed(text, name)
            case kinds.TIME:
                value = values.read_time(text, name)
            case kinds.TIME_LIST:
                value = values.read_time_list(text, name)
            case kinds.REP_CON | kinds.REP_STR:
                value = self._join(row, values.read_string(text, name))
            case kinds.UID | kinds.GID | kinds.EXPAND_UID | kinds.EXPAND_GID:
                value = values.read_string(text, name)
                self._check_owner(row, value)
            case kinds.UID_LIST | kinds.GID_LIST:
                value = self._owners(row, values.read_string(text, name))
            case _:
                value = values.read_string(text, name)
        self.values[name] = value
        if row.obsolete in self.table.OPTIONS:
            self.values[row.obsolete] = value

    def _join(self, row: Option, text: str) -> str:
        """A further text of an option that may be given several times (Exim spec 15, `condition`, `headers_add`, ...)."""
        before = self.values.get(row.name)
        if before is None:
            return text
        if row.kind == kinds.REP_CON:
            return f"${{if and{{{{bool_lax{{{before}}}}}{{bool_lax{{{text}}}}}}}}}"
        return f"{before}{row.joiner}{text}"

    def _check_owner(self, row: Option, text: str) -> None:
        """A user or group that is not to be expanded must exist; a user named gives the group too."""
        if "$" in text and row.kind in (kinds.EXPAND_UID, kinds.EXPAND_GID):
            return
        if row.kind in (kinds.GID, kinds.EXPAND_GID):
            _group(text)
            return
        gid = _user_gid(text)
        group = f"{row.name.removesuffix('user')}group"
        if gid is not None and group in self.table.OPTIONS and group not in self.written:
            self.values[group] = group_name(gid)

    def _owners(self, row: Option, text: str) -> str:
        """A list of users or groups: expanded now, each must exist."""
        if "$" in text:
            try:
                text = self._expand(text)
            except ExpansionError as error:
                raise ValueError(f"failed to expand {row.name}: {error}") from None
        for item in split_list(text):
            if row.kind == kinds.UID_LIST:
                _user_gid(item)
            else:
                _group(item)
        return text

    def finish(self) -> Any:
        """The frozen block."""
        return self.table(**self.values)


def _user_gid(text: str) -> int | None:
    try:
        return find_user(text).gid
    except (KeyError, UnicodeError, ValueError):
        raise ValueError(f"user {text} was not found") from None


def _group(text: str) -> int:
    try:
        return find_group(text)
    except (KeyError, UnicodeError, ValueError):
        raise ValueError(f"group {text} was not found") from None


def split_list(text: str) -> list[str]:
    """The items of a plain list: colon or `<x` separator, doubled separators, white space trimmed (Exim spec 6.20 to 6.22)."""
    separator = ":"
    text = text.lstrip(_WHITE)
    if len(text) > 1 and text[0] == "<" and not text[1].isalnum() and not text[1].isspace():
        separator, text = text[1], text[2:]
    items = text.replace(separator * 2, "\0").split(separator)
    if not items[-1].strip(_WHITE + "\n"):
        items.pop()
    return [item.replace("\0", separator).strip(_WHITE + "\n") for item in items]
