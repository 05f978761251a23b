"""From the state of a finished ACL to a `Verdict`, and from a verdict to reply and log line. Exim spec 44.21, 44.50."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.acl.points import POINTS
from angaros.model.outcome import Outcome, SenderFailure, Verdict

if TYPE_CHECKING:
    from angaros.acl.frame import Frame, RunState

MAX_LINE = 75
"""Longest line of a reply before it is broken at a space."""
EARLIEST_COLON = 35
"""A break after `: ` is preferred from this column on."""

_CODE = re.compile(r"([0-9]{3}) (?:([0-9]\.[0-9]{1,3}\.[0-9]{1,3}) )?")


def verdict(frame: Frame, outcome: Outcome) -> Verdict:
    """The answer of a finished ACL."""
    user = frame.user_message or ""
    state = frame.state
    refused = outcome not in (Outcome.ACCEPT, Outcome.DISCARD)
    return Verdict(
        outcome,
        split_message(user) if len(user) > MAX_LINE or "\n" in user else user,
        first_line(frame.log_message or ""),
        log_targets=state.log_targets,
        sender_failure=_sender_failure(state) if refused else None,
    )


_POSTMASTER = (
    "Postmaster verification failed while checking <{address}>\n{text}\n"
    "Several RFCs state that you are required to have a postmaster\n"
    "mailbox for each mail domain. This host does not accept mail\n"
    "from domains whose servers reject the postmaster address."
)
_SETUP = (
    "Callback setup failed while verifying <{address}>\n{text}\n"
    "The initial connection, or a HELO or MAIL FROM:<> command was\n"
    "rejected. Refusing MAIL FROM:<> does not help fight spam, disregards\n"
    "RFC requirements, and stops you from receiving standard bounce\n"
    "messages. This host does not accept mail from domains whose servers\n"
    "refuse bounces."
)
_PLAIN = "Verification failed for <{address}>\n{text}"


def _sender_failure(state: RunState) -> SenderFailure | None:
    """Details of the sender verification that failed, the first time. Exim spec 44.50."""
    known = state.failed_sender
    if known is None:
        return None
    told, known.told = known.told, True
    result = known.result
    deferred = result.outcome is Outcome.DEFER
    lines = ""
    if deferred:
        if state.temp_details:
            lines = result.log_message
    elif (result.user_message or result.failure == "route") and not told:
        pattern = {"postmaster": _POSTMASTER, "mail": _SETUP}.get(result.failure, _PLAIN)
        lines = pattern.format(address=known.address, text=result.user_message).rstrip("\n")
    if told and not lines:
        return None
    reason = result.log_message if result.log_message or result.failure == "route" else None
    return SenderFailure(known.address, reason, deferred, lines, told)


def first_line(text: str) -> str:
    """Only the first line of a message is logged."""
    return text.partition("\n")[0] if "\n" in text else text


def split_message(text: str) -> str:
    """Break overlong lines of a reply at spaces, best after a colon; newlines stay."""
    out: list[str] = []
    for line in text.split("\n"):
        rest = line.lstrip(" \t") if out else line
        while len(rest) > MAX_LINE:
            cut = _cut(rest)
            if cut < 0:
                break
            out.append(rest[:cut])
            rest = rest[cut:].lstrip(" ")
        out.append(rest)
    return "\n".join(out)


def _cut(line: str) -> int:
    colon = line.rfind(": ", EARLIEST_COLON, MAX_LINE + 1)
    if colon >= 0:
        return colon + 1
    space = line.rfind(" ", 1, MAX_LINE + 1)
    return space if space >= 0 else line.find(" ", MAX_LINE)


@dataclass(frozen=True, slots=True)
class Response:
    """Code and text for the peer."""

    code: int
    enhanced: str
    text: str
    wrong: str = ""
    """Text for the panic log when the configured code begins with a wrong digit; the code is then the default one."""


def response(where: str, outcome: Outcome, text: str, default: str, *, code: int = 0) -> Response:
    """Take an own SMTP code (and enhanced code) off the front of `text`; `default` is used when there is no text.

    `code` overrides the point's default code. Exim spec 44.21 (`message`)."""
    expected = code or _default_code(where, outcome)
    if not text:
        return Response(expected, "", default)
    found = _CODE.match(text)
    if found is None:
        return Response(expected, "", text)
    enhanced = found.group(2) or ""
    rest = text[found.end() :]
    if found.group(1)[0] != str(expected)[0] and where != "vrfy":
        wrong = f'configured error code starts with incorrect digit (expected {str(expected)[0]}) in "{text}"'
        return Response(expected, "", rest, wrong)
    if where in ("quit", "auth") and outcome in (Outcome.ACCEPT, Outcome.DISCARD):
        return Response(expected, enhanced, rest)
    return Response(int(found.group(1)), enhanced, rest)


def _default_code(where: str, outcome: Outcome) -> int:
    point = POINTS[where]
    if outcome in (Outcome.ACCEPT, Outcome.DISCARD):
        return point.accept_code
    if outcome in (Outcome.DENY, Outcome.DROP):
        return point.code
    return 451
