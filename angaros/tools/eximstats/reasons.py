"""What a line about a rejection is called in the report, and whom it is about.

By what Debian's eximstats was seen to answer to such lines: the figures of both are to be the same, also where one would rather
have it otherwise (an outgoing connection that was refused counts, a temporary rejection after DATA counts as a final one).
"""

from __future__ import annotations

import re

UNKNOWN = "Unknown"
_COMMANDS = "RCPT|MAIL|VRFY|EXPN|ETRN|AUTH|EHLO|HELO"
_ROWS: tuple[tuple[str, str], ...] = (
    (r"^SMTP call from .* dropped: (too many [^(]*)", "Dropped: {0}"),
    (r"^(SMTP protocol (?:synchronization error|violation|error))", "{0}"),
    (r"^Connection from \S+ refused: ([^=]*)", "Connection refused: {0}"),
    (r"^[Cc]onnection from \S+ refused", "Connection refused"),
    (r"^refused connection from .*?(\([^()]*\))$", "Refused connection {0}"),
    (r"^(?P<capital>refused relay \([^()]*\))", "{0}"),
    (r"rejected (?:EHLO|HELO)\b.* syntactically invalid argument", "Rejected HELO/EHLO: syntactically invalid argument"),
    (r"^unqualified recipient rejected", "Unqualified recipient rejected"),
    (r"^unqualified sender rejected", "Sender rejected"),
    (r"rejected (?:MAIL|from) .*: message too big", "Message too big"),
    (r"(?<!temporarily )rejected RCPT .* is (?P<capital>listed at \S+)", "{0}"),
    (rf"(?<!temporarily )rejected ({_COMMANDS})(?: or HELO)? [^:]*: ([^:]*)", "Rejected {0}: {1}"),
    (rf"temporarily rejected (?!AUTH)({_COMMANDS})(?: or HELO)? [^:]*: ([^:]*)", "Temporarily rejected {0}: {1}"),
    (r"(temporarily rejected connection in .*)", "Temporarily {0}"),
    (r"rejected DATA: (.*)", "Rejected DATA: {0}"),
    (r"rejected after DATA: (?P<capital>.*)", "{0}"),
    (r"rejected (by (?:local_scan\(\)|non-SMTP ACL): .*)", "Rejected {0}"),
)
_TABLE = tuple((re.compile(pattern), form) for pattern, form in _ROWS)
_BRACKETS = r"\[([0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*)\]"
_AT_HOST = re.compile(rf"H=(?:.*? )??{_BRACKETS}(?!\))")
_FROM = re.compile(rf"^(?:SMTP call from|Connection from|rejected (?:EHLO|HELO) from) (?:\S+ )*?{_BRACKETS}")


def is_rejection(text: str) -> bool:
    """Whether a line (that has no flag) counts."""
    return "reject" in text or "refused" in text or "dropped" in text


def reason(text: str) -> tuple[str, bool]:
    """What the report says, and whether it counts as temporary."""
    for pattern, form in _TABLE:
        if found := pattern.search(text):
            parts = [part.removeprefix("temporarily ") for part in found.groups()]
            if "capital" in pattern.groupindex:
                parts = [parts[0][:1].upper() + parts[0][1:]]
            return form.format(*parts).strip(), form.startswith("Temporarily")
    return UNKNOWN, False


def culprit(text: str) -> str:
    """`[address]`, or `local`."""
    found = _AT_HOST.search(text) if "H=" in text else _FROM.search(text)
    return f"[{found[1]}]" if found else "local" if "H=" not in text else ""
