"""Users and groups of the system, as `check_local_user`, `user` and `group` see them. Exim spec 15, 23.

A positive answer is kept for some seconds (NIS and LDAP are slow); a negative one is not kept.
"""

from __future__ import annotations

import grp
import pwd

from angaros.model.interfaces import Services

KEPT_SECONDS = 5.0
"""Long enough for a burst of mail, short enough that an administrator does not notice."""

KEPT_MOST = 10_000
"""The cache is emptied when it grows beyond this."""


def find_user(name: str, services: Services) -> pwd.struct_passwd | None:
    """Entry of a login name; tried `finduser_retries` times more before the answer is no."""
    cache: dict[str, tuple[float, pwd.struct_passwd]] = services.extra.setdefault("passwd", {})
    now = services.clock.monotonic()
    kept = cache.get(name)
    if kept is not None and kept[0] > now:
        return kept[1]
    entry = _look_up(name, services)
    if entry is not None:
        if len(cache) > KEPT_MOST:
            cache.clear()
        cache[str(name)] = (now + KEPT_SECONDS, entry)
    return entry


def _look_up(name: str, services: Services) -> pwd.struct_passwd | None:
    longest = services.config.main.max_username_length
    if not name or "\0" in name or (longest and len(name) > longest):
        return None
    retries = services.config.main.finduser_retries
    while True:
        try:
            return pwd.getpwnam(name.encode("latin-1").decode("utf-8", "surrogateescape"))
        except KeyError:
            if retries <= 0:
                return None
            retries -= 1
            services.waiter.sleep(1)


def find_user_id(text: str, services: Services) -> tuple[int, pwd.struct_passwd | None] | None:
    """A user given by name or number: (uid, entry if by name); None when there is none."""
    if text.isdigit():
        return int(text), None
    entry = find_user(text, services)
    return (entry.pw_uid, entry) if entry is not None else None


def find_group_id(text: str) -> int | None:
    """A group given by name or number."""
    if text.isdigit():
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        return None


def groups_of(uid: int, gid: int) -> tuple[int, ...]:
    """Supplementary groups as `initgroups` would set them."""
    import os

    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return ()
    return tuple(os.getgrouplist(name, gid))
