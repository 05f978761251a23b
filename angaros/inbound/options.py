"""What a session or a local submission is asked to be; made by the command line or by the daemon."""

from __future__ import annotations

from angaros.model.record import dataclass, field


@dataclass(frozen=True, slots=True)
class LocalCaller:
    """The user who submits: identity by the real uid (or the peer of a Unix socket)."""

    uid: int = 0
    gid: int = 0
    login: str = ""
    name: str = ""
    """Full name, from the gecos field as `gecos_pattern` and `gecos_name` make it, or `unknown_username`."""
    trusted: bool = False
    """In `trusted_users` or `trusted_groups`, root, or the Exim user."""
    admin: bool = False


@dataclass(slots=True)
class Claims:
    """What the caller says of where the message comes from: -oM... and -p. For a caller who is not trusted only `ident` is
    None always; the rest is ignored except with -bh, -bs tests (spec 5.3, -oMa)."""

    host_address: str | None = None
    """-oMa, `address` or `address.port`."""
    host_authenticated: str | None = None
    """-oMaa"""
    authenticated_id: str | None = None
    """-oMai"""
    authenticated_sender: str | None = None
    """-oMas"""
    interface: str | None = None
    """-oMi, `address.port`."""
    message_reference: str | None = None
    """-oMm"""
    protocol: str | None = None
    """-oMr, -p"""
    host_name: str | None = None
    """-oMs"""
    ident: str | None = None
    """-oMt"""


@dataclass(slots=True)
class Submission:
    """A local submission (-bm, -t), or what holds for each message of a local SMTP session (-bs, -bS)."""

    caller: LocalCaller = field(default_factory=LocalCaller)
    claims: Claims = field(default_factory=Claims)
    sender: str | None = None
    """-f as given, None without it."""
    sender_name: str | None = None
    """-F"""
    recipients: list[str] = field(default_factory=list)
    """Arguments of the command line."""
    extract_recipients: bool = False
    """-t"""
    dot_ends: bool = True
    """False with -i, -oi."""
    error_handling: str = "mail"
    """`mail` (-oem), `mail-zero` (-oee), `stderr` (-oep), `berkenet` (-oeq), `write` (-oew)."""
    delivery: str = ""
    """`background` (-odb), `foreground` (-odi, -odf), `queue` (-odq), `queue-smtp` (-odqs); "" default."""
    receive_timeout: int | None = None
    """-or; None: option `receive_timeout`."""
    smtp_receive_timeout: int | None = None
    """-os"""
    unqualified: bool = False
    """-bnq: leave unqualified addresses in headers alone."""
    suppress_local_fixups: bool = False
    """-G"""
    queue_name: str = ""
    """-MCG: the named queue that it goes into."""
    dont_deliver: bool = False
    """-N"""
    internal_error_message: bool = False
    """-E..., the message is a bounce of ours."""
    verbose: bool = False
    """-v: the local SMTP dialogue is shown."""
    active_local_from_check: bool | None = None
    """None: as the option `local_from_check`."""


@dataclass(slots=True)
class SessionOptions:
    """One SMTP session."""

    local: bool = False
    """-bs, -bS: standard input and output of a local process."""
    batched: bool = False
    """-bS"""
    host_checking: bool = False
    """-bh"""
    host_checking_callout: bool = False
    """-bhc"""
    inetd: bool = False
    tls_on_connect: bool = False
    submission: Submission = field(default_factory=Submission)
    """Caller and -o options of a local session; plain for the daemon."""
    connection_count: int = 0
    """Connections of the daemon with this one."""
    host_connections: int = 0
    """Connections of this host with this one."""
