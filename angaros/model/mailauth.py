"""What the verifiers of mail found out: SPF, DKIM, ARC and DMARC. Values only; the rooms of `mailauth` fill them in.

They hang on the message that is being received (`MessageEffects.mailauth`): DMARC reads the results of the others, and
`${authresults` and the log read all of them.
"""

from __future__ import annotations

from angaros.model.record import dataclass, field


@dataclass(slots=True)
class SpfFacts:
    """The verdict on the envelope sender, or on HELO for the null sender. RFC 7208 2.6"""

    result: str
    """`pass`, `fail`, `softfail`, `neutral`, `none`, `temperror`, `permerror`."""
    domain: str = ""
    """The domain that was judged (`$spf_used_domain`)."""
    identity: str = "mailfrom"
    """`mailfrom` or `helo`."""
    guessed: bool = False
    """The domain has no record: the result is that of `spf_guess`."""
    header_comment: str = ""
    smtp_comment: str = ""
    received: str = ""
    """A whole Received-SPF: line."""


@dataclass(slots=True)
class DkimResult:
    """One DKIM signature and what came of it. RFC 6376"""

    domain: str
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    """`rsa-sha256`, as in the signature."""
    status: str = "none"
    """Exim's `$dkim_verify_status`: `pass`, `fail`, `invalid`, `none`."""
    reason: str = ""
    """`$dkim_verify_reason`."""
    result: str = ""
    """The word of Authentication-Results (RFC 8601 2.7.1): `pass`, `fail`, `neutral`, `policy`, `temperror`, `permerror`."""
    comment: str = ""
    """Beside `result`, in parentheses."""
    signature: str = ""
    """The value of `b=`, for `header.b` and reports; may be empty."""


@dataclass(slots=True)
class ArcSet:
    """One set of a chain. RFC 8617 4.2"""

    instance: int
    domain: str = ""
    selector: str = ""
    remote_ip: str = ""
    """`smtp.remote-ip` of its ARC-Authentication-Results."""


@dataclass(slots=True)
class ArcResult:
    """State of the ARC chain. RFC 8617 4.4"""

    state: str
    """`none`, `pass`, `fail`."""
    reason: str = ""
    sets: list[ArcSet] = field(default_factory=list)
    """By instance."""
    oldest_pass: int = 0


@dataclass(slots=True)
class DmarcResult:
    """The verdict on the author's domain. RFC 7489 6.6"""

    status: str
    """Exim's `$dmarc_status`."""
    domain: str = ""
    """Domain of the From: header."""
    result: str = ""
    """The word of Authentication-Results: `pass`, `fail`, `none`, `temperror`, `permerror`; "": nothing to say."""
    used_domain: str = ""
    """Where the record was found."""
    policy: str = ""
    """Its `p`."""
    spf_aligned: bool = False
    dkim_aligned: bool = False


@dataclass(slots=True)
class MailAuth:
    """All of it for one message."""

    spf: SpfFacts | None = None
    dkim: list[DkimResult] = field(default_factory=list)
    arc: ArcResult | None = None
    dmarc: DmarcResult | None = None
