"""Group commit: what many sessions want on disk is synchronised together.

A commit is: data of some files on disk, then renames, then their directory on disk. The two waits are two `Batches`: whoever
finds no batch under way leads, and takes along all that have queued up by then, so that under load one wait, and one hand-off
to a thread, serves many messages. The renames are the caller's own, between the two.

A small batch calls fdatasync on each file. From SYNCFS_BATCH files on, one syncfs does it for all: it is several times cheaper,
but also waits for what others have written to that filesystem; if that takes long, it is left alone for a while.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.model.interfaces import Waiter

SYNCFS_BATCH = 6
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


@dataclass(slots=True)
class Request:
    """One caller's part of a batch."""

    files: list[int]
    directory: str
    error: OSError | None = None
    done: bool = False


class Batches:
    """Lets one call of `perform` (in a thread) serve all requests that have come by then. Not for threads: for cores."""

    __slots__ = ("_perform", "_queue", "_waiter")

    def __init__(self, waiter: Waiter, perform: Callable[[list[Request]], None]) -> None:
        self._waiter = waiter
        self._perform = perform
        self._queue: list[Request] = []

    def join(self, request: Request) -> None:
        """Returns when a batch that began after this call has done the work. Raises the request's OSError."""
        self._queue.append(request)
        while not request.done:
            self._waiter.share(self, self._lead)
        if request.error is not None:
            raise request.error

    def _lead(self) -> None:
        batch, self._queue = self._queue, []
        if not batch:
            return
        try:
            self._waiter.in_thread(lambda: self._perform(batch))
        except Exception as error:  # nothing that `perform` expects: no reason to try for ever
            for request in batch:
                request.error = request.error or OSError(errno.EIO, f"{type(error).__name__}: {error}")
        except BaseException:  # cancelled while the thread works: what it does not say to be done is done again
            self._queue = [request for request in batch if not request.done] + self._queue
            raise
        for request in batch:
            request.done = True


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
    """Performs commits, many at a time."""

    def __init__(self, waiter: Waiter) -> None:
        self._files = Batches(waiter, self._sync_files)
        self._entries = Batches(waiter, self._sync_directories)
        self._directories = _Directories()
        self._roots = _Directories()
        """The same for syncfs: it runs in a thread of its own, and tells of errors since the descriptor was opened."""
        self._syncfs: Callable[[int], int] | None = None
        self._syncfs_after = 0.0 if _kernel() >= SYNCFS_KERNEL else float("inf")

    def commit(self, item: Commit) -> None:
        """Returns when everything is on disk. Raises OSError (the renames may then have happened or not)."""
        self._files.join(Request(item.files, item.directory))
        for source, target in item.renames:
            os.rename(source, target)
        self._entries.join(Request([], item.directory))

    # In a thread.

    def _sync_files(self, batch: list[Request]) -> None:
        if self._sync_together(batch):
            return
        for request in batch:
            try:
                for fd in request.files:
                    os.fdatasync(fd)
            except OSError as error:
                request.error = error

    def _sync_together(self, batch: list[Request]) -> bool:
        """One syncfs for all; False when it is not the way now."""
        if sum(len(request.files) for request in batch) < SYNCFS_BATCH:
            return False
        start = time.monotonic()
        if start < self._syncfs_after:
            return False
        if self._syncfs is None:
            self._syncfs = _load_syncfs()
        try:
            fds = [self._roots.fd(directory) for directory in {request.directory for request in batch}]
        except OSError:
            return False
        return self._call_syncfs(fds, start)

    def _call_syncfs(self, fds: list[int], start: float) -> bool:
        assert self._syncfs is not None
        try:
            if len(fds) > 1 and len({os.fstat(fd).st_dev for fd in fds}) > 1:
                return False  # a queue on a filesystem of its own
            failed = self._syncfs(fds[0]) != 0
        except OSError:
            failed = True
        end = time.monotonic()
        if failed or end - start > SYNCFS_PATIENCE:
            self._syncfs_after = end + SYNCFS_PAUSE
        return not failed

    def _sync_directories(self, batch: list[Request]) -> None:
        by_directory: dict[str, list[Request]] = {}
        for request in batch:
            by_directory.setdefault(request.directory, []).append(request)
        for directory, requests in by_directory.items():
            try:
                os.fsync(self._directories.fd(directory))
            except OSError as error:
                self._directories.forget(directory)
                for request in requests:
                    request.error = error


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
