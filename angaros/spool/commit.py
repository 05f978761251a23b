"""Group commit: what many sessions want on disk is synchronised together.

A commit is: data of some files on disk, then renames, then their directory on disk. Each caller brings its own; whoever
comes first leads and does the work of all that have queued up by then, so that under load one wait serves many messages.

A small batch calls fdatasync on each file. From SYNCFS_BATCH files on, one syncfs does it for all: it is several times cheaper,
but also waits for what others have written to that filesystem; if that takes long, it is left alone for a while.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.model.interfaces import Waiter

SYNCFS_BATCH = 8
"""Files from which syncfs is the cheaper way (measured: 0.1 ms a file against 0.3)."""
SYNCFS_PATIENCE = 0.2
"""Seconds a syncfs may take before it is left alone."""
SYNCFS_PAUSE = 60.0
"""Seconds for which it is then left alone."""
SYNCFS_KERNEL = (5, 8)
"""Earlier kernels do not report write errors through syncfs."""


@dataclass(slots=True)
class Commit:
    """One caller's wish."""

    files: list[int]
    """Descriptors whose data must be on disk first."""
    renames: list[tuple[str, str]]
    directory: str
    error: OSError | None = None
    done: bool = False


@dataclass(slots=True)
class _Directories:
    """Open directories, to synchronise them."""

    fds: dict[str, int] = field(default_factory=dict)
    pid: int = -1

    def fd(self, path: str) -> int:
        if self.pid != os.getpid():
            self.fds, self.pid = {}, os.getpid()
        fd = self.fds.get(path)
        if fd is None:
            fd = self.fds[path] = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return fd

    def forget(self, path: str) -> None:
        fd = self.fds.pop(path, None)
        if fd is not None:
            os.close(fd)


class GroupCommit:
    """Performs commits, many at a time. Safe for threads."""

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter
        self._directories = _Directories()
        self._queue: list[Commit] = []
        self._queue_lock = threading.Lock()
        self._leader = threading.Lock()
        self._syncfs: Callable[[int], int] | None = None
        self._syncfs_after = 0.0 if _kernel() >= SYNCFS_KERNEL else float("inf")

    def commit(self, item: Commit) -> None:
        """Returns when everything is on disk. Raises OSError (the renames may then have happened or not)."""
        self._waiter.in_thread(lambda: self._join(item))
        if item.error is not None:
            raise item.error

    def _join(self, item: Commit) -> None:
        with self._queue_lock:
            self._queue.append(item)
        with self._leader:
            if item.done:
                return
            with self._queue_lock:
                batch, self._queue = self._queue, []
            self._perform(batch)

    def _perform(self, batch: list[Commit]) -> None:
        try:
            if not self._sync_together(batch):
                for item in batch:
                    _attempt(item, _sync_files)
            for item in batch:
                _attempt(item, _rename)
            self._sync_directories(batch)
        finally:
            for item in batch:
                item.done = True

    def _sync_directories(self, batch: list[Commit]) -> None:
        by_directory: dict[str, list[Commit]] = {}
        for item in batch:
            if item.error is None:
                by_directory.setdefault(item.directory, []).append(item)
        for directory, items in by_directory.items():
            try:
                os.fsync(self._directories.fd(directory))
            except OSError as error:
                self._directories.forget(directory)
                for item in items:
                    item.error = error

    def _sync_together(self, batch: list[Commit]) -> bool:
        """One syncfs for all; False when it is not the way now."""
        if sum(len(item.files) for item in batch) < SYNCFS_BATCH:
            return False
        start = time.monotonic()
        if start < self._syncfs_after:
            return False
        if self._syncfs is None:
            self._syncfs = _load_syncfs()
        try:
            fds = [self._directories.fd(directory) for directory in {item.directory for item in batch}]
            if len({os.fstat(fd).st_dev for fd in fds}) > 1:
                return False  # a queue on a filesystem of its own
            failed = self._syncfs(fds[0]) != 0
        except OSError:
            failed = True
        end = time.monotonic()
        if failed or end - start > SYNCFS_PATIENCE:
            self._syncfs_after = end + SYNCFS_PAUSE
        return not failed


def _attempt(item: Commit, act: Callable[[Commit], None]) -> None:
    if item.error is None:
        try:
            act(item)
        except OSError as error:
            item.error = error


def _sync_files(item: Commit) -> None:
    for fd in item.files:
        os.fdatasync(fd)


def _rename(item: Commit) -> None:
    for source, target in item.renames:
        os.rename(source, target)


def _kernel() -> tuple[int, int]:
    parts = os.uname().release.split(".")
    try:
        return int(parts[0]), int(parts[1].partition("-")[0])
    except (ValueError, IndexError):
        return 0, 0


def _load_syncfs() -> Callable[[int], int]:
    import ctypes

    function: Any = ctypes.CDLL(None, use_errno=True).syncfs
    return lambda fd: int(function(ctypes.c_int(fd)))
