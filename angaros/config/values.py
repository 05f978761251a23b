"""How the configuration language writes each kind of value: text to value (`read_*`, `parse_*`), value to text (`show_*`).

`read_*` raise ValueError with Exim's message; `name` is the option's name in it.
"""

from __future__ import annotations

import re

from angaros.config import options as kinds

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_INTERVALS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_TIME = re.compile(r"(?:[0-9]+[smhdw])+\Z")
_TIME_PART = re.compile(r"([0-9]+)([smhdw])")
_INTEGER = re.compile(r"[ \t]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_FIXED = re.compile(r"([+-]?[0-9]+)(?:\.([0-9]*))?")
_OCTAL = re.compile(r"[0-7]+")
_NAME = re.compile(r"[A-Za-z0-9_]*")
_SUFFIXES = "kmgtpez"
INT_MAX = 2**31 - 1
"""Exim keeps plain integers in a C int; files that pass here must pass there."""
LONG_MAX = 2**63 - 1
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}
_WHITE = " \t\r\v\f"


def parse_time(text: str) -> int:
    """Seconds of `1h30m`; -1 when it is not a time interval (Exim spec 6.16)."""
    if not _TIME.match(text):
        return -1
    return sum(int(count) * _UNITS[unit] for count, unit in _TIME_PART.findall(text))


def show_time(seconds: int) -> str:
    """`1h30m`; `0s` for nothing."""
    if seconds < 0:
        return "-" + show_time(-seconds)
    out = ""
    for unit, size in _INTERVALS:
        count, seconds = divmod(seconds, size)
        if count:
            out += f"{count}{unit}"
    return out or "0s"


def _extra(what: str, rest: str) -> ValueError:
    hint = " (# is comment only at line start)" if rest.startswith("#") else ""
    return ValueError(f"extra characters follow {what}{hint}")


def no_more(rest: str, what: str) -> None:
    """Complain about text after a value."""
    rest = rest.lstrip(_WHITE)
    if rest:
        raise _extra(what, rest)


def read_boolean(rest: str, name: str, *, negated: bool = False, written: str = "") -> bool:
    """The value of a switch; `rest` is what follows its name (Exim spec 6.12)."""
    if not rest:
        return not negated
    if negated or not rest.startswith("="):
        raise _extra(f"boolean option {written or name}", rest)
    text = rest[1:].lstrip(_WHITE)
    if not text:
        return True
    word = _NAME.match(text)
    value = word.group() if word else ""
    if value.lower() not in _TRUTH:
        raise ValueError(f'"{value}" is not a valid value for the "{name}" option')
    no_more(text[len(value) :], f'"{value}" for boolean option {name}')
    return _TRUTH[value.lower()]


def read_string(text: str, name: str) -> str:
    """Text with or without double quotes (Exim spec 6.17)."""
    if not text.startswith('"'):
        return text
    out: list[str] = []
    position = 1
    while True:
        stop = position
        while stop < len(text) and text[stop] not in '"\\':
            stop += 1
        out.append(text[position:stop])
        if stop >= len(text):
            raise ValueError(f"missing quote at end of string value for {name}")
        if text[stop] == '"':
            no_more(text[stop + 1 :], f"string value for {name}")
            return "".join(out)
        character, position = unescape(text, stop)
        out.append(character)


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPED_OCTAL = re.compile(r"[0-7]{1,3}")
_ESCAPED_HEX = re.compile(r"x([0-9a-fA-F]{0,2})")


def unescape(text: str, position: int) -> tuple[str, int]:
    """The character that the escape at `position` (a backslash) stands for, and where the text goes on."""
    position += 1
    if position >= len(text):
        return "\\", position
    if octal := _ESCAPED_OCTAL.match(text, position):
        return chr(int(octal.group(), 8) & 0xFF), octal.end()
    if hexadecimal := _ESCAPED_HEX.match(text, position):
        return chr(int(hexadecimal.group(1) or "0", 16)), hexadecimal.end()
    return _ESCAPES.get(text[position], text[position]), position + 1


def read_integer(text: str, name: str, kind: str = kinds.INT) -> int:
    """A number with an optional suffix (Exim spec 6.13); a KINT without suffix is in K."""
    found = _INTEGER.match(text)
    if not found:
        raise ValueError(f"integer expected for {name}")
    digits = found.group(2)
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10
    value = int(digits, base)
    end = found.end()
    suffix = text[end : end + 1].lower()
    power = _SUFFIXES.find(suffix) + 1 if suffix else 0
    if kind == kinds.KINT:
        power = max(power, 1)
        limit = LONG_MAX * 1024
    else:
        limit = INT_MAX
    if suffix and suffix in _SUFFIXES:
        end += 1
    value <<= 10 * power
    if value > limit:
        raise ValueError(f'absolute value of integer "{text[:end].lstrip()}" is too large (overflow)')
    no_more(text[end:], f"integer value for {name}")
    return -value if found.group(1) == "-" else value


def read_octal(text: str, name: str) -> int:
    """A number in octal digits (Exim spec 6.14)."""
    found = _OCTAL.match(text)
    if not found:
        raise ValueError(f"octal integer expected for {name}")
    value = int(found.group(), 8)
    if value > INT_MAX:
        raise ValueError(f'absolute value of integer "{found.group()}" is too large (overflow)')
    no_more(text[found.end() :], f"octal integer value for {name}")
    return value


def read_fixed(text: str, name: str) -> int:
    """Thousandths of a decimal number (Exim spec 6.15)."""
    found = _FIXED.match(text)
    if not found:
        raise ValueError(f"fixed-point number expected for {name}")
    value = int(found.group(1)) * 1000 + int(((found.group(2) or "") + "000")[:3])
    if value < 0 or value > INT_MAX:
        raise ValueError(f'integer "{text}" is too large (overflow)')
    no_more(text[found.end() :], f"fixed-point value for {name}")
    return value


def read_time(text: str, name: str) -> int:
    """Seconds."""
    value = parse_time(text)
    if value < 0:
        raise ValueError(f"invalid time value for {name}")
    return value


def read_time_list(text: str, name: str) -> str:
    """Ascending intervals (`delay_warning`); white space is dropped."""
    last = 0
    items = [item.strip(_WHITE) for item in text.split(":")] if text else []
    for item in items:
        value = read_time(item, name)
        if value < last:
            raise ValueError(f"time value out of order for {name}")
        last = value
    return ":".join(items)


def show_number(value: int) -> str:
    """With K, M or G where it is a multiple."""
    if not value:
        return "0"
    for suffix, size in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if value % size == 0:
            return f"{value // size}{suffix}"
    return str(value)


def show_fixed(value: int) -> str:
    """`3.123`, `0.0`; "" when unset."""
    if value < 0:
        return ""
    whole, fraction = divmod(value, 1000)
    return f"{whole}.{(f'{fraction:03}').rstrip('0') or '0'}"


_PRINTED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\v": "\\v", "\f": "\\f"}


def printing(text: str, *, top_bit: bool = False) -> str:
    """Text with escapes for what does not print; octets above 127 print when `print_topbitchars` is set."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if " " <= character <= "~" or (top_bit and character >= "\x80")
        else _PRINTED.get(character) or f"\\{ord(character):03o}"
        for character in text
    )


def bool_or_expand(text: str) -> bool | str:
    """A value of kind EXPAND_BOOL: a switch, or text to be expanded."""
    return _TRUTH.get(text.lower(), text)


def is_true(text: str) -> bool:
    """An expanded EXPAND_BOOL or `condition`-like text; ValueError when it is no boolean."""
    value = text.strip().lower()
    if value in _TRUTH:
        return _TRUTH[value]
    if value.lstrip("+-").isdigit():
        return int(value) != 0
    raise ValueError(f'"{text}" is not a valid boolean value')
