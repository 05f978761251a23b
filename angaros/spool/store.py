"""The store: messages on disk in Exim's layout, written so that a crash at any moment loses nothing.

Crash states (docs/spool-states.md):
  S0  nothing.
  S1  -D being written, locked. After a crash: rubbish without -H, removed when a day old.
  S2  -D complete in the kernel, hdr.<id> written beside it. Same after a crash.
  S3  -D and hdr.<id> on disk, renamed to -H. After a crash the message may be there or not; nobody was told it is safe.
  S4  the directory is on disk: the message is ours. Only now 250 is said.
  S5  delivery: addresses done are in -J. After a crash -J is merged into -H before anything else.
  S6  -H rewritten (hdr.<id>, synchronised, renamed, directory synchronised), then -J removed.
  S7  all done: -H removed first, then -D, -J and the message log. A -D without -H is rubbish as in S1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from angaros.model.extensions import SPOOL_NAME
from angaros.model.message import Message
from angaros.spool.body import BodyWriter
from angaros.spool.codec import read_header, write_header
from angaros.spool.commit import Commit, GroupCommit
from angaros.spool.ids import IdMaker, arrival_order, is_message_id
from angaros.spool.journal import Journal, MessageLog
from angaros.spool.locks import SpoolLock, try_lock

if TYPE_CHECKING:
    from angaros.model.interfaces import Clock, Log, Waiter

RUBBISH_AGE = 24 * 3600.0
"""Seconds after which what a crash left of a reception is removed: no reception takes so long."""

PEEK = 8192
"""Octets of a -H file that are looked at for the priority: ACL variables stand near its beginning."""
_PRIORITY = re.compile(rb"^-aclm %b \d+\n(?:[^\n]* )?priority=(-?\d)(?: |$)" % SPOOL_NAME[1:].encode("ascii"), re.MULTILINE)

CHUNK = 1 << 18
"""Octets of body read at a time."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where and how."""

    directory: str
    """`spool_directory`."""
    split: bool = False
    """`split_spool_directory`."""
    owner: tuple[int, int] = (-1, -1)
    """uid and gid of the mail user."""
    mode: int = 0o640
    directory_mode: int = 0o750
    localhost_number: int | None = None
    short_ids: bool = False
    """Ids in the form of Exim 4.96 and earlier, for a spool that goes back there."""
    primary_hostname: str = ""
    message_logs: bool = True
    preserve_message_logs: bool = False
    log_zone: bool = False
    log_millisec: bool = False

    @classmethod
    def from_services(cls, services: Any) -> StoreSettings:
        """Settings for the configuration of `services`."""
        main, site = services.config.main, services.site
        number = (main.localhost_number or "").strip()
        return cls(
            directory=main.spool_directory or site.spool_directory,
            split=main.split_spool_directory,
            owner=(services.config.exim_uid, services.config.exim_gid),
            mode=site.spool_mode,
            directory_mode=site.spool_directory_mode,
            localhost_number=int(number) if number.isdigit() else None,
            short_ids=getattr(main, "short_message_ids", False),
            primary_hostname=main.primary_hostname or "",
            message_logs=main.message_logs,
            preserve_message_logs=main.preserve_message_logs,
            log_zone=main.log_timezone,
            log_millisec=services.log.selected("millisec"),
        )


class QueueEntry(NamedTuple):
    """A message found in the spool by name."""

    message_id: str
    queue_name: str
    directory: str
    """Where its files are."""

    @property
    def header_path(self) -> str:
        """The -H file."""
        return f"{self.directory}/{self.message_id}-H"


class Store:
    """Messages on disk. One exists in each process; methods that synchronise wait through the waiter."""

    def __init__(self, settings: StoreSettings, clock: Clock, waiter: Waiter, log: Log | None = None) -> None:
        self.settings = settings
        self._clock = clock
        self._log = log
        self._group = GroupCommit(waiter)
        self._ids = IdMaker(settings.localhost_number, short=settings.short_ids)
        self._root = os.geteuid() == 0 and settings.owner[0] > 0

    # --- names --------------------------------------------------------------------------------------------------------

    def new_id(self, now: float | None = None) -> str:
        """A message id for a reception that began at `now`."""
        return self._ids.new(self._clock.now() if now is None else now)

    def base(self, queue_name: str = "") -> str:
        """Directory of a queue (`$spool_directory`, or its subdirectory for a named queue)."""
        return f"{self.settings.directory}/{queue_name}" if queue_name else self.settings.directory

    def input_directory(self, message_id: str, queue_name: str = "", split: bool | None = None) -> str:
        """Where the files of a message belong."""
        split = self.settings.split if split is None else split
        return f"{self.base(queue_name)}/input/{message_id[5]}" if split else f"{self.base(queue_name)}/input"

    def find(self, message_id: str, queue_name: str = "", suffix: str = "-H") -> str | None:
        """Directory in which the message's file is, whatever `split_spool_directory` says now; None when there is none."""
        if not is_message_id(message_id):
            return None
        for split in (self.settings.split, not self.settings.split):
            directory = self.input_directory(message_id, queue_name, split)
            if os.path.exists(f"{directory}/{message_id}{suffix}"):
                return directory
        return None

    def exists(self, message_id: str, queue_name: str = "") -> bool:
        """Whether the message is in the spool."""
        return self.find(message_id, queue_name) is not None

    # --- reception ----------------------------------------------------------------------------------------------------

    def create(self, message_id: str, queue_name: str = "", *, wireformat: bool = False) -> BodyWriter:
        """S1: a new -D file, open and locked. Raises OSError."""
        directory = self.input_directory(message_id, queue_name)
        path = f"{directory}/{message_id}-D"
        fd = self._create_file(path)
        first_line = f"{message_id}-D\n".encode("ascii")
        if not try_lock(fd, len(first_line)):
            os.close(fd)
            raise BlockingIOError(f"{path} is locked")
        return BodyWriter(SpoolLock(message_id, queue_name, path, fd), first_line, wireformat=wireformat)

    def commit(self, message: Message, body: BodyWriter) -> SpoolLock:
        """S2 to S4: everything on disk. Returns the lock, still held; `message` knows its body then.

        Raises OSError; then the message is not ours and the caller aborts `body`."""
        body.flush()
        self._describe_body(message, body)
        directory = body.path.rpartition("/")[0]
        temporary, fd = self._write_temporary(message, directory)  # S2
        try:
            self._group.commit(Commit([body.lock.fd, fd], [(temporary, f"{directory}/{message.id}-H")], directory))  # S3, S4
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            with suppress(OSError):
                os.unlink(f"{directory}/{message.id}-H")
            raise
        finally:
            os.close(fd)
        return body.lock

    def _describe_body(self, message: Message, body: BodyWriter) -> None:
        message.body_path = body.path
        message.body_offset = body.offset
        message.body_size = body.size
        message.body_linecount = body.linecount
        message.body_zerocount = body.zerocount
        message.wireformat = body.wireformat
        message.queue_name = body.lock.queue_name
        message.max_received_linelength = max(message.max_received_linelength, body.max_line)
        message.message_size = message.whole_size()

    # --- reading ------------------------------------------------------------------------------------------------------

    def lock(self, message_id: str, queue_name: str = "") -> SpoolLock | None:
        """Hold a message; None when somebody else holds it. Raises FileNotFoundError when it is not (or no longer) there."""
        directory = self.find(message_id, queue_name, "-D")
        if directory is None:
            raise FileNotFoundError(f"Spool file {message_id}-D not found")
        path = f"{directory}/{message_id}-D"
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            held = try_lock(fd, len(message_id) + 3)
            gone = held and os.fstat(fd).st_nlink == 0
        except OSError:
            os.close(fd)
            raise
        if not held or gone:
            os.close(fd)
            if gone:
                raise FileNotFoundError(f"Spool file {message_id}-D not found")
            return None
        return SpoolLock(message_id, queue_name, path, fd)

    def load(self, message_id: str, lock: SpoolLock | None = None, queue_name: str = "", *, with_headers: bool = True) -> Message:
        """Read a message's -H file and what its journal adds. With the lock, a journal that a crash left is made part of -H.

        Raises FileNotFoundError, SpoolFormatError."""
        queue_name = lock.queue_name if lock is not None else queue_name
        directory = self.find(message_id, queue_name)
        if directory is None:
            raise FileNotFoundError(2, "No such file or directory", f"{message_id}-H")
        with open(f"{directory}/{message_id}-H", "rb", buffering=0) as file:
            message = read_header(file.read(), message_id, with_headers=with_headers)
        message.queue_name = queue_name
        message.body_path = f"{directory}/{message_id}-D"
        message.body_offset = len(message_id) + 3
        with suppress(FileNotFoundError):
            message.body_size = max(0, os.stat(message.body_path).st_size - message.body_offset)
        message.message_size += 1 + message.body_size  # 1: the empty line
        done = Journal.read(f"{directory}/{message_id}-J")
        if done is not None:
            message.non_recipients |= done
            if lock is not None:
                self.update(message)  # S6 after a crash in S5
        return message

    def priority(self, entry: QueueEntry) -> int:
        """MT-PRIORITY of a message in the queue, from the first octets of its -H file: an order of the queue needs no more."""
        try:
            with open(entry.header_path, "rb", buffering=0) as file:
                found = _PRIORITY.search(file.read(PEEK))
        except OSError:
            return 0
        return int(found[1]) if found is not None else 0

    def body_chunks(self, message: Message, lock: SpoolLock | None = None, limit: int = -1) -> Iterator[bytes]:
        """The body, in large pieces; at most `limit` octets."""
        fd = lock.fd if lock is not None else os.open(message.body_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            at = message.body_offset
            end = at + (message.body_size if limit < 0 else min(limit, message.body_size))
            while at < end:
                data = os.pread(fd, min(CHUNK, end - at), at)
                if not data:
                    return
                at += len(data)
                yield data
        finally:
            if lock is None:
                os.close(fd)

    # --- delivery -----------------------------------------------------------------------------------------------------

    def update(self, message: Message) -> None:
        """S6: rewrite -H, then remove -J."""
        directory = message.body_path.rpartition("/")[0]
        temporary, fd = self._write_temporary(message, directory)
        try:
            self._group.commit(Commit([fd], [(temporary, f"{directory}/{message.id}-H")], directory))
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(f"{directory}/{message.id}-J")

    def journal(self, message: Message) -> Journal:
        """S5: where addresses go as they are done. The file is made with the first one."""
        base = message.body_path.removesuffix("-D")
        return Journal(f"{base}-J", self._create_or_append)

    def message_log(self, message_id: str, queue_name: str = "") -> MessageLog:
        """The message's own log. Lines are kept in memory until `flush` (or `append(..., now=True)`)."""
        settings = self.settings
        path = self._msglog_path(message_id, queue_name)
        opener = self._create_or_append if settings.message_logs else None
        return MessageLog(path, opener, self._clock, with_zone=settings.log_zone, millisec=settings.log_millisec)

    def remove(self, message: Message) -> None:
        """S7: the message is done with."""
        base = message.body_path.removesuffix("-D")
        for path in (f"{base}-H", f"{base}-D", f"{base}-J"):
            with suppress(FileNotFoundError):
                os.unlink(path)
        self.remove_message_log(message.id, message.queue_name)

    def remove_message_log(self, message_id: str, queue_name: str = "") -> None:
        """Remove the message log, or put it into `msglog.OLD` (`preserve_message_logs`)."""
        for split in (self.settings.split, not self.settings.split):
            path = self._msglog_path(message_id, queue_name, split)
            with suppress(FileNotFoundError):
                if self.settings.preserve_message_logs:
                    old = f"{self.base(queue_name)}/msglog.OLD"
                    self.make_directory(old)
                    os.rename(path, f"{old}/{message_id}")
                else:
                    os.unlink(path)
                return

    def read_message_log(self, message_id: str, queue_name: str = "") -> bytes:
        """The message log. Raises FileNotFoundError."""
        for split in (self.settings.split, not self.settings.split):
            with suppress(FileNotFoundError), open(self._msglog_path(message_id, queue_name, split), "rb") as file:
                return file.read()
        raise FileNotFoundError(2, "No such file or directory", self._msglog_path(message_id, queue_name))

    def move(self, message_id: str, target: str, source: str = "") -> None:
        """Put a message into another queue (-MG). The -H file goes last: until then the message is where it was.

        Raises FileNotFoundError, BlockingIOError when somebody works on it."""
        lock = self.lock(message_id, source)
        if lock is None:
            text = f"Spool file for {message_id} is locked (another process is handling this message)"
            raise BlockingIOError(11, text)
        with lock:
            old = lock.path.rpartition("/")[0]
            new = self.input_directory(message_id, target)
            self.make_directory(new)
            os.link(lock.path, f"{new}/{message_id}-D")
            with suppress(FileNotFoundError):
                os.rename(f"{old}/{message_id}-J", f"{new}/{message_id}-J")
            os.rename(f"{old}/{message_id}-H", f"{new}/{message_id}-H")
            os.unlink(lock.path)
            self._move_message_log(message_id, target, source)
        if self._log is not None:
            names = [f"{f'({queue}) ' if queue else ''}input, msglog" for queue in (source, target)]
            self._log.write(f"moved from {names[0]} to {names[1]}", message_id=message_id)

    def _move_message_log(self, message_id: str, target: str, source: str) -> None:
        new = self._msglog_path(message_id, target)
        for split in (self.settings.split, not self.settings.split):
            old = self._msglog_path(message_id, source, split)
            if os.path.exists(old):
                self.make_directory(new.rpartition("/")[0])
                os.rename(old, new)
                return

    def remove_rubbish(self, queue_name: str = "") -> int:
        """Remove -D files without -H, and temporary files, that are older than RUBBISH_AGE (S1, S2 after a crash); how many."""
        now, removed = self._clock.now(), 0
        for directory, names in _all_directories(f"{self.base(queue_name)}/input"):
            present = set(names)
            for name in names:
                body = name[-2:] == "-D" and f"{name[:-2]}-H" not in present
                if not (body or name.startswith("hdr.")):
                    continue
                path = f"{directory}/{name}"
                with suppress(OSError):
                    if now - os.stat(path).st_mtime > RUBBISH_AGE and not (body and self._is_held(path, len(name) + 1)):
                        os.unlink(path)
                        removed += 1
        return removed

    def _is_held(self, path: str, length: int) -> bool:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return not try_lock(fd, length)
        finally:
            os.close(fd)

    # --- the queue ----------------------------------------------------------------------------------------------------

    def scan(self, queue_name: str = "", *, ordered: bool = True) -> list[QueueEntry]:
        """All messages of a queue; oldest first when `ordered`, else as the directory has them."""
        top = f"{self.base(queue_name)}/input"
        entries, subdirectories = _scan_directory(top, queue_name)
        for letter in subdirectories:
            entries += _scan_directory(f"{top}/{letter}", queue_name)[0]
        if ordered:
            entries.sort(key=lambda entry: arrival_order(entry.message_id))
        return entries

    def count(self, queue_name: str = "") -> int:
        """How many messages the queue has."""
        top = f"{self.base(queue_name)}/input"
        return sum(name[-2:] == "-H" and is_message_id(name[:-2]) for _, names in _all_directories(top) for name in names)

    def queue_names(self) -> list[str]:
        """Named queues that have a directory."""
        try:
            with os.scandir(self.settings.directory) as found:
                return sorted(e.name for e in found if e.name not in _NOT_QUEUES and os.path.isdir(f"{e.path}/input"))
        except OSError:
            return []

    # --- files --------------------------------------------------------------------------------------------------------

    def make_directory(self, path: str) -> None:
        """Make a directory below the spool, and its parents, owned by the mail user."""
        if os.path.isdir(path):
            return
        parent = path.rpartition("/")[0]
        if parent and parent != path:
            self.make_directory(parent)
        with suppress(FileExistsError):
            os.mkdir(path, self.settings.directory_mode)
            if self._root:
                os.chown(path, *self.settings.owner)

    def _create_file(self, path: str, flags: int = os.O_EXCL) -> int:
        flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, self.settings.mode)
        except FileNotFoundError:
            self.make_directory(path.rpartition("/")[0])
            fd = os.open(path, flags, self.settings.mode)
        if self._root:
            os.fchown(fd, *self.settings.owner)
        return fd

    def _create_or_append(self, path: str) -> int:
        try:
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return self._create_file(path, os.O_APPEND)

    def _write_temporary(self, message: Message, directory: str) -> tuple[str, int]:
        """hdr.<id>, written and open."""
        path = f"{directory}/hdr.{message.id}"
        data = write_header(message, primary_hostname=self.settings.primary_hostname)
        fd = self._create_file(path, os.O_TRUNC)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            os.close(fd)
            with suppress(OSError):
                os.unlink(path)
            raise
        return path, fd

    def _msglog_path(self, message_id: str, queue_name: str, split: bool | None = None) -> str:
        split = self.settings.split if split is None else split
        middle = f"{message_id[5]}/" if split else ""
        return f"{self.base(queue_name)}/msglog/{middle}{message_id}"


_NOT_QUEUES = frozenset({"input", "msglog", "msglog.OLD", "db", "log", "scan", "DELIVERBY"})


def _all_directories(top: str) -> Iterator[tuple[str, list[str]]]:
    """The input directory and its subdirectories, with what is in them."""
    try:
        names = os.listdir(top)
    except OSError:
        return
    yield top, names
    for name in names:
        if len(name) == 1:
            with suppress(OSError):
                yield f"{top}/{name}", os.listdir(f"{top}/{name}")


def _scan_directory(directory: str, queue_name: str) -> tuple[list[QueueEntry], list[str]]:
    """Messages in one directory, and its subdirectories of `split_spool_directory`."""
    try:
        names = os.listdir(directory)
    except OSError:
        return [], []
    entries = [QueueEntry(name[:-2], queue_name, directory) for name in names if name[-2:] == "-H" and is_message_id(name[:-2])]
    return entries, sorted(name for name in names if len(name) == 1)
