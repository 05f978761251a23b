"""How the configuration language writes each kind of value: text to value (`parse_*`) and value to text (`show_*`).

A `parse_*` function returns -1 or raises ValueError as its docstring says; messages with option names are made in
`assembly.reader`, where the option is known.
"""

from __future__ import annotations

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SHOWN = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def parse_time(text: str) -> int:
    """Seconds of `1h30m`; -1 when it is not a time interval (Exim spec 6.15)."""
    total = position = 0
    if not text:
        return -1
    while position < len(text):
        start = position
        while position < len(text) and "0" <= text[position] <= "9":
            position += 1
        if start == position:
            return -1
        unit = text[position] if position < len(text) else "s"
        if unit not in _UNITS:
            return -1
        total += int(text[start:position]) * _UNITS[unit]
        position += 1
    return total


def show_time(seconds: int) -> str:
    """`1h30m`; `0s` for nothing."""
    if seconds < 0:
        return "-" + show_time(-seconds)
    out = ""
    for unit, size in _SHOWN:
        count, seconds = divmod(seconds, size)
        if count:
            out += f"{count}{unit}"
    return out or "0s"
