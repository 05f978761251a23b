"""Retry: which rule applies, when to try again, when to give up (Exim spec 32).

Records lie in the hints database `retry`. Keys: `R:domain`, `R:local_part@domain[:<sender>]` for routing and address errors;
`T:host[:ip][:port]` for hosts, with `:message id` for errors of one message at a host; `T:local_part@domain` for local ones.
Laws:
- Times count from the first failure of the destination; for errors that are not a host's, from the arrival of the message if that
  was earlier, so that messages which fail between others that pass are given up in the end.
- An address is given up when all its destinations are past the last cutoff, or when no rule applies.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.logs.times import duration
from angaros.model.errors import ListDefer, Why

if TYPE_CHECKING:
    from angaros.config.config import RetryError, RetryRule, RetryStep
    from angaros.model.interfaces import Random, Services
    from angaros.model.scope import Scope

DATABASE = "retry"

VIA_MX = ord("M")
VIA_A = ord("A")
CONNECT_TIMEOUT = 0x100
"""Bit of `more_errno` of a time-out: it was while connecting."""

RetryItem = tuple[str, str, int, int, str]
"""Key, action (`update`, `delete`), basic_errno, more_errno, text."""


@dataclass(slots=True)
class RetryRecord:
    """What is known of a destination that fails."""

    first_failed: float
    last_try: float
    next_try: float
    expired: bool = False
    """The last cutoff is past."""
    basic_errno: int = 0
    more_errno: int = 0
    text: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For the database."""
        return {
            "first_failed": self.first_failed,
            "last_try": self.last_try,
            "next_try": self.next_try,
            "expired": self.expired,
            "basic_errno": self.basic_errno,
            "more_errno": self.more_errno,
            "text": self.text,
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any] | None) -> RetryRecord | None:
        """From the database; None for a record that makes no sense."""
        if record is None:
            return None
        try:
            return cls(
                float(record["first_failed"]),
                float(record["last_try"]),
                float(record["next_try"]),
                bool(record.get("expired")),
                int(record.get("basic_errno", 0)),
                int(record.get("more_errno", 0)),
                str(record.get("text", "")),
            )
        except (KeyError, TypeError, ValueError):
            return None


def find(services: Services, key: str) -> RetryRecord | None:
    """The record of `key`, unless it is older than `retry_data_expire` (Exim spec 32.9)."""
    record = RetryRecord.from_dict(services.hints.get(DATABASE, key))
    if record is None or services.clock.now() - record.last_try > services.config.main.retry_data_expire:
        return None
    return record


# --- Choosing a rule ---------------------------------------------------------------------------------------------------


def error_matches(wanted: RetryError, basic_errno: int, more_errno: int) -> bool:
    """Whether a rule's error covers what happened (Exim spec 32.5)."""
    kind = wanted.kind
    if kind == "*":
        return True
    if kind in _RESPONSES:
        return basic_errno == _RESPONSES[kind] and _code_matches(wanted.code, more_errno >> 8 & 255)
    if kind == "quota":
        return basic_errno in _QUOTA_ERRORS and (not wanted.unread or more_errno >= wanted.unread)
    if basic_errno != _ERRORS[kind]:
        return False
    if wanted.via and more_errno & 255 != (VIA_MX if wanted.via == "MX" else VIA_A):
        return False
    return not wanted.connect or bool(more_errno & CONNECT_TIMEOUT)


_RESPONSES = {"data_4xx": Why.DATA_4XX, "mail_4xx": Why.MAIL_4XX, "rcpt_4xx": Why.RCPT_4XX}
_QUOTA_ERRORS = frozenset({int(Why.QUOTA), errno.EDQUOT, errno.ENOSPC})
_ERRORS: dict[str, int] = {
    "auth_failed": Why.AUTH_FAIL,
    "lost_connection": Why.SMTP_CLOSED,
    "lookup": Why.UNKNOWN_HOST,
    "refused": errno.ECONNREFUSED,
    "timeout": errno.ETIMEDOUT,
    "tls_required": Why.TLS_REQUIRED,
}


def _code_matches(pattern: str, last_two: int) -> bool:
    actual = f"4{last_two:02d}"
    return all(one in ("x", other) for one, other in zip(pattern.lower(), actual, strict=False))


def error_numbers(error: RetryError) -> tuple[int, int]:
    """basic_errno and more_errno that exactly this error would have (`-brt domain error`)."""
    more = 0
    if error.kind in _RESPONSES:
        digits = error.code[1:3].lower().replace("x", "0") or "0"
        return int(_RESPONSES[error.kind]), int(digits) << 8
    if error.kind == "quota":
        return int(Why.QUOTA), error.unread
    if error.kind == "*":
        return 0, 0
    if error.via:
        more = VIA_MX if error.via == "MX" else VIA_A
    return int(_ERRORS[error.kind]), more | (CONNECT_TIMEOUT if error.connect else 0)


def rule_key(key: str) -> str:
    """What retry patterns are tested against, for a key without its `R:` or `T:`: an address, or `*@` and a name."""
    if "@" in key:
        address, mark, _ = key.partition(":<")
        return address if mark else key
    if key.startswith("["):
        name = key.partition("]")[0] + "]" if "]" in key else key
    else:
        name = key.partition(":")[0]
    return f"*@{name}"


def find_rule(scope: Scope, key: str, alternate: str, basic_errno: int, more_errno: int, sender: str | None) -> RetryRule | None:
    """The first rule that matches `key` (without `R:`/`T:`), or on the same line `alternate`, the error and the sender.

    `sender` None: rules with `senders=` never match. A pattern that cannot be tested (unknown list, deferred lookup) does not."""
    subjects = [rule_key(key)]
    if alternate:
        subjects.append(rule_key(alternate))
    for rule in scope.services.config.retry_rules:
        if not error_matches(rule.error, basic_errno, more_errno):
            continue
        if rule.senders is not None and (sender is None or not _matches(sender, rule.senders, scope)):
            continue
        pattern = f"<{SEPARATOR} {rule.pattern}"  # one item, whatever separators it contains
        if any(_matches(subject, pattern, scope) for subject in subjects):
            return rule
    return None


def _matches(subject: str, items: str, scope: Scope) -> bool:
    try:
        return bool(scope.services.lists.match_address(subject, items, scope))
    except ListDefer:
        return False


SEPARATOR = "\x01"


# --- Times -------------------------------------------------------------------------------------------------------------


def choose_step(rule: RetryRule, failing: float) -> RetryStep | None:
    """The first step whose cutoff is not past; None after the last cutoff."""
    for step in rule.steps:
        if step.timeout > failing:
            return step
    return None


def next_interval(step: RetryStep, last_interval: float, random: Random) -> int:
    """Seconds until the next try, before `retry_interval_max` (Exim spec 32.7)."""
    if step.rule == "F":
        return step.interval
    grown = int(last_interval * step.factor // 1000)
    if step.rule == "G":
        return max(step.interval, grown)
    if last_interval >= step.interval and grown > step.interval:  # H
        return step.interval + random.below(grown - step.interval)
    return step.interval


def ultimate_timeout(scope: Scope, key: str, domain: str, record: RetryRecord) -> bool:
    """Whether the message has been in the queue longer than the last cutoff of the rule for `key` (with its `R:`/`T:`): it is
    then tried although it is not time, and given up if that fails (Exim spec 32.11)."""
    message = scope.message
    assert message is not None
    rule = find_rule(scope, key[2:], domain, record.basic_errno, record.more_errno, message.sender_address)
    if rule is None or not rule.steps:
        return True
    return scope.services.clock.now() - message.queued_since > rule.steps[-1].timeout


# --- After an attempt --------------------------------------------------------------------------------------------------


def update_address(scope: Scope, domain: str, items: Iterable[RetryItem], *, failed: bool, remote: bool = False) -> bool:
    """Write what an address's attempt taught. Returns whether the address has timed out for all its destinations.

    `failed`: the address was not delivered; otherwise records are only deleted. `remote`: `T:` keys name hosts."""
    updates = timeouts = 0
    for item in items:
        if item[1] == "delete":
            scope.services.hints.delete(DATABASE, item[0])
        elif failed:
            updates += 1
            timeouts += _update(scope, domain, item, remote)
    return updates > 0 and updates == timeouts


def is_host_key(key: str, remote: bool, message_id: str) -> bool:
    """Whether a failure under `key` is the host's own (not of one message at it, nor of an address)."""
    return remote and key.startswith("T:") and not key.endswith(f":{message_id}")


def _update(scope: Scope, domain: str, item: RetryItem, remote: bool) -> bool:
    """One destination failed again: new record. Returns whether it has timed out."""
    key, _, basic_errno, more_errno, text = item
    services, message = scope.services, scope.message
    assert message is not None
    now = services.clock.now()
    age = now - message.queued_since
    record = find(services, key) or RetryRecord(now, 0.0, 0.0)
    failing = now - record.first_failed
    host_error = is_host_key(key, remote, message.id)
    if not host_error and age > failing:
        failing = age
    alternate = domain if remote and key.startswith("T:") else ""
    rule = find_rule(scope, key[2:], alternate, basic_errno, more_errno, message.sender_address)
    if rule is None:
        return True
    step = choose_step(rule, failing)
    expired = step is None
    if step is not None and age > rule.steps[-1].timeout:
        return True  # this message is too old; others are not made to wait
    last_interval = min(record.next_try, now) - record.last_try if record.last_try else 0.0
    interval = 0
    if step is None and rule.steps:
        step = rule.steps[-1]
    if step is not None:
        interval = min(next_interval(step, last_interval, services.random), services.config.main.retry_interval_max)
    changed = RetryRecord(record.first_failed, now, now + interval, expired, basic_errno, more_errno, text)
    services.hints.put(DATABASE, key, changed.as_dict())
    return expired


# --- -brt --------------------------------------------------------------------------------------------------------------


def rule_text(rule: RetryRule) -> str:
    """`-brt`: the rule as Exim shows it, which names the error only for some kinds."""
    out = [f"Retry rule: {rule.pattern}  {_error_text(rule.error)}  "]
    for step in rule.steps:
        out.append(f"{step.rule},{duration(step.timeout)},{duration(step.interval)}")
        if step.rule == "G":
            whole, fraction = divmod(step.factor, 1000)
            out.append(f",{whole}.{f'{fraction:03d}'.rstrip('0') or '0'}")
        out.append("; ")
    return "".join(out)


def _error_text(error: RetryError) -> str:
    if error.kind == "quota":
        return f"quota_{duration(error.unread)}" if error.unread else "quota"
    if error.kind == "auth_failed":
        return error.kind
    if error.kind in ("refused", "timeout"):
        return error.kind + ("_connect" if error.connect else "") + (f"_{error.via}" if error.via else "")
    return "*"


def retry_test_text(arguments: Sequence[str], scope: Scope, sender: str | None = None) -> str:
    """The answer of `-brt address-or-domain [second domain] [error]` (Exim spec 5.3)."""
    from angaros.config.rules import parse_retry_error

    if not arguments:
        return "-brt needs a domain or address argument\n"
    key, *rest = arguments
    out = ""
    if "@" not in key and "." not in key:
        out = (
            f"Warning: \"{key}\" contains no '@' and no '.' characters. It is being \n"
            "treated as a one-component domain, not as a local part.\n\n"
        )
    alternate = rest.pop(0) if rest and "." in rest[0] else ""
    basic_errno = more_errno = 0
    if rest:
        try:
            basic_errno, more_errno = error_numbers(parse_retry_error(rest[0]))
        except ValueError as error:
            return f"{out}{error}\n"
    rule = find_rule(scope, key, alternate, basic_errno, more_errno, sender)
    return f"{out}{rule_text(rule) if rule is not None else 'No retry information found'}\n"
