"""`dsearch`: an entry of a directory. # Exim spec 9.3

Options: `ret=full` (the whole path), `filter=file|dir|subdir`, `key=path` (the key may have slashes).
"""

from __future__ import annotations

import errno
import os
import stat

from angaros.lookups.base import NOT_FOUND, PlainDriver, Request
from angaros.model.errors import LookupDefer, LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import untaint

_FILTERS = ("file", "dir", "subdir")


class Dsearch(PlainDriver):
    """One lstat() a lookup."""

    def find(self, request: Request) -> LookupResult:
        """The entry's name; the administrator's directory vouches for it, so it is not tainted."""
        directory = request.source
        if directory[:1] != "/":
            raise LookupFailure(f"dirname '{directory}' for dsearch is not absolute")
        self._check(directory)
        key = untaint(request.key)
        full, wanted, as_path = _options(request)
        if "/" in key and not as_path:
            raise LookupDefer(f"key for dsearch lookup contains a slash: {key}")
        if as_path and ".." in key.split("/"):
            return NOT_FOUND
        if wanted == "subdir" and key in (".", ".."):
            return NOT_FOUND
        path = f"{directory}/{key}"
        try:
            status = os.lstat(path)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                raise LookupDefer(f"{path}: lstat: {error.strerror}") from error
            return NOT_FOUND
        if wanted and not (stat.S_ISREG if wanted == "file" else stat.S_ISDIR)(status.st_mode):
            return NOT_FOUND
        return LookupResult(path if full else key)

    def _check(self, directory: str) -> None:
        try:
            status = os.stat(directory)
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(directory, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise LookupFailure(f"failed to open {directory} for directory search: {error.strerror}") from error


def _options(request: Request) -> tuple[bool, str, bool]:
    """`ret=full`, filter, `key=path`; unknown options are ignored, as Exim does."""
    wanted = request.option("filter") or ""
    return "ret=full" in request.options, wanted if wanted in _FILTERS else "", "key=path" in request.options
