"""`exim_dbmbuild`: make an indexed file for `dbm` lookups from a file of `lsearch` lines (Exim spec 54.9)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from angaros.lookups.dbm import write_dbm
from angaros.tools.program import ToolError, complain, finish, write

MAX_LINE = 19_999
"""Longest line, as Exim's program has it."""
MAX_ENTRY = 99_999
"""Longest entry with its continuation lines, as Exim's program has it."""
USAGE = "usage: exim_dbmbuild [-nolc] <source file> <dbm base name>"
FAILED = 2
"""Nothing was made: the input cannot be used."""
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a", "v": "\v", "f": "\f"}


class Abandoned(Exception):
    """The input cannot be used; told on standard output, as Exim's program does."""


def entries(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Keys and data. Continuation lines begin with white space; comments and empty lines end an entry's line, not the entry."""
    current = ""
    for line in lines:
        text = line.rstrip("\n")
        if len(line) > MAX_LINE:
            raise Abandoned(f"Overlong line read: max permitted length is {MAX_LINE}")
        if text.startswith("#") or not text.strip():
            continue
        if text[0].isspace():
            current += " " + text.strip()
            if len(current) > MAX_ENTRY:
                raise Abandoned(f"Continued set of lines is too long: max permitted length is {MAX_ENTRY}")
            continue
        if current:
            yield split_entry(current)
        current = text.rstrip()
    if current:
        yield split_entry(current)


def split_entry(text: str) -> tuple[str, str]:
    """The key, perhaps in quotes, ended by a colon or white space; and the data."""
    if text.startswith('"'):
        key, end = _quoted(text)
    else:
        end = next((at for at, char in enumerate(text) if char == ":" or char.isspace()), len(text))
        key = text[:end]
    rest = text[end:].lstrip()
    if rest.startswith(":"):
        rest = rest[1:].lstrip()
    return key, rest


def _quoted(text: str) -> tuple[str, int]:
    out = []
    at = 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
            out.append(ESCAPES.get(text[at], text[at]))
        else:
            out.append(text[at])
        at += 1
    return "".join(out), at + 1


@dataclass(slots=True)
class Choice:
    """The options."""

    lower: bool = True
    zero: bool = True
    warn: bool = True
    duplicates_fail: bool = True
    last: bool = False


def collect(pairs: Iterable[tuple[str, str]], choice: Choice) -> tuple[dict[str, str], int]:
    """What to write, and how many keys came more than once."""
    found: dict[str, str] = {}
    duplicates = 0
    for key, value in pairs:
        name = key.lower() if choice.lower else key
        if name in found:
            duplicates += 1
            if choice.warn:
                complain(f'** Duplicate key "{key}"')
            if not choice.last:
                continue
        found[name] = value
    return found, duplicates


OPTIONS = {"-nolc": "lower", "-nozero": "zero", "-nowarn": "warn", "-noduperr": "duplicates_fail"}


def _run() -> int:
    choice = Choice()
    rest = sys.argv[1:]
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option == "-lastdup":
            choice.last = True
        elif option in OPTIONS:
            setattr(choice, OPTIONS[option], False)
        else:
            raise ToolError(USAGE)
    if len(rest) != 2:
        raise ToolError(USAGE)
    source, target = rest
    if source != "-" and os.path.realpath(source) == os.path.realpath(target):
        raise ToolError("exim_dbmbuild: input and output filenames are the same")
    try:
        found, duplicates = collect(entries(_lines(source)), choice)
    except Abandoned as error:
        write(f"{error}\ndbmbuild abandoned\n")
        return FAILED
    try:
        write_dbm(target, found.items(), zero=choice.zero)
    except Exception as error:  # sqlite3.Error is not imported here
        raise ToolError(f"exim_dbmbuild: unable to create {target}: {error}") from error
    count = len(found)
    write(f"{count} entr{'y' if count == 1 else 'ies'} written\n")
    if duplicates:
        write(f"{duplicates} duplicate key{' ' if duplicates == 1 else 's'}\n")
    return 1 if duplicates and choice.duplicates_fail else 0


def _lines(source: str) -> Iterator[str]:
    try:
        file = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise ToolError(f"exim_dbmbuild: unable to open {source}: {error.strerror}") from error
    with file:
        for line in file:
            yield line.decode("latin-1")


def main() -> int:
    """`exim_dbmbuild [-nolc] [-nozero] [-noduperr] [-lastdup] [-nowarn] source target`"""
    return finish(_run)
