"""The points at which ACLs run. Exim spec 44.2, 44.14."""

from __future__ import annotations

from dataclasses import dataclass

from angaros.model.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Point:
    """One point: its key is what `AclRunner.run` gets as `where`."""

    key: str
    label: str
    """As log lines and error messages call it."""
    option: str
    """Main option that names the ACL; "" when there is none."""
    unset: Outcome
    """What holds when the option is not set (the QUIT and start ACLs have only side effects)."""
    code: int = 550
    """SMTP code of a refusal without an own one."""
    accept_code: int = 250
    """SMTP code of success, whose first digit a `message` of accept may not change."""


_ACCEPT = Outcome.ACCEPT
_DENY = Outcome.DENY

POINTS: dict[str, Point] = {
    point.key: point
    for point in (
        Point("connect", "connection", "acl_smtp_connect", _ACCEPT, accept_code=220),
        Point("helo", "EHLO or HELO", "acl_smtp_helo", _ACCEPT),
        Point("starttls", "STARTTLS", "acl_smtp_starttls", _ACCEPT, accept_code=220),
        Point("auth", "AUTH", "acl_smtp_auth", _ACCEPT, code=503),
        Point("mailauth", "MAILAUTH", "acl_smtp_mailauth", _ACCEPT),
        Point("mail", "MAIL", "acl_smtp_mail", _ACCEPT),
        Point("rcpt", "RCPT", "acl_smtp_rcpt", _DENY),
        Point("predata", "PREDATA", "acl_smtp_predata", _ACCEPT, accept_code=354),
        Point("dkim", "DKIM", "acl_smtp_dkim", _ACCEPT),
        Point("mime", "MIME", "acl_smtp_mime", _ACCEPT),
        Point("prdr", "PRDR", "acl_smtp_data_prdr", _ACCEPT),
        Point("data", "DATA", "acl_smtp_data", _ACCEPT),
        Point("quit", "QUIT", "acl_smtp_quit", _ACCEPT, code=221, accept_code=221),
        Point("notquit", "NOTQUIT", "acl_smtp_notquit", _ACCEPT, code=421, accept_code=421),
        Point("etrn", "ETRN", "acl_smtp_etrn", _DENY, code=458),
        Point("atrn", "ATRN", "acl_smtp_atrn", _DENY, code=450),
        Point("expn", "EXPN", "acl_smtp_expn", _DENY),
        Point("vrfy", "VRFY", "acl_smtp_vrfy", _DENY, code=252),
        Point("wellknown", "WELLKNOWN", "acl_smtp_wellknown", _DENY),
        Point("notsmtp_start", "non-SMTP-start", "acl_not_smtp_start", _ACCEPT, code=0),
        Point("notsmtp", "non-SMTP", "acl_not_smtp", _ACCEPT, code=0),
        Point("delivery", "delivery", "", _DENY),
        Point("unknown", "unknown", "", _DENY),
    )
}

ALL = frozenset(POINTS)
"""For conditions that are allowed anywhere."""

MESSAGE_POINTS = frozenset(("mail", "rcpt", "predata", "mime", "dkim", "data", "prdr", "notsmtp", "notsmtp_start"))
"""Points that are concerned with receiving a message: there a `message` of warn is a header line (Exim spec 44.20), and `discard`
is possible (44.18) except at `predata`."""


def label(where: str) -> str:
    """What messages call the point."""
    point = POINTS.get(where)
    return point.label if point is not None else "unknown"
