"""Strings made printable for log lines."""

from __future__ import annotations

import re

from angaros.model.text import like

_ESCAPES = {8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}


def _table(*, top: bool, tab: bool) -> dict[int, str]:
    table = {code: _ESCAPES.get(code, f"\\{code:03o}") for code in (*range(32), 127)}
    if not top:
        table.update((code, f"\\{code:03o}") for code in range(128, 256))
    if not tab:
        del table[9]
    return table


_TABLES = {(top, tab): _table(top=top, tab=tab) for top in (False, True) for tab in (False, True)}


def printing(text: str, *, top_bit: bool = False, escape_tab: bool = False) -> str:
    """`text` with what is not printable as `\\n`, `\\033`, ...; octets above 127 too unless `top_bit` (`print_topbitchars`)."""
    if text.isascii() and text.isprintable():
        return text
    return like(text.translate(_TABLES[top_bit, escape_tab]), text)


_CONTROLS = {code: _ESCAPES.get(code, f"\\{code:03o}") for code in (*range(9), *range(11, 32), 127)}
_LINE_BREAK = re.compile(r"\n(?=[^ \t\n])")


def one_entry(text: str) -> str:
    """A log entry that stays one entry: control characters are made visible, and so is a line break, unless the next line is
    indented (as in our own longer texts). What peers say gets into many entries; none of it may look like an entry of ours."""
    if text.isprintable():
        return text
    return _LINE_BREAK.sub("\\\\n", text.translate(_CONTROLS))


def quoted(text: str) -> str:
    """In double quotes, with quotes and backslashes escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
