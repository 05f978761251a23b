"""An address on its way: from recipient through routers to a transport and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from angaros.model.tls import TlsFacts


@dataclass(slots=True)
class Host:
    """A host to deliver to. One entry a name; `addresses` are filled by `net.hosts`."""

    name: str
    address: str = ""
    """IP address; "" until looked up."""
    port: int = 0
    """0: the transport's port."""
    mx: int = -1
    """MX preference; below 0 when it did not come from an MX record."""
    sort_key: int = 0
    dnssec: bool = False
    """The DNS data was authenticated (AD)."""
    smtps: bool = False
    """Found by an SRV record for TLS from the first octet (service `smtp-tls`)."""
    certificate_names: list[str] = field(default_factory=list)
    domain: str = field(default="", compare=False)
    """The name whose DNS records led here: its MTA-STS policy counts. "" where no DNS was asked."""
    status: str = "unknown"
    """`unknown`, `usable`, `unusable`, `unusable_expired`."""
    why: str = "unknown"
    """Why unusable: `unknown`, `retry`, `failed`, `deferred`, `ignored`."""
    update_waiting: bool = True
    last_try: float = 0.0


@dataclass(slots=True)
class Owner:
    """The user a local delivery runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    """Supplementary groups (initgroups)."""


@dataclass(slots=True)
class Properties:
    """What children inherit from the router that made them (`address_item_propagated` in the manual's words)."""

    address_data: str | None = None
    errors_to: str | None = None
    """None: the message's sender. "" : no bounce goes anywhere."""
    headers_add: list[str] = field(default_factory=list)
    headers_remove: str = ""
    """Colon-separated names."""
    domain_data: str | None = None
    local_part_data: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    """`r_*` variables of `set`, key with the `r_`."""
    ignore_error: bool = False
    utf8_msg: bool = False


@dataclass(slots=True)
class Delivery:
    """One address being verified or delivered. Routers make children; a routed one has `transport` and maybe `hosts`."""

    address: str
    local_part: str = ""
    """Case as routers see it (lower-cased unless caseful), without affixes while a router with affixes runs."""
    cased_local_part: str = ""
    lowered_local_part: str = ""
    domain: str = ""
    """Lower case."""
    prefix: str = ""
    prefix_variable: str = ""
    suffix: str = ""
    suffix_variable: str = ""
    parent: Delivery | None = None
    """`$parent_domain`; the chain ends at the original recipient."""
    children: int = 0
    unique: str = ""
    """Key that keeps it from being delivered twice (spool nonrecipients, journal)."""
    onetime_parent: str = ""
    recipient_number: int = -1
    props: Properties = field(default_factory=Properties)

    # Kind of child: pipe, file, autoreply (spec 22.6). `address` is then the command, the path or the sender.
    is_pipe: bool = False
    is_file: bool = False
    is_autoreply: bool = False
    filter_generated: bool = False
    """Made by a filter; for autoreply `reply` has the fields."""
    reply: Any = None
    pipe_expand: dict[str, str] = field(default_factory=dict)
    pipe_expand_numeric: tuple[str, ...] = ()
    file_mode: int = 0

    # Result of routing.
    router: str = ""
    transport: str = ""
    start_router: str = ""
    """Router to start with (`redirect_router`, `pass_router`, after unseen); "" for the first."""
    hosts: list[Host] = field(default_factory=list)
    fallback_hosts: list[Host] = field(default_factory=list)
    owner: Owner | None = None
    home: str | None = None
    home_expanded: bool = False
    current_directory: str | None = None
    self_hostname: str = ""
    host_data: str | None = None
    lookup_host_unmatched: bool = False
    unseen: bool = False
    forbid: frozenset[str] = frozenset()
    hide_child: bool = False
    """`hide_child_in_errmsg`."""
    retry_keys: tuple[str, str] = ("", "")
    """Domain and address keys for the retry database (routing)."""
    dsn_flags: int = 0
    orcpt: str = ""
    dsn_lasthop: bool = False
    timed_out: bool = False
    """Retry time has run out."""

    # Outcome.
    message: str = ""
    """Text for the log."""
    user_message: str = ""
    """Text for the bounce or SMTP response, when it differs."""
    basic_errno: int = 0
    more_errno: int = 0
    special_action: str = ""
    """`freeze`, `warn`."""
    allow_fail: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def root(self) -> Delivery:
        """The original recipient."""
        node = self
        while node.parent is not None:
            node = node.parent
        return node


@dataclass(slots=True)
class DeliveryResult:
    """What a transport says about one address. Defaults to defer: when in doubt, never lose."""

    status: str = "defer"
    """`ok`, `defer`, `fail`, `panic` (defer and freeze)."""
    host: Host | None = None
    message: str = ""
    """Text for the log, for example `SMTP error from remote mail server after RCPT TO:<x@y>: 550 no`."""
    user_message: str = ""
    """Text for the sender where it differs."""
    basic_errno: int = 0
    """errno, or one of Exim's negative numbers (`model.errors`)."""
    more_errno: int = 0
    special_action: str = ""
    """`freeze`, `warn`, `log_fail`, `log_warn`, `log_defer`."""
    smtp_response: str = ""
    """Last reply (C= with +smtp_confirmation)."""
    smtp_greeting: str = ""
    helo_response: str = ""
    tls: TlsFacts | None = None
    authenticator: str = ""
    auth_id: str = ""
    auth_sender: str = ""
    used: frozenset[str] = frozenset()
    """Extensions used: `chunking`, `prdr`, `pipelining`, `early_pipe`, `tfo`, `smtputf8`, `dsn`."""
    local_address: str = ""
    local_port: int = 0
    proxy_address: str = ""
    proxy_port: int = 0
    size: int = 0
    """Octets written (S= on delivery lines for shadow, DS=)."""
    started: float = 0.0
    """Time the attempt began; DT= is from there to the end."""
    finished: float = 0.0
    return_file: str = ""
    """Path of a file with output to go into the bounce (`return_output`)."""
    dsn_status: str = ""
    """Status field of a report, "" for the usual one. # RFC 3463"""
    dsn_passed_on: bool = False
    """The next host took over success notification."""
    shadow_message: str = ""
    retries: list[tuple[str, str, int, int, str]] = field(default_factory=list)
    """Retry items to write: key, action (`update`, `delete`), basic_errno, more_errno, text."""
    return_path: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    """What the performing half of a local transport tells its expanding half (inode, exit status, sizes, ...)."""
    file_format: str = ""
    """Appendfile: `maildir`, `mailstore`, `mbx`, "" for the log's T= detail."""
    followed: bool = False
    """Not the first address of its transaction: logged with `->`."""
    sequence: int = 1
    """Number of the message on its connection."""
    startup: str = ""
    """`PS=` of the log (`protocol_detail`)."""
    dkim: str = ""
    """Signer, `domain:selector`."""
