"""Giving up power, for good or for a while. Real uid is who called; effective uid is what we may do (spec 56)."""

from __future__ import annotations

import os


def is_root() -> bool:
    """Whether we may act as any user."""
    return os.geteuid() == 0


def become(uid: int, gid: int, groups: list[int] | None = None) -> None:
    """Become this user for good: groups, gid, uid in this order. Does nothing when we already are that user.

    Raises PermissionError without the power to do so; checks that root cannot be regained.
    """
    if os.geteuid() != 0:
        if os.geteuid() != uid:
            raise PermissionError(f"unable to set uid={uid}: we run as uid {os.geteuid()}")
        return
    os.setgroups(groups if groups is not None else [gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if uid != 0 and os.geteuid() == 0:
        raise PermissionError("privileges could not be given up")


def become_caller() -> None:
    """Give up what a privileged start gave: effective ids become the real ones."""
    if os.geteuid() != os.getuid() or os.getegid() != os.getgid():
        uid, gid = os.getuid(), os.getgid()
        if os.geteuid() == 0:
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        else:
            os.setregid(gid, gid)
            os.setreuid(uid, uid)


def become_root() -> None:
    """With effective uid 0: also the real one, so that files and children belong to root."""
    if os.geteuid() == 0 and os.getuid() != 0:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
