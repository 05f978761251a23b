"""Strings made printable for log lines."""

from __future__ import annotations

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


def quoted(text: str) -> str:
    """In double quotes, with quotes and backslashes escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
