"""Delivery into a maildir (Exim spec 26.5 to 26.7)."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress

from angaros.model.delivery import DeliveryResult
from angaros.transports.performing.copying import all_pieces, write_all
from angaros.transports.performing.creation import NOT_DIRECTORY, make_directory, octets, require_directory
from angaros.transports.performing.files import notify_comsat
from angaros.transports.performing.outcome import Failed, deferred, write_failed
from angaros.transports.performing.quota import directory_size, enforce, note_warning
from angaros.transports.performing.size_file import SizeFile, append_change
from angaros.transports.plan import MaildirPlan

RETRY_SECONDS = 2
"""Exim's pause when a name in tmp is taken."""


def perform_maildir(plan: MaildirPlan, fds: list[int]) -> DeliveryResult:
    """Write into tmp, then move to new."""
    ensure_directories(plan)
    top, is_folder = _top(plan)
    size_file = _size_file(plan, top) if plan.use_size_file else None
    size, count = _usage(plan, top, size_file)
    name, relative, fd = _create(plan)
    try:
        try:
            enforce(plan.quota, size, count, relative, _last_read(plan.path))
            written = write_all(fd, all_pieces(plan.copy, fds[0], f" while writing to {relative}"))
            os.fdatasync(fd)
        finally:
            os.close(fd)
    except (OSError, Failed) as error:
        with suppress(OSError):
            os.unlink(octets(name))
        if isinstance(error, Failed):
            raise
        raise write_failed(error, relative, 0) from None
    result = DeliveryResult("ok", size=written, file_format="maildir")
    note_warning(result, plan.quota, size, written)
    size_path = f"{top}/maildirsize" if size_file is not None and not (is_folder and plan.path.endswith("/.Trash")) else ""
    if plan.wait_for_tag:
        result.detail.update(temporary=name, size_file=size_path)
        return result
    _move_to_new(plan, name, relative)
    if size_path:
        append_change(octets(size_path), written)
    if plan.notify_comsat:
        notify_comsat(plan.notify_comsat, 0)
    return result


def ensure_directories(plan: MaildirPlan) -> None:
    """The maildir with tmp, new and cur; `maildirfolder` in folders."""
    base = octets(plan.path)
    missing = [name for name in ("tmp", "new", "cur") if not os.path.isdir(base + b"/" + name.encode())]
    if missing:
        require_directory(plan.path, plan.creation)
        for name in missing:
            _ensure_subdirectory(plan, f"{plan.path}/{name}")
    if plan.folder_regex and re.search(plan.folder_regex, plan.path):
        marker = base + b"/maildirfolder"
        if not os.path.exists(marker):
            try:
                os.close(os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            except FileExistsError:
                pass
            except OSError as error:
                text = f'appendfile: error while creating "maildirfolder" file in "{plan.path}"'
                raise deferred(text, error.errno or 0) from None


def _ensure_subdirectory(plan: MaildirPlan, path: str) -> None:
    if os.path.isdir(octets(path)):
        return  # another delivery has made it meanwhile
    if os.path.exists(octets(path)):
        if os.path.isdir(octets(path)):
            return  # another delivery has made it meanwhile
        raise deferred(f"{path} is not a directory", NOT_DIRECTORY)
    if not plan.creation.create_directory:
        raise deferred(f"stat() error for {path}: No such file or directory", 2)
    try:
        make_directory(path, plan.creation.directory_mode)
    except OSError as error:
        raise deferred(f"cannot create {path}", error.errno or 0) from None


def _top(plan: MaildirPlan) -> tuple[str, bool]:
    """Directory of the whole mailbox, and whether the delivery is into a folder of it."""
    if plan.quota.directory:
        return plan.quota.directory, plan.quota.directory != plan.path
    if os.path.exists(octets(f"{plan.path}/maildirfolder")):
        return plan.path.rstrip("/").rpartition("/")[0], True
    return plan.path, False


def _size_file(plan: MaildirPlan, top: str) -> SizeFile:
    quota = plan.quota
    limits = (max(0, quota.size), max(0, quota.filecount))
    folders = plan.quota_directory_regex
    return SizeFile(octets(top), limits, folders, quota.size_regex, plan.hostname, plan.creation.mode)


def _usage(plan: MaildirPlan, top: str, size_file: SizeFile | None) -> tuple[int, int]:
    """Present octets and number of messages; 0 when nobody asks."""
    quota = plan.quota
    if size_file is not None:
        return size_file.size, size_file.count
    size, count = quota.mailbox_size, quota.mailbox_filecount
    wanted = (quota.size > 0 or quota.warn_threshold > 0) and size < 0
    if wanted or (quota.filecount > 0 and count < 0):
        found = directory_size(octets(top), quota.size_regex)
        size = found[0] if size < 0 else size
        count = found[1] if count < 0 else count
    return max(0, size), max(0, count)


def _last_read(path: str) -> float:
    """When the user last took a message out of `new`."""
    try:
        return os.stat(octets(f"{path}/new")).st_mtime
    except OSError:
        return 0.0


def _create(plan: MaildirPlan) -> tuple[str, str, int]:
    """A new file in tmp: path, path within the maildir, descriptor."""
    tries = max(1, plan.retries)
    relative = ""
    for attempt in range(tries):
        now = time.time_ns()
        relative = f"tmp/{now // 1_000_000_000}.H{now // 1000 % 1_000_000}P{os.getpid()}.{plan.hostname}"
        path = f"{plan.path}/{relative}"
        try:
            fd = os.open(octets(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, plan.creation.mode)
        except FileExistsError:
            if attempt:
                time.sleep(RETRY_SECONDS)
            continue
        except OSError as error:
            text = f"failed to open {relative} ({attempt + 1} tr{'y' if attempt == 0 else 'ies'})"
            raise deferred(text, error.errno or 0) from None
        os.fchmod(fd, plan.creation.mode)
        return path, relative, fd
    raise deferred(f"failed to open {relative} ({tries} tr{'y' if tries == 1 else 'ies'})", 17)


def _move_to_new(plan: MaildirPlan, name: str, relative: str) -> None:
    base = relative.removeprefix("tmp/")
    tag = plan.tag
    target = f"{plan.path}/new/{base}{tag}"
    try:
        os.rename(octets(name), octets(target))
        return
    except OSError as error:
        failure = error
    if tag and failure.errno == 36:  # ENAMETOOLONG: without the tag then
        with suppress(OSError):
            os.rename(octets(name), octets(f"{plan.path}/new/{base}"))
            return
    with suppress(OSError):
        os.unlink(octets(name))
    raise deferred(f"while renaming {relative} as new/{base}{tag}", failure.errno or 0)
