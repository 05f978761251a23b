"""Who calls us: identity is the real uid, and what the configuration grants it (spec 5.2, 56)."""

from __future__ import annotations

import grp
import os
import pwd

from angaros.config.config import Config
from angaros.config.site import Site
from angaros.model.record import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The user that called the program."""

    uid: int
    gid: int
    groups: frozenset[int]
    login: str
    gecos: str
    home: str
    trusted: bool
    """May set sender address, host, protocol (`trusted_users`, `trusted_groups`)."""
    admin: bool
    """May look into and change the queue (`admin_groups`)."""


def identify(config: Config, site: Site, uid: int | None = None, gid: int | None = None) -> Caller:
    """The caller of this process (by its real uid), or the peer of a Unix socket when `uid` and `gid` are given."""
    if uid is None or gid is None:
        uid, gid = os.getuid(), os.getgid()
        groups = frozenset(os.getgroups()) | {gid}
    else:
        groups = frozenset({gid})
    try:
        entry = pwd.getpwuid(uid)
        login, gecos, home = entry.pw_name, entry.pw_gecos, entry.pw_dir
    except KeyError:
        login, gecos, home = "", "", "/"
    if login and not (groups - {gid}):
        groups = frozenset(os.getgrouplist(login, gid))
    if not login or (site.test_harness and config.main.unknown_login):
        login = config.main.unknown_login or login or f"uid{uid}"
        gecos = config.main.unknown_username or gecos
    own = uid in (0, config.exim_uid)
    trusted = own or uid in config.trusted_uids or bool(groups & config.trusted_gids)
    admin = own or config.exim_gid in groups or bool(groups & config.admin_gids)
    return Caller(uid, gid, groups, login, gecos, home, trusted, admin)


def group_name(gid: int) -> str:
    """Name of a group, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
