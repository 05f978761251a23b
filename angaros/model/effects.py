"""What ACLs set for others to obey: the effects of `control`, `queue`, `add_header`, `remove_header` and of verification.

`ConnectionEffects` hang on the Session and last as long as the connection; `MessageEffects` hang on the Message that is being
received and die with it (spec 44.22). The ACL room writes, `inbound` and `delivery` read. Nothing of it is in the spool except
what `Message` has fields for (`queue_name`, `utf8_downgrade`).
"""

from __future__ import annotations

from typing import Any

from angaros.model.mailauth import MailAuth
from angaros.model.record import dataclass, field


@dataclass(slots=True)
class ConnectionEffects:
    """Controls that last for the whole SMTP connection."""

    enforce_sync: bool | None = None
    """`enforce_sync`, `no_enforce_sync`; None: as `smtp_enforce_sync` says."""
    no_pipelining: bool = False
    no_multiline_responses: bool = False
    allow_auth_unadvertised: bool = False
    no_callout_flush: bool = False
    no_delay_flush: bool = False
    dscp: int | None = None
    """`dscp/<value>`: octet for IP_TOS or IPV6_TCLASS; whoever owns the socket applies it after the ACL."""
    dscp_name: str = ""
    debug_log: bool = False
    """`debug`: the debug log ends with the connection."""
    wellknown_response: str | None = None
    """`wellknown/<file>`: the contents of the file, to answer WELLKNOWN with (`inbound` encodes it)."""
    flush: Any = None
    """Callable without arguments, set by `inbound`: send what is buffered (before a delay or a callout). None: nothing to do."""
    caches: dict[str, Any] = field(default_factory=dict)
    """Per-connection caches by room (`dnslists`, `ratelimit`, ...); opaque to others."""


HEADER_PLACES = (":after_received:", ":at_start_rfc:", ":at_start:", ":at_end:")
"""Where `add_header` can put a line. Exim spec 44.24."""


def without_place(line: str) -> str:
    """A line of `MessageEffects.added_headers` without its placement."""
    if line.startswith(":"):
        for place in HEADER_PLACES:
            if line.startswith(place):
                return line[len(place) :].lstrip(" \t")
    return line


@dataclass(slots=True)
class MessageEffects:
    """Controls that hold for one message, and what policy found out while it was being received."""

    queue_only: bool = False
    """`queue`, `queue_only`: no delivery process."""
    queue_smtp: bool = False
    """`queue/first_pass_route`: like -odqs."""
    freeze: bool = False
    freeze_no_tell: bool = False
    """Every `freeze` so far had `/no_tell`: ignore `freeze_tell`."""
    submission: bool = False
    """Submission mode (spec 48.1)."""
    submission_sender_retain: bool = False
    submission_domain: str | None = None
    submission_name: str | None = None
    suppress_local_fixups: bool = False
    fake_response: str = ""
    """"" none, `450` for fakedefer, `550` for fakereject."""
    fake_response_text: str = ""
    no_mbox_unspool: bool = False
    bmi_run: bool = False
    """Brightmail's library shall see the message, for all recipients."""
    dkim_disable_verify: bool = False
    dmarc_disable_verify: bool = False
    dmarc_enable_forensic: bool = False
    cutthrough: bool = False
    """`cutthrough_delivery` was asked for (first recipient only)."""
    cutthrough_defer_pass: bool = False
    """`cutthrough_delivery/defer=pass`."""
    cutthrough_transport_sender: bool = False
    """`cutthrough_delivery/sender=transport`: MAIL with the transport's `return_path`."""
    cutthrough_connection: Any = None
    """`delivery.cutthrough.HeldConnection` while a callout connection is kept open and the message comes in."""
    open_transaction: Any = None
    """`transports.smtp_held.OpenTransaction`: what that becomes for the delivery of the message (`callout=hold`)."""
    added_headers: list[str] = field(default_factory=list)
    """`add_header`: each one header line ending in a newline, with its placement in front where one was given
    (`:at_start:`, `:after_received:`, `:at_start_rfc:`, `:at_end:`); no duplicates. `inbound` moves them into the message."""
    removed_headers: list[str] = field(default_factory=list)
    """`remove_header`: the colon-separated lists as they were given, in order."""
    sender_unrewritten: str | None = None
    """Sender as it was before a verification rewrote it for good (spec 31.2): reception must not rewrite it again."""
    warned: set[str] = field(default_factory=set)
    """Warnings that are in the log already (spec 44.18, `warn`)."""
    mailauth: MailAuth = field(default_factory=MailAuth)
    """What SPF, DKIM, ARC and DMARC found."""
    caches: dict[str, Any] = field(default_factory=dict)
    """Per-message caches by room (`verify`, `ratelimit`, ...); opaque to others."""
