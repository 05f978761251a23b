"""Whether and how files and directories may be created (Exim spec 26.2: create_directory, create_file, directory_mode)."""

from __future__ import annotations

import errno
import os

from angaros.model.errors import Why
from angaros.transports.performing.outcome import Failed, deferred
from angaros.transports.plan import Creation


def octets(path: str) -> bytes:
    """A path as the system sees it."""
    return path.encode("latin-1")


def make_directory(path: str, mode: int) -> None:
    """Make a directory and its parents with `mode` exactly. Raises OSError."""
    name = octets(path)
    try:
        os.mkdir(name, mode)
    except FileNotFoundError:
        make_directory(path.rstrip("/").rpartition("/")[0], mode)
        try:
            os.mkdir(name, mode)
        except FileExistsError:  # another delivery has made it meanwhile
            return
    except FileExistsError:
        if not os.path.isdir(name):
            raise
        return
    os.chmod(name, mode)


def make_parents(path: str, creation: Creation) -> None:
    """The directories on the way to `path`."""
    parent = path.rpartition("/")[0]
    if not parent or os.path.isdir(octets(parent)):
        return
    try:
        make_directory(parent, creation.directory_mode)
    except OSError as error:
        raise deferred(f"failed to create directories for {path}: {error.strerror}", error.errno or 0) from None


def check_creation(path: str, creation: Creation) -> None:
    """Defer when a file may not be created there."""
    allowed = creation.create_file
    if allowed == "anywhere":
        return
    if allowed.startswith("/"):
        permitted = _belongs_below(path, allowed)
    elif not creation.home:
        permitted = False
    elif allowed == "inhome":
        permitted = path.rpartition("/")[0] == creation.home.rstrip("/")
    else:
        permitted = _belongs_below(path, creation.home)
    if not permitted:
        raise deferred(f"mailbox {path} does not exist, but creation outside the home directory is not permitted", Why.BAD_CREATE)


def _belongs_below(path: str, top: str) -> bool:
    """Whether `path` is below `top`, also after symbolic links and `..` are followed in what exists of it."""
    top = top.rstrip("/")
    if not path.startswith(top + "/"):
        return False
    if "/../" not in path and not _has_link(path, top):
        return True
    existing = octets(path.rpartition("/")[0])
    while existing and not os.path.lexists(existing):
        existing = existing.rpartition(b"/")[0]
    real_top = os.path.realpath(octets(top))
    real = os.path.realpath(existing)
    return real == real_top or real.startswith(real_top.rstrip(b"/") + b"/")


def _has_link(path: str, top: str) -> bool:
    at = len(top)
    while (at := path.find("/", at + 1)) > 0:
        if os.path.islink(octets(path[:at])):
            return True
    return False


def require_directory(path: str, creation: Creation) -> None:
    """The delivery directory of maildir and mailstore: there, or made."""
    name = octets(path)
    try:
        if not os.path.isdir(name):
            os.stat(name)  # says why
            raise deferred(f"{path} is not a directory", NOT_DIRECTORY)
        return
    except Failed:
        raise
    except OSError as error:
        if error.errno != errno.ENOENT or not creation.create_directory:
            raise deferred(f"stat() error for {path}: {error.strerror}", error.errno or 0) from None
    check_creation(f"{path}/", creation)
    try:
        make_directory(path, creation.directory_mode)
    except OSError as error:
        raise deferred(f"cannot create {path}", error.errno or 0) from None


NOT_REGULAR = -4
NOT_DIRECTORY = -5
INODE_CHANGED = -8
"""Further numbers of Exim's that stand for an errno."""
