"""`json`: an element of a JSON file, chosen by a list of names and numbers. # Exim spec 9.3"""

from __future__ import annotations

import os
from typing import Any

from angaros.lists.parse import split_list
from angaros.lookups.base import NOT_FOUND, PlainDriver, Request, check_file
from angaros.model.errors import LookupDefer, LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import untaint


class JsonFile:
    """One parsed file."""

    __slots__ = ("value",)

    def __init__(self, path: str, status: os.stat_result) -> None:
        import json

        check_file(status, path, "json")
        with open(path, "rb") as file:
            self.value: Any = json.loads(file.read())

    def close(self) -> None:
        """Forget it."""
        self.value = None


class Json(PlainDriver):
    """Selectors are applied one after the other."""

    def find(self, request: Request) -> LookupResult:
        """# Exim spec 9.3"""
        try:
            value = request.files.get("json", request.source, JsonFile).value
        except OSError as error:
            raise LookupFailure(f"failed to open {request.source} for json search: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise LookupDefer(f"error in json file {request.source}: {error}") from error
        for selector in split_list(untaint(request.key)):
            found, value = _select(value, selector)
            if not found:
                return NOT_FOUND
        return LookupResult(_show(value))


def _select(value: Any, selector: str) -> tuple[bool, Any]:
    """Numbers choose from arrays, names from objects."""
    if isinstance(value, list):
        if not (selector.isascii() and selector.isdigit()) or int(selector) >= len(value):
            return False, None
        return True, value[int(selector)]
    if isinstance(value, dict):
        name = selector.encode("latin-1").decode("utf-8", "replace")
        return name in value, value.get(name)
    return False, None


def _show(value: Any) -> str:
    """Strings bare, all else as JSON; UTF-8 octets."""
    import json

    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shown.encode("utf-8", "surrogatepass").decode("latin-1")
