"""Rules of the retry and rewrite sections, and of `headers_rewrite` (Exim spec 31, 32). Errors: ValueErrors in Exim's words."""

from __future__ import annotations

import re

from angaros.config import values
from angaros.config.config import NOWHERE, Position, RetryError, RetryRule, RetryStep, RewriteRule

_WHITE = " \t\r\v\f"
REWRITE_FLAGS = "ETFbcfhrstSqQRw"
"""Flags of a rewriting rule (Exim spec 31.6)."""
_ALL_HEADERS = "bcfrst"


def dequote(text: str) -> tuple[str, str]:
    """The first item of `text` and the rest: up to white space, or in double quotes with escapes."""
    text = text.lstrip(_WHITE)
    if not text.startswith('"'):
        end = 0
        while end < len(text) and text[end] not in _WHITE:
            end += 1
        return text[:end], text[end:]
    out: list[str] = []
    position = 1
    while position < len(text) and text[position] != '"':
        if text[position] == "\\":
            character, position = values.unescape(text, position)
        else:
            character, position = text[position], position + 1
        out.append(character)
    return "".join(out), text[position + 1 :]


# --- Retry -------------------------------------------------------------------------------------------------------------

_SIMPLE = frozenset({"*", "lost_connection", "tls_required", "lookup", "auth_failed"})
_RESPONSE = re.compile(r"(rcpt|mail|data)_4", re.IGNORECASE)
_RESPONSE_DIGITS = re.compile(r"([0-9][0-9]|[0-9][xX]|[xX][xX])\Z")
TIMEOUT_DNS = '"timeout_dns" is no longer available in retry rules (it has never worked) - treated as "timeout"'


def parse_retry_error(text: str) -> RetryError:
    """The second item of a retry rule (Exim spec 32.5)."""
    name = text.lower()
    if name in _SIMPLE:
        return RetryError(name)
    if found := _RESPONSE.match(name):
        digits = _RESPONSE_DIGITS.match(name, found.end())
        if not digits:
            head = text[: found.end()]
            raise ValueError(f"{head} must be followed by xx, dx, or dd, where x is literal and d is any digit")
        return RetryError(f"{found.group(1)}_4xx", code="4" + digits.group(1))
    base, bar, detail = name.partition("_")
    if base == "quota" and (not bar or detail is not None):
        return RetryError("quota", unread=_quota_time(detail) if bar else 0)
    if base == "refused":
        if bar and detail not in ("a", "mx"):
            raise ValueError('A or MX expected after "refused"')
        return RetryError("refused", via=detail.upper())
    if base == "timeout":
        return _timeout(detail, bar)
    raise ValueError(f'unknown or malformed retry error "{text}"')


def _quota_time(detail: str) -> int:
    seconds = values.parse_time(detail)
    if seconds <= 0:
        raise ValueError("bad time value")
    return seconds


def _timeout(detail: str, bar: str) -> RetryError:
    if not bar or detail == "dns":
        return RetryError("timeout")
    connect = detail == "connect" or detail.startswith("connect_")
    via = detail.removeprefix("connect").removeprefix("_") if connect else detail
    if via not in ("a", "mx") and not (connect and detail == "connect"):
        raise ValueError('"A", "MX", or "connect" expected after "timeout"')
    return RetryError("timeout", via=via.upper(), connect=connect)


def parse_retry_rule(line: str, position: Position = NOWHERE) -> RetryRule:
    """One line of the retry section."""
    pattern, rest = dequote(line)
    rest = rest.lstrip(_WHITE)
    if not rest:
        raise ValueError("missing error type in retry rule")
    found_word = _WORD.match(rest)
    written = found_word.group() if found_word else rest
    error = parse_retry_error(written)
    rest = rest[len(written) :].lstrip(_WHITE)
    senders: str | None = None
    if found := re.match(r"senders[ \t]*=[ \t]*", rest, re.IGNORECASE):
        senders, rest = dequote(rest[found.end() :])
        rest = rest.lstrip(_WHITE)
    return RetryRule(pattern, written, error, tuple(_steps(rest)), senders, position)


def _steps(rest: str) -> list[RetryStep]:
    steps: list[RetryStep] = []
    while rest:
        letter = rest[0].upper()
        if letter not in "FGH" and rest[1:2] == ",":
            raise ValueError("unknown retry rule letter")
        timeout, rest = _argument(rest[1:])
        interval, rest = _argument(rest)
        factor = ""
        if letter != "F":
            factor, rest = _argument(rest)
        steps.append(_step(letter, timeout, interval, factor))
        rest = rest.lstrip(_WHITE)
        if rest and not rest.startswith(";"):
            raise ValueError("semicolon expected")
        rest = rest[1:].lstrip(_WHITE)
    return steps


_WORD = re.compile(r"[^ \t\r\v\f]+")
_ARGUMENT = re.compile(r",[ \t]*([^,; \t]*)")


def _argument(rest: str) -> tuple[str, str]:
    found = _ARGUMENT.match(rest)
    if not found:
        raise ValueError("comma expected")
    return found.group(1), rest[found.end() :]


def _step(letter: str, timeout: str, interval: str, factor: str) -> RetryStep:
    thousandths = 0
    if letter != "F":
        try:
            thousandths = values.read_fixed(factor, "")
        except ValueError:
            raise ValueError("bad parameters for retry rule") from None
    step = RetryStep(letter, values.parse_time(timeout), values.parse_time(interval), thousandths)
    if step.timeout <= 0 or step.interval <= 0 or (letter != "F" and thousandths < 1000):
        raise ValueError("bad parameters for retry rule")
    return step


# --- Rewrite -----------------------------------------------------------------------------------------------------------


def parse_rewrite_rule(line: str, position: Position = NOWHERE, *, in_transport: bool = False) -> RewriteRule:
    """One line of the rewrite section, or one item of `headers_rewrite`."""
    pattern, rest = dequote(line)
    rest = rest.lstrip(_WHITE)
    if not rest:
        raise ValueError("missing rewrite replacement string")
    replacement, rest = dequote(rest)
    flags = ""
    for flag in rest:
        if flag in _WHITE:
            continue
        if flag not in REWRITE_FLAGS:
            raise ValueError(f"unknown rewrite flag character '{flag}' (could be missing quotes round replacement item)")
        flags += flag
    if "S" in flags and not pattern.startswith(("^", "\\N^")):
        raise ValueError("rewrite rule has the S flag but is not a regular expression")
    if in_transport and any(flag in "EFTS" for flag in flags):
        raise ValueError("rewrite rule specifies a non-header rewrite - not allowed at transport time -")
    return RewriteRule(pattern, replacement, applied_flags(flags, in_transport=in_transport), flags, position)


def applied_flags(flags: str, *, in_transport: bool = False) -> str:
    """The flags with what they stand for: `E` is `FT`, `h` all headers; without any of these letters all are meant."""
    out = flags.replace("E", "FT").replace("h", _ALL_HEADERS)
    if not any(flag in "FTS" + _ALL_HEADERS for flag in out):
        out += _ALL_HEADERS if in_transport else "FT" + _ALL_HEADERS
    return "".join(sorted(set(out)))


def parse_headers_rewrite(text: str) -> tuple[RewriteRule, ...]:
    """The value of the transport option `headers_rewrite`: rules with colons between."""
    from angaros.config.settings import split_list

    return tuple(parse_rewrite_rule(item, in_transport=True) for item in split_list(text))
