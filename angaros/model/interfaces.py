"""Interfaces for calls that go up the import order, and the ports to the world. `assembly.wiring` plugs them.

Everything is synchronous. What has to wait asks the `Waiter`: in the daemon it suspends the running greenlet, on the command
line it blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from angaros.model.metrics import Metrics
from angaros.model.record import dataclass, field
from angaros.model.tls import TlsFacts

if TYPE_CHECKING:
    from angaros.config.config import Config
    from angaros.config.site import Site
    from angaros.model.delivery import Delivery, DeliveryResult, Host, Owner
    from angaros.model.message import Header, Message
    from angaros.model.outcome import Outcome, Verdict, VerifyResult
    from angaros.model.scope import Scope
    from angaros.model.verify import VerifyOptions

T = TypeVar("T")


# --- The world's ports -------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Time. A fake one in tests."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """For time-outs."""
        ...


class Random(Protocol):
    """Randomness; predictable in Exim's test mode."""

    def below(self, limit: int) -> int:
        """0 <= x < limit."""
        ...

    def token(self, octets: int) -> bytes:
        """Cryptographic random octets."""
        ...


class Stream(Protocol):
    """A connected byte stream, as the synchronous core sees it. Time-outs raise TimeoutError, failures OSError."""

    local_address: str
    local_port: int
    peer_address: str
    peer_port: int
    tls: TlsFacts | None

    def read(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """At least one octet; b"" at the end."""
        ...

    def write(self, data: bytes, timeout: float | None = None) -> None:
        """All of `data`; returns when it is handed to the kernel or waits for room."""
        ...

    peer_uid: int
    """Real uid of the other end of a unix socket; -1 unknown."""
    fast_open: str
    """How TCP Fast Open was used when we connected: `tfo_data`, `tfo` or ""."""

    def readline(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """Up to and with the next LF; what there is at the end of input or when `limit` octets have come without one."""
        ...

    def unread(self, data: bytes) -> None:
        """Put octets back; the next read gives them first."""
        ...

    def input_waiting(self) -> bool:
        """Whether octets, or the end, have come and are not yet read. Never waits."""
        ...

    def start_tls(self, context: Any, *, server_name: str = "", timeout: float | None = None) -> TlsFacts:
        """Client handshake with a `net.tls` context. Raises `net.tls.TlsError`. Buffered clear text is dropped."""
        ...

    def accept_tls(self, context: Any, *, timeout: float | None = None) -> TlsFacts:
        """Server handshake, likewise."""
        ...

    def stop_tls(self) -> None:
        """Send close_notify."""
        ...

    def shutdown_write(self) -> None:
        """Half-close."""
        ...

    def disown(self) -> None:
        """Close our side without a word: another process goes on with the connection."""
        ...

    def reset(self) -> None:
        """Close without a word; a TCP peer is told by a reset."""
        ...

    def close(self) -> None: ...


class CommandStream(Stream, Protocol):
    """Standard input and output of a running command."""

    def finish(self, timeout: float | None = None) -> int:
        """Close its input and wait for its end: exit status, negative for a signal. TimeoutError leaves it running."""
        ...

    def kill(self) -> None:
        """End it and its process group."""
        ...


@dataclass(slots=True)
class CommandRun:
    """Result of `Waiter.run_command`."""

    status: int
    """Exit status; negative: killed by that signal."""
    output: bytes = b""
    timed_out: bool = False


class Waiter(Protocol):
    """Waiting as a port. `LoopWaiter` suspends the greenlet, `BlockingWaiter` blocks."""

    def sleep(self, seconds: float) -> None: ...

    def connect(
        self, address: str, port: int, *, timeout: float, source: tuple[str, int] | None = None, options: Mapping[str, Any] = {}
    ) -> Stream:
        """TCP. `options`: `dscp`, `keepalive`, `fastopen`, `early_data` (octets that are written at once; with TCP Fast Open they
        may travel with the SYN, and arrive twice)."""
        ...

    def connect_unix(self, path: str, *, timeout: float) -> Stream: ...

    def exchange_udp(
        self, address: str, port: int, payload: bytes, *, timeout: float, accept: Callable[[bytes], bool] | None = None
    ) -> bytes:
        """Send one datagram, return the first answer (that `accept` takes; then answers must begin with the same two octets as
        the question, and sockets may be shared)."""
        ...

    def open_fds(self, in_fd: int, out_fd: int) -> Stream:
        """A stream over descriptors that exist (-bs, inetd). They stay open at `close`."""
        ...

    def open_command(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None) -> CommandStream:
        """Start a command, without a shell, and talk to it; its standard error is ours. OSError when it cannot be started."""
        ...

    def wait_readable(self, fd: int, timeout: float | None = None) -> bool:
        """Wait until `fd` can be read; False when the time is over."""
        ...

    def in_thread(self, call: Callable[[], T]) -> T:
        """A call that really blocks (fsync, a C library)."""
        ...

    def run_command(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        max_output: int = 1 << 20,
        merge_stderr: bool = True,
    ) -> CommandRun:
        """Run without a shell as the current user; OSError when it cannot be started."""
        ...

    def gather(self, calls: Sequence[Callable[[], T]], limit: int = 0) -> list[T]:
        """Run all, at most `limit` at a time (0: no limit); results in order. In BlockingWaiter: one after the other."""
        ...

    def share(self, key: Hashable, call: Callable[[], T]) -> T:
        """`call()`; when another core runs the same key now, wait for it and take its result or error."""
        ...

    def spawn(self, call: Callable[[], None]) -> None:
        """Start and forget (its exceptions go to the panic log). BlockingWaiter: forks, or runs at once, as documented."""
        ...


class Log(Protocol):
    """Exim's logs. `text` has no time stamp and no message id; both are added."""

    def write(
        self,
        text: str,
        *,
        message_id: str = "",
        selector: str = "",
        main: bool = True,
        reject: bool = False,
        panic: bool = False,
        headers: Sequence[Header] = (),
        envelope: Message | None = None,
        echo: str = "",
    ) -> None:
        """Write one entry. `selector`: log selector that must be on (e.g. `retry_defer`), "" always. `reject` with
        `envelope`/`headers` adds Exim's envelope and header lines to the reject log. `echo`: what -v shows in place of `text`."""
        ...

    def selected(self, selector: str) -> bool:
        """Whether a log selector is on."""
        ...

    def logs_port(self, port: int) -> bool:
        """Whether the number of this local port is written (`log_ports`)."""
        ...

    def debug(self, selector: str, text: str, *, hc: bool = False, indent: int = 0) -> None:
        """-d output; no-op when off. `hc`: shown by -bh too (there each line begins with `>>> `). `indent`: depth of nested
        lists, ACLs and expansions; each fourth column is drawn as a bar. Use `Scope.trace` where there is a scope."""
        ...

    def debugging(self, selector: str, *, hc: bool = False) -> bool:
        """Whether `debug` with the same arguments would show something (ask before formatting)."""
        ...


# --- Calls up the import order -----------------------------------------------------------------------------------------


class Expander(Protocol):
    """`expand.engine`: the string language."""

    def expand(self, text: str, scope: Scope) -> str:
        """Raises `model.errors.ExpansionError` (or its subclass `ForcedFailure`)."""
        ...

    def condition(self, text: str, scope: Scope) -> bool:
        """Evaluate one condition, `eq{a}{b}`."""
        ...


class ListMatcher(Protocol):
    """`lists.match`. All `match_*` return whether the list matches, with the data of the item that matched; `$0`, `$1`, ... of a
    wildcard, regular expression or partial lookup go to `scope.numeric`.

    `items` is the raw list; None is an unset option and matches nothing. `option`: name of the option it comes from, for
    debugging
    lines (`host in host_lookup?`). `expand=False`: the text is expanded already (`${if match_domain...`).
    Raises `model.errors.ListDefer` when the answer depends on something that is temporarily unavailable."""

    def match_domain(
        self, domain: str, items: str | None, scope: Scope, *, option: str = "", expand: bool = True
    ) -> ListMatch: ...

    def match_local_part(
        self, local_part: str, items: str | None, scope: Scope, *, caseless: bool = True, option: str = "", expand: bool = True
    ) -> ListMatch: ...

    def match_address(
        self,
        address: str,
        items: str | None,
        scope: Scope,
        *,
        caseless: bool = True,
        option: str = "",
        expand: bool = True,
        numeric: bool = False,
    ) -> ListMatch:
        """`numeric`: set `$0`, `$1`, ... as rewriting needs them; else they are unset."""
        ...

    def match_host(
        self,
        items: str | None,
        scope: Scope,
        *,
        name: str | None = None,
        address: str | None = None,
        option: str = "",
        expand: bool = True,
    ) -> ListMatch:
        """Against `name`/`address`, by default the session's peer (looked up when an item wants the name). `name=""`: the name
        may not be looked up (`match_ip`)."""
        ...

    def match_string(
        self, subject: str, items: str | None, scope: Scope, *, caseless: bool = True, option: str = "", expand: bool = True
    ) -> ListMatch: ...


@dataclass(frozen=True, slots=True)
class ListMatch:
    """Result of a list match; false when it did not match. `data` is the lookup's data or the item (`$domain_data`)."""

    matched: bool
    data: str | None = None
    key: str = ""
    """`$value`-like: what was looked up."""

    def __bool__(self) -> bool:
        return self.matched


@dataclass(frozen=True, slots=True)
class LookupResult:
    """Result of a search. `value` None: not found."""

    value: str | None
    cacheable: bool = True
    ttl: int | None = None
    partial: tuple[str, ...] = ()
    """Wild and fixed part of the key of a partial match (`$1`, `$2`)."""


class Lookups(Protocol):
    """`lookups.engine`."""

    def search(self, kind: str, key: str, scope: Scope, *, source: str = "") -> LookupResult:
        """Search. `kind` is as in the configuration: `lsearch`, `partial2-lsearch*@,ret=key`, `mysql`, ...; with affixes,
        starring
        and options in it. `source` is the file of single-key types. Raises `LookupDefer` (the text completes `lookup of "%s"
        gave DEFER: %s`), `LookupFailure` (the text is the message of the failed expansion)."""
        ...

    def quote(self, kind: str, value: str, options: str = "") -> str:
        """`${quote_<kind>:value}`; raises ValueError("...") for unknown types."""
        ...

    def is_query_style(self, kind: str) -> bool:
        """Whether the type takes a query instead of a key and a file; KeyError for an unknown type."""
        ...


class Verifier(Protocol):
    """`delivery.verify`: the one call back up the road (ACL -> routing, perhaps with a callout)."""

    def verify_address(
        self, address: str, scope: Scope, *, is_recipient: bool, options: VerifyOptions = ..., purpose: str = ""
    ) -> VerifyResult:
        """Route in verify mode, perhaps call out, perhaps ask for the quota. A recipient is verified as `scope.delivery` says
        when its address is the same. `purpose` is `header_sender` for addresses of header lines. Only callouts are cached."""
        ...


class AclRunner(Protocol):
    """`acl.engine`."""

    def run(self, acl: str, where: str, scope: Scope) -> Verdict:
        """Run the ACL named by, or written in, the already expanded text `acl` at the point `where` (`rcpt`, `data`, ...)."""
        ...

    def evaluate(self, text: str, arguments: list[str], scope: Scope) -> tuple[Outcome, str]:
        """Run the ACL `text` as a subroutine of an expansion: outcome and `message`, as it is written."""
        ...


class Submitter(Protocol):
    """`inbound.submission`: puts a message of our own making into the spool (bounces, warnings, automatic replies, notices)."""

    def submit(
        self,
        text: bytes,
        scope: Scope,
        *,
        sender: str = "",
        recipients: Sequence[str] | None = None,
        reference: str = "",
        as_root: bool = False,
        owner: Owner | None = None,
    ) -> str:
        """Do what `exim -t -oem -oi -f <sender>` does with `text` (header, empty line, body, LF line ends) and answer the message
        id. `recipients` None: those of To, Cc, Bcc. `reference`: id of the message it is about (`R=` in the log,
        `-local_error_message`).
        `as_root`: made in the routing phase, which Exim runs as root (`U=root`); else `U=` is the Exim user, or that of `owner`
        (autoreply: its login also makes the From: line where there is none). The new message is
        delivered at once in test mode, else in the background. Raises `model.errors.AngarosError` when it cannot be spooled."""
        ...


class Courier(Protocol):
    """Does things as another user. In the daemon: a request to the courier process; as root on the command line: a fork;
    without root: only as ourselves, else PermissionError."""

    def deliver_local(self, plan: Any, owner: Owner) -> list[DeliveryResult]:
        """Perform an expanded local-delivery plan (`transports.plan`): append to a file, Maildir, pipe."""
        ...

    def read_file(self, path: str, owner: Owner, *, limit: int) -> tuple[bytes, Any]:
        """Contents and `os.stat_result`; OSError as it came."""
        ...

    def check_paths(self, checks: Sequence[str], owner: Owner) -> list[int]:
        """errno (0 when it exists and is readable) of each path: `require_files`."""
        ...

    def append_file(self, path: str, data: bytes, mode: int, owner: Owner) -> None:
        """Append to a file as `owner`, creating it with `mode` (a filter's logwrite). OSError as it came."""
        ...

    def run_command(
        self, argv: Sequence[str], owner: Owner, *, cwd: str = "/", timeout: float | None = None, max_output: int = 4096
    ) -> CommandRun:
        """Run a command without a shell as `owner`, with an empty environment and no input (queryprogram, Exim spec 21)."""
        ...


class Hints(Protocol):
    """`hints.db`: typed records under Exim's names (`retry`, `wait-smtp`, `callout`, `ratelimit`, `seen`, `tls`, `misc`)."""

    def get(self, database: str, key: str) -> dict[str, Any] | None: ...

    def put(self, database: str, key: str, record: Mapping[str, Any]) -> None: ...

    def delete(self, database: str, key: str) -> None: ...

    def update(self, database: str, key: str, change: Callable[[dict[str, Any] | None], dict[str, Any] | None]) -> None:
        """Read-change-write under a lock; None deletes."""
        ...

    def items(self, database: str) -> Iterable[tuple[str, float, dict[str, Any]]]:
        """All (key, time of last change, record)."""
        ...


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """Answer of the resolver. Names are lower case as received, without the final dot."""

    status: str
    """`ok`, `nomatch` (NXDOMAIN), `nodata`, `again` (time-out, SERVFAIL), `fail` (FORMERR, NOTIMP, REFUSED)."""
    records: tuple[tuple[str, Any], ...] = ()
    """Of the wanted type, CNAMEs followed: (owner name, data). Data by type: A/AAAA text; MX (preference, name); PTR/NS/CNAME
    name; TXT text (strings joined); SRV (priority, weight, port, name); TLSA (usage, selector, matching, bytes); SOA 7 fields;
    CSA as SRV; SPF as TXT. Names and text are tainted."""
    authenticated: bool = False
    """AD bit."""
    authoritative: bool = False
    ttl: int = 0
    qualified_name: str = ""
    """Full name when the search list added something."""
    soa_ttl: int = 0
    failed_name: str = ""
    """When it failed: the name that an alias led to."""
    txt_parts: tuple[tuple[str, ...], ...] = ()
    bad_name: bool = False
    """Nothing was asked: dns_check_names_pattern does not allow the name."""


class Resolver(Protocol):
    """`net.dns`."""

    def query(
        self,
        name: str,
        kind: str,
        *,
        qualify_single: bool = False,
        search_parents: bool = False,
        dnssec: bool = False,
        scope: Scope | None = None,
        events: bool = True,
    ) -> DnsAnswer:
        """Look up; follows CNAMEs up to `dns_cname_loops`. `kind` is `A`, `MX`, ... Honours the dns_* main options given to the
        resolver when it was built. `scope`: where debugging lines are shown, and whose `dns:fail` is raised unless not
        `events`."""
        ...


class Store(Protocol):
    """`spool.store`; see that module for all it can do. Only what lower rooms need is here."""

    def exists(self, message_id: str) -> bool: ...


@dataclass(slots=True)
class Hooks:
    """Calls up the import order that are too small for an interface; None where nobody in this process does it."""

    start_delivery: Callable[..., None] | None = None
    """`(message, lock, foreground)`: an accepted message is to be delivered."""
    side_by_side: Callable[..., Any] | None = None
    """The command line's way to make several remote deliveries of a message at once."""
    look_up_host_name: Callable[[Scope], None] | None = None
    """Find `$sender_host_name` now."""
    queue_size: Callable[[], int | None] | None = None
    """`$queue_size`; None: it cannot be known."""


@dataclass(slots=True)
class RunState:
    """What this call of the program was told, and what it has to tell its caller at the end."""

    dont_deliver: bool = False
    """-N."""
    host_checking_callout: bool = False
    """-bhc."""
    deliver_now: bool = False
    """-odi or -odf: what a delivery creates (bounces) is delivered at once too."""
    mua_failed: bool = False
    """`mua_wrapper`: the delivery went wrong; the exit status says so."""
    deliveries_open: int = 0
    """Deliveries under way, nested ones (of bounces) included."""
    trying: dict[str, str] = field(default_factory=dict)
    """Message id -> whom its delivery talks to now: the address of a host."""

    @contextmanager
    def talking(self, message_id: str, host: str) -> Iterator[None]:
        """Note it while the block runs."""
        self.trying[message_id] = host
        try:
            yield
        finally:
            self.trying.pop(message_id, None)


@dataclass(slots=True)
class Services:
    """What every room may ask for; built once by `assembly.wiring`, replaced whole on reload."""

    site: Site
    config: Config
    clock: Clock
    random: Random
    waiter: Waiter
    log: Log
    dns: Resolver
    expander: Expander
    lists: ListMatcher
    lookups: Lookups
    hints: Hints
    courier: Courier
    acl: AclRunner
    verifier: Verifier
    submitter: Submitter | None = None
    store: Any = None
    """`spool.store.Store`."""
    harness: Any = None
    """`config.harness.Harness` in Exim's test mode, else None."""
    hooks: Hooks = field(default_factory=Hooks)
    run: RunState = field(default_factory=RunState)
    metrics: Metrics = field(default_factory=Metrics)
    extra: dict[str, Any] = field(default_factory=dict)
    """Caches and helpers by room name (`lookups`, `tls`, `perl`, ...)."""


HostFinder = Callable[["Delivery", "Host"], str]
