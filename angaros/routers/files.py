"""`require_files`: files that must, or must not, be there. Exim spec 15.

In a daemon we are not root: what we may not see is asked of the courier, as root or as the user that the list names.
"""

from __future__ import annotations

import errno
import os

from angaros.lists.parse import split_list
from angaros.model.delivery import Owner
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.interfaces import Services
from angaros.routers.outcome import Mode
from angaros.routers.router import Run
from angaros.routers.users import find_group_id, find_user_id

_MISSING = (errno.ENOENT, errno.ENOTDIR)


def check_require_files(text: str, run: Run) -> tuple[str, str]:
    """(`run`, `skip` or `defer`, message)."""
    owner: Owner | None = None
    for item in split_list(text):
        try:
            path = run.scope.expand(item)
        except ForcedFailure:
            continue
        except ExpansionError as error:
            return "defer", f'failed to expand "{item}" for require_files: {error}'
        if not path:
            continue
        if "/" not in path:
            named = _parse_user(path, run.scope.services)
            if isinstance(named, str):
                return "defer", named
            owner = named
            continue
        verdict, message = _check_path(path, owner, run)
        if verdict != "run":
            return verdict, message
    return "run", ""


def _parse_user(text: str, services: Services) -> Owner | str:
    """`user` or `user,group`; a text when there is none."""
    user, comma, group = text.partition(",")
    user, group = user.strip(), group.strip()
    found = find_user_id(user, services)
    if found is None:
        return f'user "{user}" for require_files not found'
    uid, entry = found
    if comma:
        gid = find_group_id(group)
        if gid is None:
            return f'group "{group}" for require_files not found'
        return Owner(uid, gid)
    return Owner(uid, entry.pw_gid if entry is not None else os.getegid())


def _check_path(path: str, owner: Owner | None, run: Run) -> tuple[str, str]:
    wanted, lax = True, False
    while path[:1] in ("!", "+"):
        wanted, lax = (False, lax) if path[0] == "!" else (wanted, True)
        path = path[1:].lstrip()
    if not path.startswith("/"):
        return "defer", f'require_files: "{path}" is not absolute'
    code = _examine(path, owner, run)
    if code and code not in _MISSING:
        if code != errno.EACCES or not lax:
            return "defer", f"require_files: error for {path}: {os.strerror(code)}"
    return ("run" if (code == 0) == wanted else "skip"), ""


def _examine(path: str, owner: Owner | None, run: Run) -> int:
    """errno of the check, 0 when the file is there (and readable for `owner`)."""
    services = run.scope.services
    try:
        os.stat(path)
        code = 0
    except OSError as error:
        code = error.errno or errno.EIO
    if owner is not None and code in (0, errno.EACCES):
        return services.courier.check_paths([path], owner)[0]
    if code == errno.EACCES and os.geteuid() != 0 and run.mode is Mode.DELIVER:
        try:
            return services.courier.check_paths([path], Owner(0, 0))[0]
        except PermissionError:
            return code
    return code
