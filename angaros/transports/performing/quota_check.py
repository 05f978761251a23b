"""Would a message fit into a mailbox? Nothing is written; a mailbox that does not exist is empty."""

from __future__ import annotations

import os

from angaros.model.delivery import DeliveryResult
from angaros.transports.performing.creation import octets
from angaros.transports.performing.outcome import deferred
from angaros.transports.performing.quota import directory_size, exceeded
from angaros.transports.performing.size_file import SizeFile
from angaros.transports.plan import QuotaPlan

OVER_QUOTA = "Over quota"


def perform_quota(plan: QuotaPlan, fds: list[int]) -> DeliveryResult:
    """`ok` or `fail`; `defer` when it cannot be told."""
    try:
        size, count = _usage(plan)
    except OSError as error:
        raise deferred(f"cannot tell the size of {plan.path}: {error.strerror}", error.errno or 0) from None
    if exceeded(plan.quota, size, count):
        return DeliveryResult("fail", message=OVER_QUOTA)
    return DeliveryResult("ok")


def _usage(plan: QuotaPlan) -> tuple[int, int]:
    quota = plan.quota
    size, count = quota.mailbox_size, quota.mailbox_filecount
    if size < 0 or (count < 0 and quota.filecount > 0):
        found = _measure(plan)
        size = found[0] if size < 0 else size
        count = found[1] if count < 0 else count
    return max(0, size), max(0, count)


def _measure(plan: QuotaPlan) -> tuple[int, int]:
    quota, path = plan.quota, plan.path
    try:
        if plan.format == "file":
            return os.stat(octets(path)).st_size, 0
        os.stat(octets(path))
    except FileNotFoundError:
        return 0, 0
    if plan.format == "maildir":
        if quota.directory:
            path = quota.directory
        elif os.path.exists(octets(f"{path}/maildirfolder")):
            path = path.rstrip("/").rpartition("/")[0]
        if plan.use_size_file:
            limits = (max(0, quota.size), max(0, quota.filecount))
            found = SizeFile(octets(path), limits, plan.quota_directory_regex, quota.size_regex, "", 0o600, write=False)
            return found.size, found.count
    return directory_size(octets(quota.directory or path), quota.size_regex)
