"""Locks on mailbox files: lock files that work over NFS, fcntl, flock, MBX (Exim spec 26.3)."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable
from contextlib import suppress

from angaros.model.errors import Why
from angaros.transports.performing.creation import octets
from angaros.transports.performing.outcome import deferred, identity
from angaros.transports.plan import Locks


class LockFile:
    """`<mailbox>.lock`, made with a hitching post; also used for the lock file in /tmp of MBX."""

    def __init__(self, mailbox: str, hostname: str, locks: Locks) -> None:
        self.mailbox = mailbox
        self.path = f"{mailbox}.lock"
        self._post = f"{self.path}.{hostname}.{int(time.time()):08x}.{os.getpid():08x}"
        self._locks = locks
        self._held = False

    def acquire(self) -> None:
        """Make it, waiting for others as the plan says. Defers when that takes too long."""
        locks = self._locks
        for attempt in range(max(1, locks.retries)):
            if self._try():
                self._held = True
                return
            self._remove_stale()
            if attempt + 1 < max(1, locks.retries):
                time.sleep(locks.interval)
        raise deferred(f"failed to lock mailbox {self.mailbox} (lock file)", Why.LOCK_FAILED)

    def _try(self) -> bool:
        post, path = octets(self._post), octets(self.path)
        try:
            fd = os.open(post, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._locks.lockfile_mode)
        except OSError as error:
            text = f"creating lock file hitching post {self._post} {identity()}"
            raise deferred(text, error.errno or 0) from None
        os.close(fd)
        linked = False
        try:
            os.link(post, path)
            linked = True
        except OSError:
            with suppress(OSError):
                linked = os.stat(post).st_nlink == 2  # the link was made, only the answer was lost
        finally:
            with suppress(OSError):
                os.unlink(post)
        return linked

    def _remove_stale(self) -> None:
        timeout = self._locks.lockfile_timeout
        with suppress(OSError):
            if timeout > 0 and time.time() - os.stat(octets(self.path)).st_ctime > timeout:
                os.unlink(octets(self.path))

    def release(self) -> None:
        """Remove it."""
        if self._held:
            self._held = False
            with suppress(OSError):
                os.unlink(octets(self.path))


def lock_descriptor(fd: int, locks: Locks, *, exclusive: bool = True) -> bool:
    """fcntl and flock locks; False when somebody else holds them."""
    if locks.use_fcntl:
        if not _attempt(lambda flags: fcntl.lockf(fd, flags), locks.fcntl_timeout, exclusive):
            return False
    if locks.use_flock:
        return _attempt(lambda flags: fcntl.flock(fd, flags), locks.flock_timeout, exclusive)
    return True


def _attempt(call: Callable[[int], None], timeout: int, exclusive: bool) -> bool:
    """One lock; with a timeout a call that blocks so long."""
    mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        if timeout <= 0:
            call(mode | fcntl.LOCK_NB)
            return True
        old = signal.signal(signal.SIGALRM, _interrupt)
        signal.alarm(timeout)
        try:
            call(mode)
            return True
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EINTR, errno.ETIMEDOUT, errno.EDEADLK):
            return False
        raise deferred("failed to lock mailbox", error.errno or 0) from None


def _interrupt(number: int, frame: object) -> None:
    raise TimeoutError(errno.ETIMEDOUT, "lock")


def attempts(locks: Locks) -> int:
    """How often descriptor locks are tried before giving up."""
    timeout = max(locks.fcntl_timeout if locks.use_fcntl else 0, locks.flock_timeout if locks.use_flock else 0)
    if timeout <= 0:
        return max(1, locks.retries)
    total = locks.retries * locks.interval
    return max(1, -(-total // timeout))


def mbx_lock(fd: int, locks: Locks) -> int:
    """The lock of MBX: shared on the mailbox, exclusive on `/tmp/.<device>.<inode>`. Returns that file's descriptor, or -1."""
    facts = os.fstat(fd)
    name = f"/tmp/.{facts.st_dev:x}.{facts.st_ino:x}"  # the name is MBX's, known to all programs that lock
    try:
        found = os.lstat(name)
        if stat.S_ISLNK(found.st_mode):
            raise deferred(f"symbolic link on MBX lock file {name}", Why.LOCK_FAILED)
        if found.st_nlink > 1:
            raise deferred(f"hard link to MBX lock file {name}", Why.LOCK_FAILED)
    except FileNotFoundError:
        pass
    try:
        other = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, locks.lockfile_mode)
    except OSError as error:
        raise deferred(f"failed to open MBX lock file {name} :", error.errno or 0) from None
    opened = os.fstat(other)
    if opened.st_nlink > 1 or opened.st_uid not in (os.geteuid(), 0):
        os.close(other)
        raise deferred(f"MBX lock file {name} belongs to somebody else", Why.LOCK_FAILED)
    with suppress(OSError):
        os.fchmod(other, locks.lockfile_mode)
    if not lock_descriptor(other, locks):
        os.close(other)
        return -1
    return other
