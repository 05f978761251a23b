"""An automatic reply that a filter asks for: `Delivery.reply` of an autoreply delivery."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Reply:
    """Fields of the filter commands `mail` and `vacation` (Exim filter spec 3.14) and of Sieve's vacation and notify; all are
    expanded
    already, but for the contents of `file` when `file_expand`. "" is unset."""

    to: str = ""
    from_: str = ""
    reply_to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    headers: str = ""
    """`extra_headers`."""
    text: str = ""
    file: str = ""
    file_expand: bool = False
    expand_forbid: str = ""
    """What expansions of the file may not do (`forbid_filter_...`; see `expand.limits`)."""
    logfile: str = ""
    oncelog: str = ""
    once_repeat: int = 0
    """Seconds."""
    once_keep_days: int = 0
    """Sieve: `oncelog` lies in a directory of its own, which is made and where databases older than that are removed."""
    return_message: bool = False
    never_mail: str = ""
    """Comma-separated addresses that get no reply (Sieve)."""
