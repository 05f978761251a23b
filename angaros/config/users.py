"""Users and groups of the system, as the configuration names them: a name or a number (Exim spec 6.19)."""

from __future__ import annotations

import grp
import pwd

from angaros.model.record import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """A user. `gid` and the rest are unknown for a number."""

    uid: int
    gid: int | None = None
    name: str = ""
    home: str = ""
    gecos: str = ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def find_user(text: str) -> User:
    """A user by name or number; KeyError when there is none (a number need not be known to the system)."""
    if (uid := _number(text)) is not None:
        return User(uid)
    entry = pwd.getpwnam(text.encode("latin-1").decode("utf-8", "surrogateescape"))
    return User(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir, entry.pw_gecos)


def find_group(text: str) -> int:
    """A gid by name or number; KeyError when there is none."""
    if (gid := _number(text)) is not None:
        return gid
    return grp.getgrnam(text.encode("latin-1").decode("utf-8", "surrogateescape")).gr_gid


def user_name(uid: int) -> str:
    """The login name, or the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The group's name, or the number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
