"""Answers: what an ACL decided, what goes to the peer and what to the log."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """Result of an ACL run or a verification (spec 44.9)."""

    ACCEPT = "accept"
    DEFER = "defer"
    DENY = "deny"
    DROP = "drop"
    """Deny, then close the connection."""
    DISCARD = "discard"
    ERROR = "error"
    """The ACL itself is wrong; the peer gets a temporary error, the log the reason."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an ACL decided. Texts are separate for the peer and for the log; the default is defer."""

    outcome: Outcome = Outcome.DEFER
    user_message: str = ""
    """For the peer; may begin with an SMTP code and an enhanced code. "" means the default text of the command."""
    log_message: str = ""
    """For the log; "" means: the same as `user_message`."""
    log_targets: tuple[str, ...] = ("main", "reject")
    """`log_reject_target`: logs that the rejection goes to; empty: none."""
    sender_failure: SenderFailure | None = None
    """Set the first time a message is refused because its sender did not verify; see there."""
    bare_log: bool = False
    """The log line goes without any text: it was written already."""

    @property
    def accepted(self) -> bool:
        """Whether the command goes on."""
        return self.outcome in (Outcome.ACCEPT, Outcome.DISCARD)


@dataclass(frozen=True, slots=True)
class SenderFailure:
    """Details of a sender verification that made an ACL refuse; given once per sender (spec 44.50)."""

    address: str
    log: str | None = None
    """Reason, for the extra line `sender verify fail for <address>: reason`."""
    deferred: bool = False
    lines: str = ""
    """Text of the lines before the final response line (`Verification failed for <...>` and so on); "" for none."""
    told: bool = False
    """The line in the log was written before."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply; a newline in `text` separates reply lines."""

    code: int
    text: str
    enhanced: str = ""
    close: bool = False
    """Close the connection after sending."""

    @property
    def ok(self) -> bool:
        """2yz or 3yz."""
        return self.code < 400

    def __bytes__(self) -> bytes:
        prefix = f"{self.enhanced} " if self.enhanced else ""
        lines = self.text.split("\n")
        last = len(lines) - 1
        return "".join(f"{self.code}{'-' if i < last else ' '}{prefix}{line}\r\n" for i, line in enumerate(lines)).encode(
            "latin-1"
        )


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Answer of `interfaces.Verifier`."""

    outcome: Outcome = Outcome.DEFER
    user_message: str = ""
    """Text for the peer that the verification itself made; "" when there is none."""
    log_message: str = ""
    """Why, for the log (`Unrouteable address`)."""
    failure: str = ""
    """`$recipient_verify_failure`, `$sender_verify_failure`: `qualify`, `route`, `mail`, `recipient`, `postmaster`, `quota`;
    after a success perhaps `random`."""
    callout: bool = False
    """A deferral that came from the callout, not from routing."""
    pass_message: bool = False
    """`user_message` of a deferral may be shown to the peer (`smtp_return_error_details`)."""
    address_data: str | None = None
    local_part_data: str | None = None
    domain_data: str | None = None
    address: str = ""
    """The address that was verified in the end, when rewriting or redirection to one child changed it."""
    details: str = ""
    """More lines for -bv and the like."""
    rewritten: str | None = None
    """The given address after rewriting, when that changed it."""
