"""ACL text to statements, once. Exim spec 44.17, 44.12 (files and inline text).

Errors have Exim's words; `AclSyntaxError` carries them without the `error in ACL: ` that goes before them when the configuration
is read (`check`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.acl.table import ROWS, VERBS, Handler, Row
from angaros.config.config import NOWHERE, AclLine, Position
from angaros.model.errors import ConfigError

if TYPE_CHECKING:
    from angaros.config.config import AclText, Config

_NAME = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)?\s*")
_VARIABLE_END = re.compile(r"[A-Za-z0-9_]*")
_DKIM_VARIABLES = ("dkim_verify_status", "dkim_verify_reason")
"""Other names that `set` may change (Exim spec 58.1)."""


class AclSyntaxError(ConfigError):
    """Wrong ACL text."""


@dataclass(frozen=True, slots=True)
class Item:
    """One condition or modifier of a statement."""

    row: Row
    text: str
    """The argument as written."""
    negated: bool = False
    variable: str = ""
    """Name after `set`, without `acl_` for ACL variables (`m0`, `c_foo`)."""
    title: str = ""
    """`!verify`, `set acl_m0`: for traces."""
    handler: Handler | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A verb with its conditions and modifiers, in order."""

    verb: str
    items: tuple[Item, ...]
    position: Position = NOWHERE
    location: str = ""
    """`ACL warn, FILE LINE`: for messages about what stands here."""


Acl = tuple[Statement, ...]


def parse(lines: Iterable[AclLine]) -> Acl:
    """Statements of an ACL; raises `AclSyntaxError`."""
    statements: list[Statement] = []
    verb, position = "", NOWHERE

    def close() -> None:
        location = f"ACL {verb}, {position.file} {position.line}" if position.file else f"ACL {verb}"
        statements.append(Statement(verb, tuple(items), position, location))

    items: list[Item] = []
    for line in lines:
        word, rest = _read_name(line.text)
        if word in VERBS:
            if verb:
                close()
            verb, items, position = word, [], line.position
        elif not verb:
            raise _wrong(f'unknown ACL verb "{word}" in "{line.text.strip()}"', line)
        else:
            rest = line.text
        if rest.strip():
            items.append(_parse_item(rest, verb, line))
    if verb:
        close()
    return tuple(statements)


def parse_text(text: str, position: Position = NOWHERE) -> Acl:
    """Statements of an inline ACL or of a file's contents; all get `position`, that of the place that uses them."""
    return parse(AclLine(line, position) for line in logical_lines(text))


def logical_lines(text: str) -> Iterator[str]:
    """Lines as in the configuration file: continuation, blank and comment lines dealt with. Exim spec 6.2."""
    pending: list[str] = []
    for raw in text.split("\n"):
        line = raw.strip(" \t\r")
        if line.startswith("#") or (not line and not pending):
            continue
        if line.endswith("\\"):
            pending.append(line[:-1])
            continue
        pending.append(raw.lstrip(" \t\r"))  # blanks at its end may be what an expansion left: text of a modifier keeps them
        joined = "".join(pending)
        pending = []
        if joined.strip():
            yield joined
    if pending and "".join(pending).strip():
        yield "".join(pending)


def check(config: Config) -> dict[str, Acl]:
    """Parse all named ACLs; raises `ConfigError` with file and line, in the words in which Exim refuses to start."""
    return {name: parse_named(text) for name, text in config.acls.items()}


def parse_named(text: AclText) -> Acl:
    """One ACL of the configuration."""
    try:
        return parse(text.lines)
    except AclSyntaxError as error:
        wrapped = ConfigError(f"error in ACL: {error.text}", file=error.file, line=error.line, source=error.source)
        raise wrapped from None


def _read_name(text: str) -> tuple[str, str]:
    found = _NAME.match(text)
    assert found is not None
    return found.group(1) or "", text[found.end() :]


def _parse_item(text: str, verb: str, line: AclLine) -> Item:
    stripped = text.lstrip()
    negated = stripped.startswith("!")
    name, rest = _read_name(stripped[1:] if negated else stripped)
    row = ROWS.get(name)
    if row is None:
        raise _wrong(f'unknown ACL condition/modifier in "{line.text.strip()}"', line)
    if negated and not row.negatable:
        raise _wrong(f'ACL error: negation is not allowed with "{name}"', line)
    if name == "endpass" and verb not in ("accept", "discard"):
        raise _wrong(f'ACL error: "{name}" is not allowed with "{verb}"', line)
    variable = ""
    title = f"!{name}" if negated else name
    if name == "set":
        variable, rest = _parse_variable(rest, line)
        title = f"set {variable if variable.startswith('dkim') else 'acl_' + variable}"
    if rest.startswith("="):
        rest = rest[1:].lstrip(" \t\n")
        if not row.modifier:
            rest = rest.rstrip(" \t\n")
    elif name != "endpass":
        raise _wrong(f'"=" missing after ACL "{name}" {"modifier" if row.modifier else "condition"}', line)
    return Item(row, rest, negated, variable, title, row.resolve())


def _parse_variable(rest: str, line: AclLine) -> tuple[str, str]:
    for other in _DKIM_VARIABLES:
        if rest.startswith(other):
            return other, rest[len(other) :].lstrip()
    where = f'in ACL modifier "set {rest}"'
    if not rest.startswith(("acl_c", "acl_m")):
        raise _wrong(f'invalid variable name after "set" {where} (must start "acl_c" or "acl_m")', line)
    if len(rest) < 6 or not (rest[5].isdigit() or rest[5] == "_"):
        raise _wrong(f'invalid variable name after "set" {where} (digit or underscore must follow acl_c or acl_m)', line)
    found = _VARIABLE_END.match(rest, 5)
    assert found is not None
    end = found.end()
    if end < len(rest) and rest[end] not in "= \t":
        raise _wrong(f'invalid character "{rest[end]}" in variable name {where}', line)
    return rest[4:end], rest[end:].lstrip()


def _wrong(text: str, line: AclLine) -> AclSyntaxError:
    return AclSyntaxError(text, file=line.position.file, line=line.position.line, source=line.text)
