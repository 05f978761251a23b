"""`add_header` and `remove_header`. Exim spec 44.24, 44.25."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.model.effects import HEADER_PLACES
from angaros.model.outcome import Outcome
from angaros.model.text import Tainted, is_tainted

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


def add_header(frame: Frame, argument: str) -> Outcome:
    """Queue header lines."""
    collect_header(frame, argument)
    return Outcome.ACCEPT


def remove_header(frame: Frame, argument: str) -> Outcome:
    """Queue names of header lines to remove."""
    if argument:
        frame.effects.removed_headers.append(argument)
    return Outcome.ACCEPT


def collect_header(frame: Frame, text: str) -> None:
    """Split into header lines, make each one valid, put new ones into the effects; no duplicates."""
    kept = frame.effects.added_headers
    text = text.strip("\n")
    if not text:
        return
    tainted = is_tainted(text)
    for line in _header_lines(str(text)):
        place, header = _take_place(line)
        if not header and place:
            continue
        if not is_header(header):
            header = f"X-ACL-Warn: {header.lstrip(' ')}"
        whole = f"{place}{header}\n"
        if whole not in kept:
            kept.append(Tainted(whole) if tainted else whole)


def _header_lines(text: str) -> list[str]:
    """Lines with their continuation lines."""
    lines: list[str] = []
    for line in text.split("\n"):
        if lines and line[:1] in (" ", "\t"):
            lines[-1] += "\n" + line
        else:
            lines.append(line)
    return lines


def _take_place(line: str) -> tuple[str, str]:
    for place in HEADER_PLACES:
        if line.startswith(place):
            return place, line[len(place) :].lstrip(" \t")
    return "", line


def is_header(line: str) -> bool:
    """Whether it begins with a field name and a colon. RFC 5322 2.2."""
    name, colon, _ = line.partition(":")
    return bool(colon) and bool(name) and all("!" <= c <= "~" for c in name)
