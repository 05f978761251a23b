"""Appending to a mailbox file (Exim spec 26.3)."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from contextlib import suppress

from angaros.model.delivery import DeliveryResult
from angaros.model.errors import Why
from angaros.transports.performing import mbx
from angaros.transports.performing.copying import all_pieces, write_all
from angaros.transports.performing.creation import (
    INODE_CHANGED,
    NOT_REGULAR,
    check_creation,
    make_parents,
    octets,
)
from angaros.transports.performing.locks import LockFile, attempts, lock_descriptor, mbx_lock
from angaros.transports.performing.outcome import Failed, deferred, write_failed
from angaros.transports.performing.quota import enforce, note_warning
from angaros.transports.plan import FilePlan

EXISTENCE_RACE = -3
RACE_LIMIT = 10
"""Rounds in which the file comes and goes before we give up."""


def perform_file(plan: FilePlan, fds: list[int]) -> DeliveryResult:
    """Append one copy to the mailbox."""
    creation = plan.creation
    if creation.create_directory and not os.path.isdir(octets(plan.path.rpartition("/")[0] or "/")):
        try:
            check_creation(plan.path, creation)
        except Failed:
            pass  # the lock file or the file itself will say so
        else:
            make_parents(plan.path, creation)
    lock = LockFile(plan.path, plan.hostname, plan.locks) if plan.locks.use_lockfile else None
    if lock is not None:
        lock.acquire()
    try:
        fd, extra = _open_and_lock(plan)
        try:
            return _append(plan, fd, fds)
        finally:
            os.close(fd)
            if extra >= 0:
                os.close(extra)
    finally:
        if lock is not None:
            lock.release()


def _open_and_lock(plan: FilePlan) -> tuple[int, int]:
    """The open mailbox, locked; and the descriptor of the MBX lock file or -1."""
    rounds = attempts(plan.locks)
    for attempt in range(rounds):
        fd, is_fifo = _open(plan)
        if is_fifo:
            return fd, -1
        extra = -1
        if plan.locks.use_mbx:
            if lock_descriptor(fd, plan.locks, exclusive=False):
                extra = mbx_lock(fd, plan.locks)
                if extra >= 0:
                    return fd, extra
        elif lock_descriptor(fd, plan.locks):
            return fd, -1
        os.close(fd)
        if attempt + 1 < rounds and not (plan.locks.fcntl_timeout or plan.locks.flock_timeout):
            time.sleep(plan.locks.interval)
    raise deferred(f"failed to lock mailbox {plan.path} (fcntl/flock)", Why.LOCK_FAILED)


def _open(plan: FilePlan) -> tuple[int, bool]:
    """Open the mailbox, or create it; whether it is a named pipe."""
    name = octets(plan.path)
    for _ in range(RACE_LIMIT):
        try:
            facts = os.lstat(name)
        except FileNotFoundError:
            fd = _create(plan, name)
            if fd >= 0:
                return fd, False
            continue
        except OSError as error:
            raise deferred(f"attempting to stat mailbox {plan.path}", error.errno or 0) from None
        if stat.S_ISLNK(facts.st_mode) and plan.allow_symlink:
            _check_owner(plan, facts)
            try:
                facts = os.stat(name)
            except FileNotFoundError:
                return _create_through_link(plan, name), False
        _check_existing(plan, facts)
        fd = _open_existing(plan, name, facts)
        if fd >= 0:
            return fd, stat.S_ISFIFO(facts.st_mode)
    raise deferred(f"existence unclear: mailbox {plan.path}", EXISTENCE_RACE, special_action="freeze")


def _check_owner(plan: FilePlan, facts: os.stat_result) -> None:
    link = " (symlink)" if stat.S_ISLNK(facts.st_mode) else ""
    uid, gid = os.geteuid(), os.getegid()
    if plan.check_owner and facts.st_uid != uid:
        raise deferred(f"mailbox {plan.path}{link} has wrong uid ({facts.st_uid} != {uid})", Why.BAD_OWNER)
    if plan.check_group and facts.st_gid != gid:
        raise deferred(f"mailbox {plan.path}{link} has wrong gid ({facts.st_gid} != {gid})", Why.BAD_OWNER)


def _check_existing(plan: FilePlan, facts: os.stat_result) -> None:
    """Defer when the file is not one to append to; narrow its mode when it is too wide."""
    _check_owner(plan, facts)
    if facts.st_nlink > 1:
        raise deferred(f"mailbox {plan.path} has too many links ({facts.st_nlink})", NOT_REGULAR)
    fifo = stat.S_ISFIFO(facts.st_mode)
    if not stat.S_ISREG(facts.st_mode) and not (fifo and plan.allow_fifo):
        also = " (or named pipe)" if plan.allow_fifo else ""
        raise deferred(f"mailbox {plan.path} is not a regular file{also}", NOT_REGULAR)
    wanted, present = plan.creation.mode, stat.S_IMODE(facts.st_mode)
    if fifo or present == wanted:
        return
    if present & ~wanted & 0o7777:
        try:
            os.chmod(octets(plan.path), present & wanted)
        except OSError as error:
            raise deferred(f"attempting to chmod mailbox {plan.path}", error.errno or 0) from None
        present &= wanted
    if plan.mode_fail_narrower and present != wanted:
        raise deferred(f"mailbox {plan.path} has the wrong mode {present:o} ({wanted:o} expected)", Why.BAD_MODE)


def _open_existing(plan: FilePlan, name: bytes, facts: os.stat_result) -> int:
    """The descriptor; -1 when it has vanished."""
    fifo = stat.S_ISFIFO(facts.st_mode)
    flags = (os.O_WRONLY | os.O_NONBLOCK) if fifo else (os.O_RDWR | os.O_APPEND)
    try:
        fd = os.open(name, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    except OSError as error:
        if fifo:
            text = f"while opening named pipe {plan.path} (could mean no process is reading it)"
        else:
            text = f"while opening mailbox {plan.path}"
        raise deferred(text, error.errno or 0) from None
    opened = os.fstat(fd)
    if opened.st_ino != facts.st_ino or stat.S_IFMT(opened.st_mode) != stat.S_IFMT(facts.st_mode):
        os.close(fd)
        text = f"opened mailbox {plan.path} inode number changed from {facts.st_ino} to {opened.st_ino}"
        raise deferred(text, INODE_CHANGED, special_action="freeze")
    if fifo:
        os.set_blocking(fd, True)
    return fd


def _create(plan: FilePlan, name: bytes) -> int:
    """A new mailbox; -1 when somebody else has just made it."""
    _check_may_create(plan)
    try:
        fd = os.open(name, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, plan.creation.mode)
    except FileExistsError:
        return -1
    except OSError as error:
        raise deferred(f"while creating mailbox {plan.path}", error.errno or 0) from None
    os.fchmod(fd, plan.creation.mode)
    return fd


def _create_through_link(plan: FilePlan, name: bytes) -> int:
    _check_may_create(plan)
    try:
        return os.open(name, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, plan.creation.mode)
    except OSError as error:
        raise deferred(f"while creating mailbox {plan.path}", error.errno or 0) from None


def _check_may_create(plan: FilePlan) -> None:
    if plan.must_exist:
        raise deferred(f"mailbox {plan.path} does not exist, but file_must_exist is set", errno.ENOENT)
    check_creation(plan.path, plan.creation)


def _append(plan: FilePlan, fd: int, fds: list[int]) -> DeliveryResult:
    """Quota, then the copy; a failure takes back what was written."""
    facts = os.fstat(fd)
    regular = stat.S_ISREG(facts.st_mode)
    before = facts.st_size
    quota = plan.quota
    size = quota.mailbox_size if quota.mailbox_size >= 0 else before
    enforce(quota, size, max(0, quota.mailbox_filecount), plan.path, facts.st_atime)
    since_read = max(0, int(time.time() - facts.st_atime))
    try:
        if plan.mbx_format:
            written = mbx.append(fd, plan.copy, fds[0], before, f" while writing to {plan.path}")
        else:
            written = write_all(fd, all_pieces(plan.copy, fds[0], f" while writing to {plan.path}"))
        if regular:
            os.fdatasync(fd)
    except (OSError, Failed) as error:
        if regular:
            with suppress(OSError):
                os.ftruncate(fd, before)
        if isinstance(error, Failed):
            raise
        raise write_failed(error, plan.path, since_read) from None
    result = DeliveryResult("ok", size=written, file_format="mbx" if plan.mbx_format else "")
    note_warning(result, quota, size, written)
    if plan.notify_comsat:
        notify_comsat(plan.notify_comsat, before)
    return result


def notify_comsat(login: str, offset: int) -> None:
    """Tell the local comsat server (biff) that mail has come."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.sendto(f"{login}@{offset}".encode("latin-1"), ("127.0.0.1", 512))
