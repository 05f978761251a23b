"""Limits of a session: counts, sizes, space, time-outs, rates. Each answers in Exim's words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from angaros.config.values import parse_time
from angaros.expand.conditions.compare import integer
from angaros.logs.peer import host_and_ident
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.outcome import Reply

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.model.interfaces import Services
    from angaros.model.scope import Scope

DATA_MARGIN = 5000
"""Octets that a message needs on the spool's disk besides its declared size (headers that we add, -H)."""


def expanded_integer(text: str | int | None, scope: Scope, option: str, *, default: int = 0) -> int:
    """Value of an integer option that is expanded; a wrong one is logged and `default` holds."""
    if text is None:
        return default
    if isinstance(text, int):
        return text
    try:
        return integer(scope.expand(text))
    except ForcedFailure:
        return default
    except (ExpansionError, ValueError) as error:
        scope.services.log.write(f"expansion of {option} failed: {error}", panic=True)
        return default


def receive_timeout(c: Conversation) -> float | None:
    """Seconds to wait for SMTP input; None: for ever. Exim spec 14, smtp_receive_timeout; -os"""
    own = c.options.submission.smtp_receive_timeout
    if own is not None:
        return own or None
    return _time_option(c.main.smtp_receive_timeout, c.scope, "smtp_receive_timeout", 300) or None


def _time_option(text: str | int | None, scope: Scope, option: str, default: int) -> int:
    if text is None:
        return default
    if isinstance(text, int):
        return text
    try:
        return parse_time(scope.expand(text).strip())
    except (ExpansionError, ValueError) as error:
        scope.services.log.write(f"expansion of {option} failed: {error}", panic=True)
        return default


def message_size_limit(scope: Scope, *, smtp: bool = True) -> int:
    """`message_size_limit`, 0 for none; -1 when it is wrong (and logged). Exim spec 14"""
    text = scope.services.config.main.message_size_limit
    if text is None:
        return 0
    try:
        expanded = scope.expand(text)
    except ExpansionError as error:
        scope.services.log.write(f"unable to expand message_size_limit: {error}", panic=True)
        return -1
    try:
        return integer(expanded)
    except ExpansionError as error:
        what = "invalid" if smtp else "invalid value for"
        scope.services.log.write(f"{what} message_size_limit: {error}", panic=True)
        return -1


def connection_refusal(c: Conversation) -> Reply | None:
    """What the daemon's limits say about a new connection. Exim spec 14, smtp_accept_max and its company"""
    main, count = c.main, c.options.connection_count
    address = c.session.sender_host_address
    literal = f"[{address}]"

    def refuse(text: str, why: str) -> Reply:
        c.log.write(f"Connection from {literal} refused: {why}", selector="connection_reject", reject=True)
        return Reply(421, text, close=True)

    if main.smtp_accept_max > 0 and count > main.smtp_accept_max:
        return refuse("Too many concurrent SMTP connections; please try again later.", "too many connections")
    per_host = expanded_integer(main.smtp_accept_max_per_host, c.scope, "smtp_accept_max_per_host")
    if per_host > 0 and c.options.host_connections > per_host:
        return refuse(
            "Too many concurrent SMTP connections from this IP address; please try again later.",
            "too many connections from that IP address",
        )
    load_reserve = main.smtp_load_reserve
    full = main.smtp_accept_max > 0 and main.smtp_accept_reserve > 0 and count > main.smtp_accept_max - main.smtp_accept_reserve
    load = c.extra.get("load", 0)
    loaded = load_reserve is not None and load_reserve >= 0 and load > load_reserve
    if (full or loaded) and not c.host_in("smtp_reserve_hosts"):
        if full:
            return refuse("Too many concurrent SMTP connections; please try again later.", "too many connections")
        return refuse("Too much load; please try again later.", f"load average = {load / 1000:.2f}")
    return None


def load_average(services: Services) -> int:
    """The system's load in thousandths; predictable in test mode."""
    if services.harness is not None:
        return int(services.harness.load_average())
    try:
        return int(os.getloadavg()[0] * 1000)
    except OSError:
        return 0


def space_for(services: Services, size: int) -> bool:
    """Whether spool and log disks have room for `size` more octets beyond `check_spool_space` and company. Exim spec 14"""
    main = services.config.main
    spool = services.extra.get("spool_directory") or main.spool_directory or services.site.spool_directory
    checks = [("spool", spool, main.check_spool_space, main.check_spool_inodes, size)]
    logs = main.log_file_path or services.site.log_file_path or ""
    if main.check_log_space > 0 or main.check_log_inodes > 0:
        directory = next((os.path.dirname(part) for part in logs.split(":") if part.strip().startswith("/")), "")
        checks.append(("log", directory.strip(), main.check_log_space, main.check_log_inodes, 0))
    for what, directory, space, inodes, extra in checks:
        if not directory or (space <= 0 and inodes <= 0):
            continue
        try:
            status = os.statvfs(directory)
        except OSError:
            continue
        free = status.f_bavail * status.f_frsize
        if (space > 0 and free < space + extra) or (inodes > 0 and status.f_files > 0 and status.f_favail < inodes):
            services.log.write(f"{what} directory space check failed: space={free // 1024} inodes={status.f_favail}")
            return False
    return True


class RateLimit:
    """`smtp_ratelimit_mail`/`_rcpt`: threshold, first delay, factor, maximum. Exim spec 14, smtp_ratelimit_hosts"""

    __slots__ = ("threshold", "first", "factor", "maximum")

    def __init__(self, text: str) -> None:
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 4:
            raise ValueError(f"malformed rate limit: {text}")
        self.threshold = float(parts[0])
        self.first = decimal_time(parts[1])
        self.factor = float(parts[2])
        self.maximum = decimal_time(parts[3])

    def next_delay(self, delay: float) -> float:
        """The delay after one of `delay` seconds."""
        return min(max(delay, self.first) * self.factor, self.maximum)


def decimal_time(text: str) -> float:
    """A time interval whose numbers may have fractions: `0.25s`."""
    total = 0.0
    number = ""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    for char in text:
        if char.isdigit() or char == ".":
            number += char
        elif char in units and number:
            total += float(number) * units[char]
            number = ""
        else:
            raise ValueError(f"malformed time: {text}")
    return total + (float(number) if number else 0.0)


def slow_down(c: Conversation, kind: str, count: int) -> None:
    """Wait before answering when the peer sends MAIL (`mail`) or RCPT (`rcpt`) commands too fast."""
    if c.rate_limited is None:
        c.rate_limited = c.main.smtp_ratelimit_hosts is not None and c.host_in("smtp_ratelimit_hosts")
    text = c.main.smtp_ratelimit_mail if kind == "mail" else c.main.smtp_ratelimit_rcpt
    if not c.rate_limited or text is None:
        return
    key = f"rate_{kind}"
    limit: RateLimit = c.extra.setdefault(key, RateLimit(text))
    if count <= limit.threshold:
        c.txn.extra.pop(key, None)
        return
    store = c.extra if kind == "mail" else c.txn.extra
    delay: float = store.get(f"{key}_delay", limit.first)
    host = host_and_ident(c.session, c.log, flag=False)
    c.log.debug("receive", f"rate limit {kind.upper()}: delay {delay:.3g} sec from {host}")
    if not c.options.host_checking:
        c.flush()
        c.services.waiter.sleep(delay)
    store[f"{key}_delay"] = limit.next_delay(delay)
