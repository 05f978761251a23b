"""The report as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from angaros.tools.eximstats.sections import Errors, Grand, Grid, Histogram, Relays, Section, Spent

LONG_ERROR = 65
"""Error texts longer than this are wrapped,"""
ERROR_LINE = 50
"""at the first space after so many characters."""


def _title(text: str) -> str:
    return f"{text}\n{'-' * len(text)}\n"


def show_grand(section: Grand) -> str:
    """The head has its second line under `At least one address`."""
    wider = 9 * (len(section.columns) - 1)
    heads = "".join(f"{name:>{10 if at == 0 else 9}}" for at, name in enumerate(section.columns))
    out = [_title(section.title), f"{' ' * (66 + wider)}At least one address\n"]
    out.append(f"  TOTAL               Volume   Messages Addresses{heads}      Delayed       Failed\n")
    for name, (size, messages, addresses, *sites), extra in section.rows:
        line = f"  {name:<16} {size:>9}{messages:>11}{addresses:>10}"
        line += "".join(f"{number:>{10 if at == 0 else 9}}" for at, number in enumerate(sites))
        if extra:
            line += f"{extra[0]:>8} {extra[1]:>5}{extra[2]:>7} {extra[3]:>5}"
        out.append(line + "\n")
    return "".join(out)


def show_grid(section: Grid) -> str:
    """Numbers in columns, the name at one end."""
    out = [_title(section.title)]
    if section.name_last:
        out.append("".join(f"{head:>{10 if at == 0 else 11}}" for at, head in enumerate(section.heads[:-1])))
        out.append(f"   {section.heads[-1]}\n")
        for *numbers, name in section.rows:
            out.append("".join(f"{text:>{10 if at == 0 else 11}}" for at, text in enumerate(numbers)) + f"   {name}\n")
        return "".join(out)
    out.append(" " * 22 + "".join(f"{head:>{6 if at == 0 else 12}}" for at, head in enumerate(section.heads)) + "\n")
    for name, *numbers in section.rows:
        out.append(f"  {name:<18}  " + "".join(f"{text:>{6 if at == 0 else 12}}" for at, text in enumerate(numbers)) + "\n")
    return "".join(out)


def show_histogram(section: Histogram) -> str:
    """A dot for each so many."""
    lines = (
        f"{label} {number:6d} {'.' * (number // section.dot)}\n"
        for label, number in zip(section.labels, section.numbers, strict=True)
    )
    return _title(section.title) + "\n" + "".join(lines)


def show_spent(section: Spent) -> str:
    """Bins."""
    lines = (f"{word:<5} {limit:>4}   {number:6d} {part:>6}  {sofar:>6}\n" for word, limit, number, part, sofar in section.rows)
    return _title(section.title) + "\n" + "".join(lines)


def show_relays(section: Relays) -> str:
    """Two lines for each."""
    if not section.rows and not section.unshown:
        return _title("No relayed messages")
    lines = [f"{number:7d} {source} \n      => {target}\n" for number, source, target in section.rows]
    total = f"{chr(10) if lines else ''}Total: {sum(row[0] for row in section.rows)} (plus {section.unshown} unshown)\n"
    return _title(section.title) + "\n" + "".join(lines) + total


def wrap(text: str) -> str:
    """A long error text on several lines."""
    out = []
    while len(text) > LONG_ERROR and (match := re.match(rf"(.{{{ERROR_LINE}}}\S*)\s+(.+)", text, re.DOTALL)):
        out.append(match[1])
        text = match[2]
    return "\n\t    ".join([*out, text])


def show_errors(section: Errors) -> str:
    """All of them."""
    lines = "".join(f"{number:5d} {wrap(text)}\n\n" for number, text in section.rows)
    return _title(section.title) + "\n" + lines + _title(f"Errors encountered: {section.total}").removesuffix("\n")


def show(section: Section) -> str:
    """Any section."""
    if isinstance(section, Grand):
        return show_grand(section)
    if isinstance(section, Grid):
        return show_grid(section)
    if isinstance(section, Histogram):
        return show_histogram(section)
    if isinstance(section, Spent):
        return show_spent(section)
    return show_relays(section) if isinstance(section, Relays) else show_errors(section)


def report(begin: str, end: str, parts: Iterable[Section]) -> str:
    """The whole text."""
    return f"\nExim statistics from {begin} to {end}\n\n" + "".join(show(part) + "\n" for part in parts)
