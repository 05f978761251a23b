"""`lsearch`, `iplsearch`, `wildlsearch`, `nwildlsearch`: text files of keys and data. # Exim spec 9.3

A file is read once as long as it does not change; its lines are indexed by key, so that a lookup costs microseconds
however long the file is. Data is cut out of the text when it is asked for.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from angaros.lists.ip import in_net, parse_ip, parse_net
from angaros.lists.pattern import match_pattern
from angaros.lookups.base import NOT_FOUND, PlainDriver, Request, check_file
from angaros.model.errors import ExpansionError, LookupDefer, LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import lower, untaint

if TYPE_CHECKING:
    from angaros.model.scope import Scope

_LINE = re.compile(
    r"""
    ^(?:
        "(?P<quoted>(?:[^"\\\n]|\\.)*)(?:"|\\?(?=\n|\Z))
      | (?P<plain>[^\s:#"][^\s:]*)
      | (?=:)
    )
    """,
    re.M | re.X,
)
"""A line with a key at its start. Lines that begin with white space or # have none."""
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.S)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}


class Record:
    """Where one record lies in the text: after the key up to the next key."""

    __slots__ = ("end", "key", "start")

    def __init__(self, key: str, start: int, end: int) -> None:
        self.key = key
        self.start = start
        self.end = end


class KeyFile:
    """One file, parsed."""

    __slots__ = ("_data", "index", "nets", "records", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.records: list[Record] = []
        self.index: dict[str, Record] = {}
        """First record of each key, in lower case."""
        self.nets: list[tuple[tuple[int, int, int], Record]] | None = None
        self._data: dict[int, str] = {}
        self._scan()

    def close(self) -> None:
        """The file was closed when it was read."""

    def _scan(self) -> None:
        text, records, index = self.text, self.records, self.index
        last: Record | None = None
        for match in _LINE.finditer(text):
            key = match["plain"]
            if key is None:
                quoted = match["quoted"]
                key = "" if quoted is None else unescape(quoted) if "\\" in quoted else quoted
            if last is not None:
                last.end = match.start()
            last = Record(key, match.end(), len(text))
            records.append(last)
            index.setdefault(lower(key), last)

    def data(self, record: Record, full: bool = False) -> str:
        """The record's data; `full`: with the (unquoted) key and what stands between."""
        if full:
            return record.key + self._join(self.text[record.start : record.end]).rstrip()
        data = self._data.get(record.start)
        if data is None:
            rest = self.text[record.start : record.end]
            first, newline, more = rest.partition("\n")
            first = first.lstrip()
            if first[:1] == ":":
                first = first[1:].lstrip()
            data = self._data[record.start] = self._join(first + newline + more)
        return data

    def _join(self, text: str) -> str:
        """Continuation lines begin with white space that counts as one space; comments and empty lines are nothing."""
        first, newline, more = text.partition("\n")
        if not newline:
            return first.rstrip()
        parts = [first.rstrip()]
        for line in more.split("\n"):
            if line[:1] == "#":
                continue
            line = line.strip()
            if line:
                parts.append(line)
        return " ".join(parts)

    def by_net(self) -> list[tuple[tuple[int, int, int], Record]]:
        """Records whose key is an address or a net."""
        if self.nets is None:
            found = ((parse_net(record.key), record) for record in self.records)
            self.nets = [(net, record) for net, record in found if net is not None]
        return self.nets


def unescape(text: str) -> str:
    """Backslash sequences of a quoted key. # Exim spec 6.17"""
    return _ESCAPE.sub(_unescape_one, text)


def _unescape_one(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8) & 255)
    return _LETTERS.get(code, code)


def _open(kind: str) -> object:
    def opener(path: str, status: os.stat_result) -> KeyFile:
        check_file(status, path, kind)
        with open(path, "rb") as file:
            return KeyFile(file.read().decode("latin-1"))

    return opener


_OPENERS = {kind: _open(kind) for kind in ("lsearch", "iplsearch", "wildlsearch", "nwildlsearch")}


class Lsearch(PlainDriver):
    """Literal keys, caseless."""

    def find(self, request: Request) -> LookupResult:
        """# Exim spec 9.3"""
        file = self.load(request)
        record = self.record(file, untaint(request.key), request)
        return NOT_FOUND if record is None else LookupResult(file.data(record, "ret=full" in request.options))

    def load(self, request: Request) -> KeyFile:
        """The parsed file, from memory as long as it has not changed."""
        try:
            return request.files.get(request.kind, request.source, _OPENERS[request.kind])  # type: ignore[arg-type, no-any-return]
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise LookupFailure(f"failed to open {request.source} for linear search: {reason}") from error

    def record(self, file: KeyFile, key: str, request: Request) -> Record | None:
        """The first record with this key."""
        return file.index.get(lower(key))


class Iplsearch(Lsearch):
    """Keys are addresses and nets; the first that has the address in it is used."""

    def record(self, file: KeyFile, key: str, request: Request) -> Record | None:
        """# Exim spec 9.3 iplsearch"""
        address = parse_ip(key)
        net = parse_net(key)
        if net is None and key != "*":
            raise LookupDefer(
                f'"{key}" is not a valid iplsearch key (an IP address, with optional CIDR mask, is wanted): '
                "in a host list, use net-iplsearch as the search type"
            )
        if address is None:
            return file.index.get(lower(key))
        return next((record for known, record in file.by_net() if in_net(address, known)), None)


class Wildlsearch(Lsearch):
    """Keys are patterns; those of `wildlsearch` are expanded first. The values of numeric variables do not survive."""

    def record(self, file: KeyFile, key: str, request: Request) -> Record | None:
        """# Exim spec 9.3 wildlsearch"""
        scope = request.scope
        expand = request.kind == "wildlsearch"
        try:
            for record in file.records:
                pattern = _expanded(record.key, scope) if expand else record.key
                if match_pattern(key, pattern, scope):
                    return record
        finally:
            scope.numeric = ()
        return None


def _expanded(key: str, scope: Scope) -> str:
    try:
        return scope.expand(key)
    except ExpansionError as error:
        raise LookupDefer(f'failed to expand "{key}": {error}') from error
