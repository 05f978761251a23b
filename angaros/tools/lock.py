"""`exim_lock`: run a command while a mailbox is locked by Exim's algorithm (Exim spec 54.15, 26.3).

Order of locks: lock file (through a hitching post, so that it works over NFS), then `fcntl()` and/or `flock()` on the open
mailbox; with MBX rules a shared lock on the mailbox and an exclusive one on `/tmp/.<device>.<inode>`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from angaros.tools.program import ToolError, finish, write

LOCK_FILE_LIFE = 30 * 60
"""Seconds after which a lock file is left over from something that died (spec 54.15)."""
USAGE = """usage: exim_lock [-v] [-q] [-lockfile] [-fcntl] [-flock] [-mbx]
       [-retries <n>] [-interval <n>] [-timeout <n>] [-restore-times]
       <file name> [command]"""
FLAGS = {
    "-v": "verbose",
    "-q": "quiet",
    "-lockfile": "lockfile",
    "-fcntl": "fcntl",
    "-flock": "flock",
    "-mbx": "mbx",
    "-restore-times": "restore_times",
    "-restore_times": "restore_times",
}
NUMBERS = {"-retries": "retries", "-interval": "interval", "-timeout": "timeout"}


@dataclass(slots=True)
class Choice:
    """The options."""

    verbose: bool = False
    quiet: bool = False
    lockfile: bool = False
    fcntl: bool = False
    flock: bool = False
    mbx: bool = False
    restore_times: bool = False
    retries: int = 10
    interval: int = 3
    timeout: int = 0
    rest: list[str] = field(default_factory=list)


class TryAgain(Exception):
    """Somebody has the lock."""


def parse(arguments: list[str]) -> Choice:
    """The command line. Raises ToolError."""
    choice = Choice()
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in FLAGS:
            setattr(choice, FLAGS[option], True)
        elif option in NUMBERS and rest and rest[0].isdigit():
            setattr(choice, NUMBERS[option], int(rest.pop(0)))
        else:
            raise ToolError(USAGE)
    if not 1 <= len(rest) <= 2:
        raise ToolError(USAGE)
    choice.rest = rest
    if not (choice.lockfile or choice.fcntl or choice.flock or choice.mbx):
        choice.lockfile = choice.fcntl = True
    if choice.mbx and not (choice.fcntl or choice.flock):
        choice.fcntl = True
    return choice


class Lock:
    """All locks on one mailbox."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.path = choice.rest[0]
        self.fd = -1
        self._mbx_fd = -1
        self._mbx_path = ""
        self._have_file = False
        self._times: tuple[int, int] | None = None

    def say(self, text: str, *, always: bool = False) -> None:
        """What happens, unless -q; much of it only with -v."""
        if (self.choice.verbose or always) and not self.choice.quiet:
            write(f"exim_lock: {text}\n")

    # --- taking -------------------------------------------------------------------------------------------------------

    def take(self) -> None:
        """All of them; raises TryAgain (after giving back what was had), ToolError."""
        try:
            if self.choice.lockfile and not self._have_file:
                self._take_file()
            if self.choice.fcntl or self.choice.flock:
                self._open()
                self._lock_mailbox()
        except TryAgain as error:
            self.say(str(error), always=True)
            self._close_mailbox("file closed")
            raise
        except (ToolError, OSError):
            self.release()
            raise

    def _take_file(self) -> None:
        name = f"{self.path}.lock"
        hitch = f"{name}.{socket.gethostname()}.{int(time.time()):08x}.{os.getpid():08x}"
        self.say(f"lockname =  {name}\n           hitchname = {hitch}")
        self.say("creating lock file")
        with suppress(OSError):
            if time.time() - os.stat(name).st_mtime > LOCK_FILE_LIFE:
                os.unlink(name)
                self.say("unlinked old lock file")
        try:
            fd = os.open(hitch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
        except OSError as error:
            raise ToolError(f"exim_lock: failed to create hitching post {hitch}: {error.strerror}") from error
        try:
            with suppress(OSError):
                os.link(hitch, name)
            if os.fstat(fd).st_nlink != 2:
                raise TryAgain("failed to link hitching post to lock file")
        finally:
            os.close(fd)
            os.unlink(hitch)
        self._have_file = True
        self.say("lock file successfully created", always=True)

    def _open(self) -> None:
        try:
            self.fd = os.open(self.path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise ToolError(f"exim_lock: failed to open {self.path} for writing: {error.strerror}") from error
        facts = os.fstat(self.fd)
        if not stat.S_ISREG(facts.st_mode):
            raise ToolError(f"exim_lock: {self.path} is not a regular file")
        if self._times is None:
            self._times = (facts.st_atime_ns, facts.st_mtime_ns)

    def _lock_mailbox(self) -> None:
        choice = self.choice
        kind = fcntl.LOCK_SH if choice.mbx else fcntl.LOCK_EX
        word = " read" if choice.mbx else ""
        for chosen, name, call in ((choice.fcntl, "fcntl()", fcntl.lockf), (choice.flock, "flock()", fcntl.flock)):
            if chosen:
                self._apply(call, self.fd, kind, name)
                self.say(f"{name}{word} lock successfully applied", always=True)
        if choice.mbx:
            self._lock_mbx()

    def _lock_mbx(self) -> None:
        facts = os.fstat(self.fd)
        self._mbx_path = f"/tmp/.{facts.st_dev:x}.{facts.st_ino:x}"
        with suppress(FileNotFoundError):
            there = os.lstat(self._mbx_path)
            if not stat.S_ISREG(there.st_mode) or there.st_nlink != 1:  # a link planted by somebody
                raise ToolError(f"exim_lock: {self._mbx_path} is not a regular file with one link")
        try:
            self._mbx_fd = os.open(self._mbx_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ToolError(f"exim_lock: failed to create mbx lock file {self._mbx_path}: {error.strerror}") from error
        os.chmod(self._mbx_fd, 0o666)
        for chosen, name, call in (
            (self.choice.fcntl, "fcntl()", fcntl.lockf),
            (self.choice.flock, "flock()", fcntl.flock),
        ):
            if chosen:
                self._apply(call, self._mbx_fd, fcntl.LOCK_EX, name)
                self.say(f"{name} lock successfully applied to mbx lock file {self._mbx_path}", always=True)

    def _apply(self, call: Callable[[int, int], object], fd: int, kind: int, name: str) -> None:
        wait = self.choice.timeout > 0
        old = signal.signal(signal.SIGALRM, _on_alarm) if wait else None
        try:
            if wait:
                signal.alarm(self.choice.timeout)
            call(fd, kind if wait else kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR, errno.EWOULDBLOCK):
                raise ToolError(f"exim_lock: {name} failed: {error.strerror}") from error
            raise TryAgain(f"{name} failed: {error.strerror}") from error
        finally:
            if wait:
                signal.alarm(0)
                signal.signal(signal.SIGALRM, old)

    # --- giving back --------------------------------------------------------------------------------------------------

    def _close_mailbox(self, text: str) -> None:
        if self._mbx_fd >= 0:
            os.close(self._mbx_fd)
            self._mbx_fd = -1
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.say(text)

    def release(self) -> None:
        """All of them, in reverse order."""
        if self._mbx_fd >= 0 and self.fd >= 0:
            with suppress(OSError):
                (fcntl.lockf if self.choice.fcntl else fcntl.flock)(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(self._mbx_path)
                self.say(f"{self._mbx_path} unlinked - no sharers", always=True)
            os.close(self._mbx_fd)
            self._mbx_fd = -1
            self.say(f"{self._mbx_path} closed", always=True)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.say(f"{self.path} closed", always=True)
        if self.choice.restore_times and self._times is not None:
            with suppress(OSError):
                os.utime(self.path, ns=self._times)
        if self._have_file:
            with suppress(OSError):
                os.unlink(f"{self.path}.lock")
            self._have_file = False
            self.say("lock file removed", always=True)


def _on_alarm(number: int, frame: object) -> None:
    raise InterruptedError(errno.EINTR, "Interrupted system call")


def acquire(lock: Lock, sleep: Callable[[float], None] = time.sleep) -> None:
    """Try, wait, try again. Raises ToolError."""
    for _ in range(max(1, lock.choice.retries)):
        try:
            lock.take()
        except TryAgain:
            if not lock.choice.quiet:
                write(" ... waiting\n")
                sys.stdout.flush()
            sleep(lock.choice.interval)
        else:
            return
    lock.release()
    raise ToolError("exim_lock: locking failed too many times")


def _command(choice: Choice, path: str) -> list[str]:
    """What the user asked to run, through the shell: that is what this option is (spec 54.15: C's system())."""
    if len(choice.rest) > 1:
        return ["/bin/sh", "-c", choice.rest[1]]
    return [os.environ.get("SHELL") or "/bin/sh"]


def _run() -> int:
    import subprocess

    choice = parse(sys.argv[1:])
    lock = Lock(choice)
    acquire(lock)
    try:
        lock.say(f"locking {lock.path} succeeded: running the command ...", always=True)
        sys.stdout.flush()
        status = subprocess.run(_command(choice, lock.path), check=False).returncode
        if status and not choice.quiet:
            write(f"warning: nonzero status {status * 256 if status > 0 else -status}\n")
        sys.stdout.flush()
    finally:
        lock.release()
    return 0


def main() -> int:
    """`exim_lock [options] file [command]`"""
    return finish(_run)
