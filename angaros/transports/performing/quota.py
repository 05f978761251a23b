"""Sizes of mailboxes, and their limits (Exim spec 26.2: quota*, mailbox_size, mailbox_filecount)."""

from __future__ import annotations

import os
import re
import stat
import time

from angaros.model.delivery import DeliveryResult
from angaros.transports.performing.outcome import mailbox_full
from angaros.transports.plan import Quota


def exceeded(quota: Quota, size: int, count: int) -> str:
    """`quota`, `filecount quota`, or "" when the message may be added to a mailbox of that size."""
    if quota.filecount_check and quota.filecount > 0 and count + (1 if quota.inclusive else 0) > quota.filecount:
        return "filecount quota"
    if quota.check and quota.size > 0 and size + (quota.message_size if quota.inclusive else 0) > quota.size:
        return "quota"
    return ""


def enforce(quota: Quota, size: int, count: int, path: str, last_read: float) -> None:
    """Defer when the mailbox is full."""
    what = exceeded(quota, size, count)
    if what:
        raise mailbox_full(what, path, max(0, int(time.time() - last_read)) if last_read else 0)


def note_warning(result: DeliveryResult, quota: Quota, size_before: int, written: int) -> None:
    """Tell the worker when the mailbox has passed the warning threshold just now."""
    if quota.warn_threshold > 0 and size_before <= quota.warn_threshold < size_before + written:
        result.detail["warn"] = size_before + written


def directory_size(path: bytes, size_regex: str) -> tuple[int, int]:
    """Octets of the files and number of all entries below a directory. `size_regex` finds a file's size in its name (group 1)."""
    pattern = re.compile(size_regex.encode("latin-1")) if size_regex else None
    total = count = 0
    pending = [path]
    while pending:
        try:
            entries = os.scandir(pending.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                count += 1
                found = pattern.search(entry.name) if pattern is not None else None
                if found is not None and pattern is not None and pattern.groups and found[1].isdigit():
                    total += int(found[1])
                    continue
                try:
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(facts.st_mode):
                    pending.append(entry.path)
                elif stat.S_ISREG(facts.st_mode):
                    total += facts.st_size
    return total, count
