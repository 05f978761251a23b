"""Errors that cross rooms, and the numbers that stand for them in logs and retry records."""

from __future__ import annotations

from enum import IntEnum


class AngarosError(Exception):
    """Base of our errors; `str()` is Exim's text for the log."""


class ConfigError(AngarosError):
    """The configuration is wrong. `str()` has Exim's wording, with file and line when known."""

    def __init__(self, text: str, *, file: str = "", line: int = 0, source: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.file = file
        self.line = line
        self.source = source
        self.log_file_path: str | None = None
        """What the configuration had said of the log before the error."""
        self.spool_directory: str | None = None
        self.dies = True
        """False for errors in macros: Exim's log entry then says `PANIC`, not `PANIC DIE`."""


class ExpansionError(AngarosError):
    """A string could not be expanded (`$expand_string_message`)."""

    position: int = -1
    temporary: bool = False
    """A lookup deferred (`search_find_defer`)."""


class ForcedFailure(ExpansionError):
    """`fail` in an expansion."""


class LookupFailure(AngarosError):
    """A search failed for good: wrong query, wrong file (Exim: panic log and expansion failure)."""


class LookupDefer(AngarosError):
    """A search cannot be done now (`search_find_defer`)."""


class PanicError(AngarosError):
    """What Exim writes to the main and panic logs before it ends the process (`lsearch;/missing` in a list, a wrong regular
    expression in a list, `mysql*`). Who runs the command line logs `str()` and ends with status 1; the daemon logs it and gives
    up this connection or delivery (defer), nothing else."""


class ListDefer(AngarosError):
    """A list match depends on something that is temporarily unavailable. `str()` is the reason, often "" (Exim's
    `search_error_message`)."""


class Why(IntEnum):
    """Numbers below zero that stand for an errno where the reason is not the system's: the figure in brackets of
    `defer (-44)` in the log and in retry records. Observed in Exim's logs; tools parse them."""

    UNKNOWN = -1
    BAD_OWNER = -6
    BAD_MODE = -7
    LOCK_FAILED = -9
    BAD_REDIRECT = -17
    SMTP_CLOSED = -18
    SMTP_FORMAT = -19
    SPOOL_FORMAT = -20
    NOT_ABSOLUTE = -21
    QUOTA = -22
    HELD = -23
    FILTER_FAIL = -24
    WRITE_INCOMPLETE = -26
    EXPAND_FAIL = -27
    GID_FAIL = -28
    UID_FAIL = -29
    BAD_TRANSPORT = -30
    UNKNOWN_HOST = -32
    FORMAT_UNKNOWN = -33
    BAD_CREATE = -34
    LIST_DEFER = -35
    DNS_DEFER = -36
    TLS_FAILURE = -37
    TLS_REQUIRED = -38
    CHOWN_FAIL = -39
    PIPE_FAIL = -40
    CALLOUT_DEFER = -41
    AUTH_FAIL = -42
    CONNECT_TIMEOUT = -43
    RCPT_4XX = -44
    MAIL_4XX = -45
    DATA_4XX = -46
    PROXY_FAIL = -47
    UTF8_FORWARD = -49
    HOST_IS_LOCAL = -50
    TAINT = -51
    ROUTING_RETRY = -52
    """Retry time not reached, router."""
    LOCAL_RETRY = -53
    """Retry time not reached, local transport."""
    HOST_RETRY = -54
    """Retry time not reached, any host."""
    LOCAL_ONLY = -55
    """Only local deliveries now (-qql)."""
    QUEUE_DOMAIN = -56
    """In `queue_domains`/`queue_smtp_domains`."""
    CONCURRENCY = -57
    """`max_parallel` reached."""
    EVENT = -58
