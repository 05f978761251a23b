"""Reading a redirection file with its checks: owner, group, mode. Exim spec 22.10.

With a user (from `check_local_user` or `user`) the file is read as that user, through the courier; else as ourselves.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from angaros.lists.parse import split_list
from angaros.model.delivery import Owner
from angaros.model.interfaces import Services
from angaros.model.text import is_tainted
from angaros.routers.router import Run
from angaros.routers.users import find_group_id, find_user_id

MAX_FILE = 1 << 20
"""Octets of a redirection or filter file; Exim's limit."""


class FileError(Exception):
    """Defer with this text."""


class FileAbsent(Exception):
    """The file does not exist: the router declines."""


def read_as(path: str, owner: Owner | None, limit: int, services: Services) -> tuple[bytes, os.stat_result]:
    """Contents and status of a file, read as `owner`. OSError."""
    if owner is not None and (os.geteuid() != owner.uid or os.getegid() != owner.gid):
        return services.courier.read_file(path, owner, limit=limit)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return b"", status
        return file.read(limit), status


def read_redirection(path: str, run: Run, owner: Owner | None) -> bytes:
    """Contents of the file of a redirect router. Raises FileError, FileAbsent."""
    if is_tainted(path):
        raise FileError(f"Tainted name '{path}' for file read not permitted\n")
    try:
        contents, status = read_as(path, owner, MAX_FILE + 1, run.scope.services)
    except OSError as error:
        _explain(path, run, owner, error)
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{path} is not a regular file")
    check_status(path, status, run)
    if len(contents) > MAX_FILE:
        raise FileError(f"{path} is too big (max {MAX_FILE})")
    return contents


def _explain(path: str, run: Run, owner: Owner | None, error: OSError) -> None:
    """Absent, or an error? Raises one of ours."""
    options = run.options
    if error.errno == errno.ENOENT:
        if not options.ignore_enotdir:
            _check_parent(path, owner, run.scope.services)
        raise FileAbsent
    if (error.errno == errno.ENOTDIR and options.ignore_enotdir) or (error.errno == errno.EACCES and options.ignore_eacces):
        raise FileAbsent
    if error.errno == errno.EISDIR:
        raise FileError(f"{path} is not a regular file")
    text = f"failed to open {path}: {error.strerror}"
    if error.errno == errno.EACCES:
        uid, gid = (owner.uid, owner.gid) if owner is not None else (os.geteuid(), os.getegid())
        text += f" (euid={uid} egid={gid})"
    raise FileError(text)


def _check_parent(path: str, owner: Owner | None, services: Services) -> None:
    """The directory must be there, else a file system may not be mounted."""
    here = f"{path.rpartition('/')[0]}/."
    code = 0
    if owner is not None and os.geteuid() != owner.uid:
        code = services.courier.check_paths([here], owner)[0]
    else:
        try:
            os.stat(here)
        except OSError as error:
            code = error.errno or errno.EIO
    if code and code != errno.EACCES:
        raise FileError(f"failed to stat {here} ({os.strerror(code)})")


def check_status(path: str, status: Any, run: Run) -> None:
    """check_owner, check_group, modemask. Raises FileError."""
    options, user, services = run.options, run.user, run.scope.services
    forbidden = status.st_mode & options.modemask & 0o7777
    if forbidden:
        raise FileError(f"bad mode (0{status.st_mode:o}) for {path}: {octal(forbidden)} bit(s) unexpected")
    if _wants_owner(options):
        owners = {user.pw_uid} if user is not None else set()
        owners |= {found[0] for name in split_list(options.owners or "") if (found := find_user_id(name, services))}
        if status.st_uid not in owners:
            raise FileError(f"bad owner for {path}")
    if _wants_group(options):
        groups = {user.pw_gid} if user is not None else set()
        groups |= {gid for name in split_list(options.owngroups or "") if (gid := find_group_id(name)) is not None}
        if status.st_gid not in groups:
            raise FileError(f"bad group for {path}")


def octal(mode: int) -> str:
    """As Exim shows the bits that are too many."""
    return f"0{mode:o}"


def _wants_owner(options: Any) -> bool:
    if options.is_set("check_owner"):
        return bool(options.check_owner)
    return bool(options.check_local_user or options.owners)


def _wants_group(options: Any) -> bool:
    if options.is_set("check_group"):
        return bool(options.check_group)
    return bool(options.owngroups or (options.check_local_user and not options.modemask & 0o20))
