"""Redirection lists: what stands in alias and forward files. Exim spec 22.4 to 22.9.

`ListReader.read` yields addresses, pipes and files in the order of the text, or one verdict for the whole list (`:fail:`,
`:defer:`, `:blackhole:`). Texts of errors are Exim's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from angaros.mime.addresses import AddressRules, extract_address, find_address_end
from angaros.model.text import is_tainted

MAX_INCLUDE = 1 << 20
"""Octets of an included file; Exim's limit."""

MAX_DEPTH = 25
"""Files that include files: more is a loop."""

_SPACE = " \t\r\f\v\n"


class ListError(Exception):
    """The list cannot be used; `str()` is the text after `error in redirect data: `."""


class IncludeError(ListError):
    """An included file cannot be read, or an item is not permitted: never skipped as a syntax error."""


@dataclass(slots=True)
class Redirection:
    """What a list says."""

    action: str = ""
    """"" deliver to `items`; `fail`, `defer`, `blackhole`."""
    text: str = ""
    """After `:fail:` or `:defer:`."""
    items: list[tuple[str, str]] = field(default_factory=list)
    """(kind, text): `address` (qualified), `pipe` (with the bar), `file`, in order."""
    errors: list[str] = field(default_factory=list)
    """Syntax errors that were skipped (`skip_syntax_errors`)."""


@dataclass(slots=True)
class ListReader:
    """Reads lists for one redirect router and one address."""

    options: Any
    rules: AddressRules
    incoming_domain: str
    qualify: Callable[[str, bool], str]
    """(local part or address, preceded by a backslash) -> qualified and rewritten address."""
    read_file: Callable[[str, int], bytes]
    """(path, limit) -> contents; OSError. Reads as the user of the router."""
    decode: Callable[[bytes], str]
    depth: int = 0

    def read(self, text: str) -> Redirection:
        """Parse a list. Raises ListError."""
        result = Redirection()
        self._read_into(text, result)
        return result

    def _read_into(self, text: str, result: Redirection) -> bool:
        """Add the items of `text`; False: a verdict for the whole list was found."""
        pos, end = 0, len(text)
        while True:
            pos = _skip_blank(text, pos)
            if pos >= end:
                return True
            stop = _item_end(text, pos)
            item = text[pos:stop].strip(_SPACE)
            bare = item[1:-1] if _fully_quoted(item) else item
            try:
                if self._special(text, pos, bare, result):
                    return False
                if not bare.startswith(":include:") and bare != ":unknown:":
                    found = self._item(item, bare)
                    if found is not None:
                        result.items.append(found)
            except IncludeError:
                raise
            except ListError as error:
                if not self.options.skip_syntax_errors:
                    raise
                result.errors.append(str(error))
            if bare.startswith(":include:") and not self._include(bare[9:].strip(_SPACE), result):
                return False
            pos = stop + 1 if text[stop : stop + 1] == "," else stop

    def _special(self, text: str, pos: int, bare: str, result: Redirection) -> bool:
        """`:blackhole:`, `:defer:`, `:fail:`: these are for the list as a whole."""
        if bare.startswith(":blackhole:"):
            if self.options.forbid_blackhole:
                raise IncludeError('":blackhole:" is not permitted')
            result.action = "blackhole"
            return True
        for action in ("defer", "fail"):
            if bare.startswith(f":{action}:"):
                if not getattr(self.options, f"allow_{action}"):
                    raise IncludeError(f'"{bare}" is not permitted')
                start = text.index(f":{action}:", pos) + len(action) + 2
                result.action, result.text = action, text[start:].partition("\n")[0].strip(_SPACE)
                return True
        return False

    def _item(self, item: str, bare: str) -> tuple[str, str] | None:
        """Kind and text; None for nothing but a comment."""
        if bare[:1] in ("|", "/"):
            found = extract_address(bare, self.rules, allow_null=False)
            if not found.ok or not found.domain:
                return ("pipe" if bare[0] == "|" else "file"), _unescape(bare) if bare is not item else bare
        address = self._address(bare)
        return ("address", address) if address else None

    def _address(self, bare: str) -> str:
        if bare.startswith("\\"):
            found = extract_address(bare[1:], self.rules, allow_null=False)
            if found.ok and not found.domain:
                return self.qualify(found.address, True)
        found = extract_address(bare, self.rules, allow_null=False)
        if found.error == "empty address":
            return ""
        if not found.ok:
            raise ListError(f'{found.error} in "{bare}"')
        return self.qualify(found.address, False)

    def _include(self, path: str, result: Redirection) -> bool:
        """`:include:path`; False: a verdict was found in the file."""
        if self.options.forbid_include:
            raise IncludeError("included files not permitted")
        if not path:
            raise IncludeError("file name missing after :include:")
        if not path.startswith("/"):
            raise IncludeError(f'included file "{path}" is not an absolute path')
        if is_tainted(path):
            raise IncludeError(f"Tainted name '{path}' for included file not permitted")
        self._check_directory(path)
        if self.depth >= MAX_DEPTH:
            raise IncludeError(f"included files nested too deeply: {path}")
        try:
            contents = self.read_file(path, MAX_INCLUDE + 1)
        except IsADirectoryError as error:
            raise IncludeError(f"error while reading included file {path}: {error.strerror}") from error
        except OSError as error:
            raise IncludeError(f"failed to open included file {path}: {error.strerror}") from error
        if len(contents) > MAX_INCLUDE:
            raise IncludeError(f"included file {path} is too big (max {MAX_INCLUDE})")
        self.depth += 1
        try:
            return self._read_into(self.decode(contents), result)
        finally:
            self.depth -= 1

    def _check_directory(self, path: str) -> None:
        """`include_directory`: symbolic links and `..` must not lead out of it."""
        directory = self.options.include_directory
        if directory is None:
            return
        inside = directory.rstrip("/") + "/"
        real = os.path.realpath(path)
        if not path.startswith(inside) or not real.startswith(os.path.realpath(directory).rstrip("/") + "/"):
            raise IncludeError(f"included file {path} is not in directory {directory}")


def _skip_blank(text: str, pos: int) -> int:
    """Past white space, empty items and comments."""
    end = len(text)
    while pos < end:
        if text[pos] in _SPACE or text[pos] == ",":
            pos += 1
        elif text[pos] == "#":
            newline = text.find("\n", pos)
            pos = end if newline < 0 else newline
        else:
            break
    return pos


def _item_end(text: str, pos: int) -> int:
    """Where the item that starts at `pos` ends: a comma outside quotes and comments, or a newline."""
    stop, _ = find_address_end(text, pos)
    newline = text.find("\n", pos, stop)
    return stop if newline < 0 else newline


def _fully_quoted(item: str) -> bool:
    """Whether the quotes enclose the whole item."""
    if len(item) < 2 or item[0] != '"' or item[-1] != '"':
        return False
    pos = 1
    while pos < len(item):
        if item[pos] == "\\":
            pos += 1
        elif item[pos] == '"':
            return pos == len(item) - 1
        pos += 1
    return False


def _unescape(text: str) -> str:
    """Backslashes inside an item that was quoted as a whole."""
    return text.replace('\\"', '"') if '\\"' in text else text
