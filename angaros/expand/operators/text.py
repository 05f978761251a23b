"""Operators that change text: case, quoting, escaping, substrings, wrapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from angaros.expand.conditions.compare import ascii_lower
from angaros.expand.items.strings import number_hash, substring, text_hash
from angaros.expand.nodes import fail
from angaros.model.text import Tainted, like

if TYPE_CHECKING:
    from angaros.model.scope import Scope

_UPPER = {code: code - 32 for code in range(97, 123)}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_QUOTE_FREE = _PLAIN | frozenset("_-.")
_LOCAL_PART_FREE = _PLAIN | frozenset("!#$%&'*+-/=?^_`{|}~.")
_PRINTING_ESCAPES = {"\n": "\\n", "\r": "\\r", "\f": "\\f", "\v": "\\v", "\b": "\\b"}
HEADER_WRAP_COLUMNS = 80
HEADER_WRAP_LIMIT = 998
TAB_WIDTH = 8


def do_lc(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (lc)"""
    return text.lower() if text.isascii() else like(ascii_lower(text), text)


def do_uc(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (uc)"""
    return text.upper() if text.isascii() else like(str(text).translate(_UPPER), text)


def do_strlen(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (strlen)"""
    return str(len(text))


def do_expand(text: str, argument: str, scope: Scope) -> str:
    """Expand once more. # Exim spec 11.6 (expand)"""
    from angaros.expand.engine import refuse_to_expand
    from angaros.expand.items.lists import inside
    from angaros.model.errors import ExpansionError

    try:
        if type(text) is Tainted:
            raise refuse_to_expand(text, scope)
        return scope.expand(text)
    except ExpansionError as error:
        raise inside(error, f'internal expansion of "{text}" failed: {error}') from None


def escape_char(ch: str) -> str:
    """An octet that does not print, as Exim shows it."""
    return _PRINTING_ESCAPES.get(ch) or f"\\{ord(ch):03o}"


def escaped(text: str, top_bit_prints: bool) -> str:
    """`string_printing` in the manual's terms: control octets (not tab), and those above 126, as escapes."""
    if text.isprintable() and text.isascii():
        return text
    return "".join([ch if " " <= ch <= "~" or ch == "\t" or (top_bit_prints and ch > "\x7f") else escape_char(ch) for ch in text])


def do_escape(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (escape)"""
    return like(escaped(text, bool(scope.services.config.main.print_topbitchars)), text)


def do_escape8bit(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (escape8bit)"""
    return like("".join([f"\\{ord(ch):03o}" if ch == "\\" or ch >= "\x7f" else ch for ch in text]), text)


def do_hexquote(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (hexquote)"""
    return like("".join([ch if "!" <= ch <= "~" else f"\\x{ord(ch):02x}" for ch in text]), text)


def do_quote(text: str, argument: str, scope: Scope) -> str:
    """In double quotes unless it is a plain word. # Exim spec 11.6 (quote)"""
    if text and _QUOTE_FREE.issuperset(text):
        return text
    parts = {"\n": "\\n", "\r": "\\r", "\\": "\\\\", '"': '\\"'}
    return like('"' + "".join([parts.get(ch, ch) for ch in text]) + '"', text)


def do_quote_lookup(text: str, argument: str, scope: Scope) -> str:
    """`quote_<lookup type>`: the type's own quoting; the result is fit for its queries. # Exim spec 11.6 (quote_)"""
    kind, underscore, options = argument.partition("_")
    try:
        if underscore and not options:
            scope.services.lookups.quote(kind, text)  # a wrong type is said first
            raise fail(f'"" unrecognized after "${{quote_{kind}"')
        quoted = scope.services.lookups.quote(kind, text, options)
    except (ValueError, KeyError) as error:
        raise fail(str(error.args[0]) if error.args else f'unknown lookup type "{kind}"') from None
    return quoted


def do_quote_local_part(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (quote_local_part) # RFC 5322 3.2.4"""
    needed = not text or text[0] == "." or text[-1] == "."
    if not needed and _LOCAL_PART_FREE.issuperset(text):
        return text
    if '"' not in text and "\\" not in text and "\n" not in text and "\r" not in text:
        return like(f'"{text}"', text)
    parts: list[str] = ['"']
    for ch in text:
        if ch == "\n":
            parts.append("\\n")
        elif ch == "\r":
            parts.append("\\r")
        else:
            parts.append("\\" + ch if ch in '\\"' else ch)
    parts.append('"')
    return like("".join(parts), text)


def do_rxquote(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (rxquote)"""
    if _PLAIN.issuperset(text):
        return text
    return like("".join([ch if ch in _PLAIN else "\\" + ch for ch in text]), text)


# --- Operators with numbers --------------------------------------------------------------------------------------------


def _numbers(name: str, argument: str, signed: bool, most: int) -> tuple[int, int]:
    """`3`, `3_5`, `-3_5` after the operator's name; the second is -1 when it is not there."""
    rest = argument
    sign = 1
    if signed and rest.startswith("-"):
        sign, rest = -1, rest[1:]
    first, underscore, second = rest.partition("_")
    wrong = first.strip("0123456789") or (underscore and (most < 2 or not second or second.strip("0123456789")))
    if wrong or not (first or not underscore):
        raise fail(f'non-digit after underscore in "{name}_{argument}"')
    value = sign * min(int(first or "0"), 1 << 31)
    return value, min(int(second), 1 << 31) if second else -1


TextFunction: TypeAlias = "Callable[[str], str]"


def _hash(first: int, second: int) -> TextFunction:
    """# Exim spec 11.6 (hash)"""
    return lambda text: text_hash(text, first, second)


def _nhash(first: int, second: int) -> TextFunction:
    """# Exim spec 11.6 (nhash)"""
    return lambda text: number_hash(text, first, second)


def _length(first: int, second: int) -> TextFunction:
    """# Exim spec 11.6 (length)"""
    return lambda text: text[:first]


def _substr(first: int, second: int) -> TextFunction:
    """# Exim spec 11.6 (substr)"""
    if first >= 0 and second >= 0:
        return lambda text: text[first : first + second]
    return lambda text: substring(text, first, second)


NUMBERED: dict[str, tuple[Callable[[int, int], TextFunction], bool, int]] = {
    "hash": (_hash, False, 2), "h": (_hash, False, 2), "nhash": (_nhash, False, 2), "nh": (_nhash, False, 2),
    "length": (_length, False, 1), "l": (_length, False, 1), "substr": (_substr, True, 2), "s": (_substr, True, 2),
}  # fmt: skip
"""What makes the function from the numbers; whether the first may be negative, how many there may be."""


def numbered(name: str, argument: str) -> TextFunction:
    """The function that `hash_8_62` stands for. Raises ExpansionError."""
    make, signed, most = NUMBERED[name]
    return make(*_numbers(name, argument, signed, most))


# --- headerwrap --------------------------------------------------------------------------------------------------------


def do_headerwrap(text: str, argument: str, scope: Scope) -> str:
    """Fold a header line at `columns`; cut the result at `limit` octets. # Exim 4.97 spec 11.6 (headerwrap)"""
    columns, limit = HEADER_WRAP_COLUMNS, HEADER_WRAP_LIMIT
    if argument:
        first, _, second = argument.partition("_")
        if not (first + second).isdigit():
            raise fail(f'non-digit after underscore in "headerwrap_{argument}"')
        columns = int(first or columns)
        limit = int(second or limit)
    columns = max(columns, TAB_WIDTH + 1)
    rest = str(text)
    lines: list[str] = []
    width, pos, end, made = columns, 0, len(rest), 0
    while end - pos > width and made < limit:
        stop = rest.rfind(" ", pos, pos + width + 1)
        if stop <= pos:
            stop = pos + width
            lines.append(rest[pos:stop])
            pos = stop
        else:
            lines.append(rest[pos:stop].rstrip(" \t"))
            pos = stop
            while pos < end and rest[pos] in " \t":
                pos += 1
        width = columns - TAB_WIDTH
        made += len(lines[-1])
    lines.append(rest[pos:])
    return like("\n\t".join(lines)[:limit], text)


def do_xtextd(text: str, argument: str, scope: Scope) -> str:
    """# RFC 3461 4 # Exim 4.98 spec 11.6 (xtextd)"""
    parts: list[str] = []
    pos = 0
    while pos < len(text):
        ch = str(text[pos])
        if ch == "+":
            digits = str(text[pos + 1 : pos + 3])
            try:
                ch = chr(int(digits, 16)) if len(digits) == 2 else ""
            except ValueError:
                ch = ""
            if not ch:
                raise fail(f'string "{text}" is not well-formed for "xtextd" operator')
            pos += 2
        parts.append(ch)
        pos += 1
    return like("".join(parts), text)


def do_stat(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (stat)"""
    import os
    import stat

    from angaros.expand.limits import permitted

    permitted(scope, "stat")
    try:
        found = os.stat(text.encode("latin-1"))
    except (OSError, ValueError) as error:
        raise fail(f"stat({text}) failed: {getattr(error, 'strerror', None) or 'Invalid argument'}") from None
    mode = stat.S_IMODE(found.st_mode)
    octal = f"{found.st_mode & 0o77777:05o}" if not stat.S_ISREG(found.st_mode) else f"{mode:04o}"
    return (
        f"mode={octal} smode={stat.filemode(found.st_mode)} inode={found.st_ino} device={found.st_dev} links={found.st_nlink} "
        f"uid={found.st_uid} gid={found.st_gid} size={found.st_size} atime={int(found.st_atime)} "
        f"mtime={int(found.st_mtime)} ctime={int(found.st_ctime)}"
    )
