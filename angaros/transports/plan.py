"""Plans: local deliveries with everything expanded, to be performed as the target user.

A driver makes a plan in the worker, which has no privilege; the courier passes it, as JSON and open descriptors, to a process
that is the target user and nothing else; `perform` does it there. Laws:
- A plan has plain values only; text is mail text (latin-1). Nothing is expanded, looked up or logged below.
- `perform` blocks as it likes, imports little, and returns results; texts are Exim's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

from angaros.model.delivery import DeliveryResult


@dataclass(slots=True)
class Copy:
    """What is written: prefix, header, empty line, body, suffix. The body is read from the plan's first descriptor."""

    header: str = ""
    """Header lines, LF line ends, without the empty line."""
    prefix: str = ""
    """Written as it is, before the message (`message_prefix`, or BSMTP commands)."""
    suffix: str = ""
    body_offset: int = 0
    body_size: int = 0
    wireformat: bool = False
    with_header: bool = True
    with_body: bool = True
    use_crlf: bool = False
    check: str = ""
    escape: str = ""
    filter: list[str] = field(default_factory=list)
    """`transport_filter`: a command that the copy passes through before line ends and escapes are put in."""
    filter_timeout: int = 300
    environment: dict[str, str] = field(default_factory=dict)
    """For the filter."""


@dataclass(slots=True)
class Creation:
    """Where and how files and directories may come into being."""

    create_directory: bool = True
    directory_mode: int = 0o700
    create_file: str = "anywhere"
    """`anywhere`, `inhome`, `belowhome`, or an absolute path."""
    home: str = ""
    mode: int = 0o600


@dataclass(slots=True)
class Quota:
    """Limits of a mailbox; 0 is none, -1 not known."""

    size: int = 0
    filecount: int = 0
    inclusive: bool = True
    check: bool = True
    """False with `/no_check`: only for maildirsize."""
    filecount_check: bool = True
    mailbox_size: int = -1
    """`mailbox_size`: told by the configuration."""
    mailbox_filecount: int = -1
    message_size: int = 0
    directory: str = ""
    """`quota_directory`."""
    size_regex: str = ""
    """`quota_size_regex`."""
    warn_threshold: int = 0
    """Octets; a mailbox that passes it leads to a warning."""


@dataclass(slots=True)
class Locks:
    """Locks on a mailbox file."""

    use_lockfile: bool = True
    lockfile_mode: int = 0o600
    lockfile_timeout: int = 1800
    retries: int = 10
    interval: int = 3
    use_fcntl: bool = True
    fcntl_timeout: int = 0
    use_flock: bool = False
    flock_timeout: int = 0
    use_mbx: bool = False


class Jsonable:
    """Gives a plan its way over the wire."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values; descriptors travel beside."""
        values: dict[str, Any] = {"kind": getattr(self, "KIND")}  # noqa: B009
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            if item.name == "fds":
                continue
            value = getattr(self, item.name)
            if item.name in _PARTS:
                value = {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
            values[item.name] = value
        return values


@dataclass(slots=True)
class FilePlan(Jsonable):
    """Append to a mailbox file."""

    KIND: ClassVar[str] = "file"
    path: str
    copy: Copy
    creation: Creation = field(default_factory=Creation)
    quota: Quota = field(default_factory=Quota)
    locks: Locks = field(default_factory=Locks)
    hostname: str = ""
    check_owner: bool = True
    check_group: bool = False
    allow_fifo: bool = False
    allow_symlink: bool = False
    must_exist: bool = False
    mode_fail_narrower: bool = True
    mbx_format: bool = False
    notify_comsat: str = ""
    """Login name to notify; "" for nobody."""
    directory: str = "/"
    """Current directory while it runs."""
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class MaildirPlan(Jsonable):
    """Deliver into a maildir."""

    KIND: ClassVar[str] = "maildir"
    path: str
    copy: Copy
    creation: Creation = field(default_factory=Creation)
    quota: Quota = field(default_factory=Quota)
    hostname: str = ""
    tag: str = ""
    """Suffix of the file's name."""
    wait_for_tag: bool = False
    """The tag needs the size that was written: leave the file in tmp; a RenamePlan follows."""
    retries: int = 10
    folder_regex: str = ""
    use_size_file: bool = False
    quota_directory_regex: str = ""
    notify_comsat: str = ""
    directory: str = "/"
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class MailstorePlan(Jsonable):
    """Write a .env and a .msg file."""

    KIND: ClassVar[str] = "mailstore"
    path: str
    copy: Copy
    envelope: str = ""
    """Content of the .env file."""
    base: str = ""
    """Base name, from the worker, because `$mailstore_basename` may be in the envelope."""
    creation: Creation = field(default_factory=Creation)
    quota: Quota = field(default_factory=Quota)
    directory: str = "/"
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class NewFilePlan(Jsonable):
    """Write a file `temp.<pid>.<host>` in a directory; a RenamePlan gives it its name, which may contain its inode."""

    KIND: ClassVar[str] = "newfile"
    path: str
    copy: Copy
    creation: Creation = field(default_factory=Creation)
    quota: Quota = field(default_factory=Quota)
    hostname: str = ""
    directory: str = "/"
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class QuotaPlan(Jsonable):
    """Only ask whether a message would fit (`verify = recipient/quota`); nothing is changed."""

    KIND: ClassVar[str] = "quota"
    path: str
    quota: Quota
    format: str = "file"
    """`file`, `maildir`, `directory`."""
    use_size_file: bool = False
    quota_directory_regex: str = ""
    directory: str = "/"
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class RenamePlan(Jsonable):
    """Give a file that is complete its final name; never over another file unless `replace`."""

    KIND: ClassVar[str] = "rename"
    source: str
    target: str
    size: int = 0
    size_file: str = ""
    """Maildir whose maildirsize is to be told."""
    remove: bool = False
    """Give up instead: remove `source`."""
    directory: str = "/"
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class PipePlan(Jsonable):
    """Run a command with the copy on its standard input."""

    KIND: ClassVar[str] = "pipe"
    argv: list[str]
    copy: Copy
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    umask: int = 0o22
    timeout: int = 3600
    max_output: int = 20480
    capture: bool = False
    """Keep the output (`return_output`, `log_output`, ...)."""
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class AppendTextPlan(Jsonable):
    """Append a text to a log file (autoreply's `log`)."""

    KIND: ClassVar[str] = "append_text"
    path: str
    text: str
    mode: int = 0o600
    directory: str = "/"
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class OncePlan(Jsonable):
    """autoreply's `once`: when was `key` last answered; or note that it is answered now."""

    KIND: ClassVar[str] = "once"
    path: str
    key: str
    now: float
    note: bool = False
    max_size: int = 0
    """`once_file_size`: the oldest entries go when the file would be larger."""
    keep_days: int = 0
    """Sieve: the directory is made, and databases in it that are older go."""
    directory: str = "/"
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class QueuefilePlan(Jsonable):
    """Copy spool files into a directory. Descriptors: -D."""

    KIND: ClassVar[str] = "queuefile"
    path: str
    message_id: str
    header_file: str
    """Content of the -H file."""
    data_path: str = ""
    """The -D file, for a hard link when it can be had."""
    directory: str = "/"
    fds: list[int] = field(default_factory=list)


@dataclass(slots=True)
class LmtpPlan(Jsonable):
    """Talk LMTP to a command's standard input and output, or to a unix socket."""

    KIND: ClassVar[str] = "lmtp"
    copy: Copy
    helo: str
    sender: str
    recipients: list[str]
    argv: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    socket: str = ""
    timeout: int = 300
    ignore_quota: bool = False
    directory: str = "/"
    fds: list[int] = field(default_factory=list)


Plan = (
    FilePlan
    | MaildirPlan
    | MailstorePlan
    | NewFilePlan
    | QuotaPlan
    | RenamePlan
    | PipePlan
    | AppendTextPlan
    | OncePlan
    | QueuefilePlan
    | LmtpPlan
)

_CLASSES: dict[str, type[Plan]] = {
    cls.KIND: cls
    for cls in (
        FilePlan,
        MaildirPlan,
        MailstorePlan,
        NewFilePlan,
        QuotaPlan,
        RenamePlan,
        PipePlan,
        AppendTextPlan,
        OncePlan,
        QueuefilePlan,
        LmtpPlan,
    )
}
_PARTS: dict[str, type[Any]] = {"copy": Copy, "creation": Creation, "quota": Quota, "locks": Locks}


def plan_from_json(values: dict[str, Any]) -> Plan:
    """The inverse of `Jsonable.to_json`."""
    values = dict(values)
    cls = _CLASSES[values.pop("kind")]
    for name, part in _PARTS.items():
        if name in values:
            values[name] = part(**values[name])
    return cls(**values)


def perform(plan: Plan, fds: list[int]) -> list[DeliveryResult]:
    """Do it, here and now, as who we are. One result, which counts for all addresses of the batch."""
    from angaros.transports.performing import perform as perform_one

    return [perform_one(plan, fds)]
