"""Delivery into files of their own: mailstore, plain files, and the renaming that ends some deliveries (Exim spec 26.8, 26.9)."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from angaros.model.delivery import DeliveryResult
from angaros.transports.performing.copying import all_pieces, write_all
from angaros.transports.performing.creation import make_directory, octets, require_directory
from angaros.transports.performing.outcome import Failed, deferred, write_failed
from angaros.transports.performing.quota import directory_size, enforce, note_warning
from angaros.transports.performing.size_file import append_change
from angaros.transports.plan import Copy, Creation, MailstorePlan, NewFilePlan, Quota, RenamePlan


def _check_quota(quota: Quota, path: str, file: str) -> int:
    """Defer when the directory is full; its size otherwise (0 when nobody asks)."""
    size, count = quota.mailbox_size, quota.mailbox_filecount
    if ((quota.size > 0 or quota.warn_threshold > 0) and size < 0) or (quota.filecount > 0 and count < 0):
        found = directory_size(octets(quota.directory or path), quota.size_regex)
        size = found[0] if size < 0 else size
        count = found[1] if count < 0 else count
    enforce(quota, max(0, size), max(0, count), file, 0.0)
    return max(0, size)


def _create(path: str, creation: Creation) -> int:
    try:
        fd = os.open(octets(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, creation.mode)
    except OSError as error:
        raise deferred(f"while creating file {path}", error.errno or 0) from None
    os.fchmod(fd, creation.mode)
    return fd


def _write(path: str, fd: int, copy: Copy, body_fd: int) -> int:
    """Write and close; remove the file when that fails."""
    try:
        try:
            written = write_all(fd, all_pieces(copy, body_fd, f" while writing to {path}"))
            os.fdatasync(fd)
            return written
        finally:
            os.close(fd)
    except (OSError, Failed) as error:
        with suppress(OSError):
            os.unlink(octets(path))
        if isinstance(error, Failed):
            raise
        raise write_failed(error, path, 0) from None


def _make_directory(path: str, creation: Creation) -> None:
    if creation.create_directory and not os.path.isdir(octets(path)):
        try:
            make_directory(path, creation.directory_mode)
        except OSError as error:
            raise deferred(f"failed to create directories for {path}: {error.strerror}", error.errno or 0) from None


def perform_newfile(plan: NewFilePlan, fds: list[int]) -> DeliveryResult:
    """Write the temporary file; its inode goes back to the worker, who knows its final name."""
    _make_directory(plan.path, plan.creation)
    temporary = f"{plan.path}/temp.{os.getpid()}.{plan.hostname}"
    fd = _create(temporary, plan.creation)
    inode = os.fstat(fd).st_ino
    try:
        before = _check_quota(plan.quota, plan.path, temporary)
    except Failed:
        os.close(fd)
        os.unlink(octets(temporary))
        raise
    written = _write(temporary, fd, plan.copy, fds[0])
    result = DeliveryResult("ok", size=written)
    result.detail.update(temporary=temporary, inode=inode)
    note_warning(result, plan.quota, before, written)
    return result


def perform_mailstore(plan: MailstorePlan, fds: list[int]) -> DeliveryResult:
    """The envelope as .tmp, the message as .msg, then .tmp becomes .env."""
    require_directory(plan.path, plan.creation)
    base = f"{plan.path}/{plan.base}"
    envelope = f"{base}.tmp"
    fd = _create(envelope, plan.creation)
    try:
        try:
            write_all(fd, [plan.envelope.encode("latin-1")])
        finally:
            os.close(fd)
        message = f"{base}.msg"
        before = _check_quota(plan.quota, plan.path, message)
        written = _write(message, _create(message, plan.creation), plan.copy, fds[0])
    except (OSError, Failed) as error:
        with suppress(OSError):
            os.unlink(octets(envelope))
        if isinstance(error, Failed):
            raise
        raise write_failed(error, envelope, 0) from None
    try:
        os.rename(octets(envelope), octets(f"{base}.env"))
    except OSError as error:
        for name in (envelope, message):
            with suppress(OSError):
                os.unlink(octets(name))
        raise deferred(f"while renaming file {envelope} as {base}.env", error.errno or 0) from None
    result = DeliveryResult("ok", size=written, file_format="mailstore")
    note_warning(result, plan.quota, before, written)
    return result


def perform_rename(plan: RenamePlan, fds: list[int]) -> DeliveryResult:
    """Give a complete file its name; an existing file stays as it is, and the delivery is deferred."""
    source, target = octets(plan.source), octets(plan.target)
    if plan.remove:
        with suppress(OSError):
            os.unlink(source)
        return DeliveryResult("ok")
    try:
        if plan.target.endswith("/"):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        os.link(source, target)
        os.unlink(source)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS) and not os.path.lexists(target):
            os.rename(source, target)  # a filesystem without links
        else:
            with suppress(OSError):
                os.unlink(source)
            raise deferred(f"while renaming {plan.source} as {plan.target}", error.errno or 0) from None
    if plan.size_file:
        append_change(octets(plan.size_file), plan.size)
    return DeliveryResult("ok", size=plan.size)
