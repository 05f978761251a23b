"""Where a message comes from: the facts of one SMTP connection or one local submission."""

from __future__ import annotations

from typing import Any

from angaros.model.effects import ConnectionEffects
from angaros.model.record import dataclass, field
from angaros.model.tls import TlsFacts


@dataclass(slots=True)
class Session:
    """One connection (or local submission). Names are Exim's variables without `$`; text from the peer is tainted.

    A message read back from the spool has a Session with what its -H file kept.
    """

    # The peer. "" and 0 when the message is local.
    sender_host_address: str = ""
    sender_host_port: int = 0
    sender_host_name: str = ""
    """Verified name from a reverse lookup; "" when not looked up or not found."""
    sender_host_aliases: list[str] = field(default_factory=list)
    host_name_looked_up: bool = False
    host_name_unshown: bool = False
    """Found while the HELO name was verified: logs and Received: lines go without it until the next HELO."""
    """A reverse lookup was tried."""
    host_lookup_failed: bool = False
    host_lookup_deferred: bool = False
    host_lookup_msg: str = ""
    """Reason for the failure, for error messages (`$host_lookup_failed` texts in logs)."""
    sender_host_dnssec: bool = False
    sender_helo_name: str = ""
    helo_verified: bool = False
    helo_verify_failed: bool = False
    sender_helo_dnssec: bool = False
    sender_ident: str = ""
    """RFC 1413 ident, or the login of a local caller."""
    sender_host_unknown: bool = False
    """-bs/-bS from a process without a peer address that was given with -oMa."""

    # Our end.
    interface_address: str = ""
    interface_port: int = 0
    active_hostname: str = ""
    """`smtp_active_hostname`, else the primary host name."""

    # Kind.
    smtp: bool = False
    """SMTP of any kind (TCP, -bs, -bS)."""
    batched: bool = False
    """-bS."""
    protocol: str = ""
    """`$received_protocol`."""
    esmtp: bool = False
    pipelining: bool = False
    host_checking: bool = False
    """-bh: nothing is written."""

    # TLS and authentication.
    tls: TlsFacts | None = None
    """None without TLS."""
    authenticated_id: str = ""
    authenticated_sender: str = ""
    sender_host_authenticated: str = ""
    """Name of the authenticator that succeeded."""
    authentication_failed: bool = False
    authenticated_fail_id: str = ""

    # Proxy Protocol.
    proxy_session: bool = False
    proxy_local_address: str = ""
    proxy_local_port: int = 0
    proxy_external_address: str = ""
    proxy_external_port: int = 0

    # Local callers.
    originator_login: str = ""
    originator_uid: int = 0
    originator_gid: int = 0
    trusted_caller: bool = False

    # State that policy reads and writes.
    acl_c: dict[str, str] = field(default_factory=dict)
    """Connection ACL variables: key without `acl_`, for example `c0`, `c_foo`."""
    effects: ConnectionEffects = field(default_factory=ConnectionEffects)
    """Controls that last as long as the connection."""
    connection_number: int = 0
    """`$smtp_accept_count`-like counter given by the daemon."""
    command_history: list[str] = field(default_factory=list)
    nonmail_commands: int = 0
    synprot_errors: int = 0
    connect_time: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)
    """Caches that live as long as the connection, by room (`lists`)."""

    @property
    def is_remote(self) -> bool:
        """Whether there is a peer host."""
        return bool(self.sender_host_address)
