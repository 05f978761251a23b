"""Options of address verification (`verify = sender/...`, `verify = recipient/...`). Exim spec 44.45 to 44.49."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CalloutOptions:
    """`callout = ...`. Times are seconds; -1 where the default of the manual holds."""

    timeout: int = 30
    connect: int = -1
    """-1: as `timeout`."""
    maxwait: int = -1
    """-1: four times `timeout`."""
    defer_ok: bool = False
    no_cache: bool = False
    random: bool = False
    postmaster: str | None = None
    """Sender of the postmaster check ("" for `postmaster`); None: no such check."""
    fullpostmaster: bool = False
    mailfrom: str = ""
    """Sender for callouts of `header_sender`."""
    use_sender: bool = False
    use_postmaster: bool = False
    use_transport_sender: bool = False
    """`use_tptsender`: the `return_path` of the transport."""
    hold: bool = False


@dataclass(frozen=True, slots=True)
class QuotaOptions:
    """`quota = ...`: seconds that results are kept."""

    positive: int = 300
    negative: int = 3600


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """All that can follow the type of an address verification."""

    defer_ok: bool = False
    no_details: bool = False
    success_on_redirect: bool = False
    callout: CalloutOptions | None = None
    quota: QuotaOptions | None = None


PLAIN = VerifyOptions()
"""Routing only."""
