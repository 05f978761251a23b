"""A message: envelope, headers, and where its body lies."""

from __future__ import annotations

from angaros.model.effects import MessageEffects
from angaros.model.extensions import Extensions
from angaros.model.record import dataclass, field
from angaros.model.session import Session


@dataclass(slots=True)
class Header:
    """One header line with its continuation lines, ending in a newline.

    `kind` is Exim's type letter (spec 57.1): `B` Bcc, `C` Cc, `F` From, `I` Message-ID, `P` Received, `R` Reply-To, `S` Sender,
    `T` To, ` ` other, `*` deleted or replaced, `0` zero octets dealt with.
    """

    text: str
    kind: str = " "

    @property
    def name(self) -> str:
        """Field name as written."""
        return self.text.partition(":")[0].rstrip(" \t")

    @property
    def value(self) -> str:
        """All after the colon, with folding, without the last newline."""
        return self.text.partition(":")[2].removesuffix("\n")


# DSN flags of a recipient (RFC 3461 4.1), in Exim's spool bits.
DSN_NOTIFY_NEVER = 0x02
DSN_NOTIFY_SUCCESS = 0x04
DSN_NOTIFY_FAILURE = 0x08
DSN_NOTIFY_DELAY = 0x10

# RET of MAIL FROM.
DSN_RET_UNSET = 0
DSN_RET_FULL = 1
DSN_RET_HDRS = 2


@dataclass(slots=True)
class Recipient:
    """One envelope recipient."""

    address: str
    errors_to: str | None = None
    """`errors_to` carried on by one_time redirection."""
    dsn_flags: int = 0
    orcpt: str = ""
    parent: int = -1
    """Number of the recipient that a one_time redirection came from, -1 for none (`pno` in the spool)."""
    ignored: bool = False
    """Dropped by policy after acceptance (discard)."""
    bmi_run: bool = False
    """`control = bmi_run` was given for this recipient: Brightmail's library shall see the message."""


@dataclass(slots=True)
class Message:
    """A message that is being received, or that lies in the spool. `session` tells where it came from."""

    id: str = ""
    sender_address: str = ""
    """Envelope sender; "" for a bounce."""
    raw_sender: str = ""
    """As given in MAIL, before rewriting (`$raw_sender`... for the log)."""
    recipients: list[Recipient] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    session: Session = field(default_factory=Session)

    # Time, in seconds since the epoch with a fraction.
    received_time: float = 0.0
    received_time_complete: float = 0.0
    """End of reception minus start is `received_time` of the log selector of that name."""

    # Body. Lines end in LF in the spool unless `wireformat`.
    body_path: str = ""
    """The -D file; "" before it exists."""
    body_descriptor: int = -1
    """That file already open, while a user's filter runs who may not open it."""
    body_offset: int = 0
    """Where the body starts in that file (after the id line)."""
    body_size: int = 0
    body_linecount: int = 0
    max_received_linelength: int = 0
    body_zerocount: int = 0
    message_size: int = 0
    """Octets of header and body, `$message_size`; until the ACLs have passed, as they arrived."""
    wireformat: bool = False
    """The -D file has CRLF lines and is dot-free as sent by BDAT (`spool_wireformat`)."""
    body_8bit: bool = False
    """8BITMIME body declared (`-body_8bitmime`): see `body_declared`."""
    body_declared: int = 0
    """0 not declared, 7 or 8 as in BODY=."""

    # Queue state (spool items of the same names).
    frozen: bool = False
    frozen_time: float = 0.0
    manually_thawed: bool = False
    deliver_firsttime: bool = False
    first_delivery: bool = False
    """True only in the attempt that follows reception."""
    queue_running: bool = False
    """A queue run delivers it now."""
    warning_count: int = 0
    queue_name: str = ""
    local: bool = False
    """Not from TCP (`-local`)."""
    sender_local: bool = False
    local_error_message: bool = False
    """A bounce or warning that we made (`-localerror`)."""
    sender_set_untrusted: bool = False
    allow_unqualified_recipient: bool = False
    allow_unqualified_sender: bool = False
    dont_deliver: bool = False
    """-N."""
    non_recipients: set[str] = field(default_factory=set)
    """Addresses already done (the tree in -H, and -J)."""
    acl_m: dict[str, str] = field(default_factory=dict)
    """Message ACL variables: key without `acl_`, for example `m0`, `m_foo`."""
    spool_variables: dict[str, str] = field(default_factory=dict)
    """Other one-line items of the -H file that only travel through (spam_score_int, dsn..., unknown ones)."""

    # Extensions of the envelope.
    dsn_envid: str = ""
    dsn_ret: int = DSN_RET_UNSET
    smtputf8: bool = False
    utf8_downgrade: int = 0
    """0 no, 1 must, -1 if needed (`-utf8_downgcvt`, `-utf8_optdowncvt`)."""
    body_size_declared: int = 0
    auth_submitter: str = ""
    extensions: Extensions | None = None
    """FUTURERELEASE, DELIVERBY, MT-PRIORITY, REQUIRETLS; None for almost all messages."""

    effects: MessageEffects = field(default_factory=MessageEffects)
    """Controls and header changes that ACLs asked for."""

    @property
    def is_bounce(self) -> bool:
        """Empty envelope sender."""
        return not self.sender_address

    @property
    def queued_since(self) -> float:
        """From when on the message waits: since it came, or since its release. Retry times count from here. # RFC 4865"""
        extensions = self.extensions
        return self.received_time if extensions is None else max(self.received_time, extensions.release)

    @property
    def requiretls(self) -> bool:
        """REQUIRETLS was asked for. # RFC 8689 2"""
        return self.extensions is not None and self.extensions.requiretls

    @property
    def priority(self) -> int:
        """MT-PRIORITY, 0 where nothing was said. # RFC 6710 4"""
        return (self.extensions.priority or 0) if self.extensions is not None else 0

    def extend(self) -> Extensions:
        """The extensions, to write to."""
        if self.extensions is None:
            self.extensions = Extensions()
        return self.extensions

    def whole_size(self) -> int:
        """Octets of the header as it is now, the empty line and the body."""
        return self.body_size + 1 + sum(len(header.text) for header in self.headers if header.kind != "*")

    def headers_named(self, name: str) -> list[Header]:
        """Headers with this name (any case), deleted ones left out."""
        lowered = name.lower()
        return [h for h in self.headers if h.kind != "*" and h.name.lower() == lowered]
