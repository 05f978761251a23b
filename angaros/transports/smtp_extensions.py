"""What the smtp transport does about FUTURERELEASE, DELIVERBY, MT-PRIORITY and REQUIRETLS: parameters of MAIL, and hosts that
are not good enough.

Laws:
- A host that cannot do what the message must have is a permanent failure at this host: the next host may be better, and the last
  one decides the status code of the bounce.
- The time that is passed on is what is left of it now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.model.errors import Why
from angaros.model.extensions import BY_REJECT
from angaros.transports.smtp_session import SessionFailure, SmtpSession

if TYPE_CHECKING:
    from angaros.model.delivery import Host
    from angaros.model.extensions import Extensions
    from angaros.model.message import Message
    from angaros.transports.smtp_tls import TlsPolicy

EXPIRED = "5.4.7"
"""Delivery time expired. # RFC 3463 3.5"""
INCAPABLE = "5.3.3"
"""System not capable of selected features. # RFC 3463 3.4"""
NO_TLS = "5.7.10"
"""Encryption needed. # RFC 8689 4.2.1"""
NO_REQUIRETLS = "5.7.30"
"""REQUIRETLS support required. # RFC 8689 7"""
MAX_BY = 999_999_999
"""Nine digits. # RFC 2852 4"""


def _failure(text: str, status: str) -> SessionFailure:
    failure = SessionFailure(text, permanent=True)
    failure.dsn_status = status
    return failure


def parameters(message: Message, session: SmtpSession, now: float, *, final: bool, bounce: bool) -> str:
    """What MAIL says. `final`: LMTP, the last hop. Raises `SessionFailure` when the host will not do."""
    wanted = message.extensions
    assert wanted is not None
    offered = session.client.features
    out = _deliverby(wanted, offered.get("DELIVERBY"), int(now), final=final)
    if out:
        session.used.add("deliverby")
    left = wanted.release - int(now)
    if left > 0 and left <= _longest(offered.get("FUTURERELEASE")):
        out += f" HOLDFOR={left}"
    if wanted.priority is not None and "MT-PRIORITY" in offered:
        out += f" MT-PRIORITY={wanted.priority}"
    if wanted.requiretls and "REQUIRETLS" in offered:
        out += " REQUIRETLS"
        session.used.add("requiretls")
    elif wanted.requiretls and not bounce:  # a bounce goes on without. # RFC 8689 5
        raise _failure("REQUIRETLS support required but not offered", NO_REQUIRETLS)
    return out


def _deliverby(wanted: Extensions, offered: str | None, now: int, *, final: bool) -> str:
    """# RFC 2852 4.1.4"""
    if not wanted.by_mode:
        return ""
    left, reject = wanted.by - now, wanted.by_mode == BY_REJECT
    if reject and left <= 0:
        raise _failure("delivery time expired", EXPIRED)
    if offered is None:
        if reject and not final:
            raise _failure("DELIVERBY support required but not offered", INCAPABLE)
        return ""
    shortest = offered.strip()
    if reject and shortest.isdigit() and left < int(shortest):
        raise _failure(f"{left} seconds are left for delivery but the host wants {shortest}", EXPIRED)
    return f" BY={max(-MAX_BY, min(left, MAX_BY))};{wanted.by_mode}{'T' if wanted.by_trace else ''}"


def _longest(offered: str | None) -> int:
    """Seconds that a host holds a message at most; -1 when it does not."""
    word = (offered or "").partition(" ")[0]
    return int(word) if word.isdigit() else -1


def is_relayed(message: Message, session: SmtpSession) -> bool:
    """DELIVERBY: whether the sender is told that the message went on: that was asked for, or the next host knows nothing of the
    time. # RFC 2852 4.1.4"""
    wanted = message.extensions
    return wanted is not None and bool(wanted.by_mode) and (wanted.by_trace or "deliverby" not in session.used)


# --- REQUIRETLS -----------------------------------------------------------------------------------------------------------


def found_securely(host: Host, plan: TlsPolicy) -> bool:
    """Not by an MX record but by the administrator or by its own name, by DNSSEC, or it is named by an MTA-STS policy that is
    enforced. # RFC 8689 4.2.1"""
    return host.mx < 0 or host.dnssec or plan.covered


def refusal(message: Message, host: Host, plan: TlsPolicy) -> SessionFailure | None:
    """Why the message may not even be offered to the host."""
    if not message.requiretls or found_securely(host, plan):
        return None
    return _failure(f"REQUIRETLS: nothing proves that {host.name} is the right host (neither DNSSEC nor MTA-STS)", NO_TLS)


_TLS_NUMBERS = frozenset({int(Why.TLS_REQUIRED), int(Why.TLS_FAILURE)})


def judge(message: Message, failure: SessionFailure) -> None:
    """A message that must have TLS and cannot get it here goes back, it does not wait. # RFC 8689 4.2.1"""
    if message.requiretls and failure.number in _TLS_NUMBERS and not failure.dsn_status:
        failure.permanent, failure.dsn_status = True, NO_TLS
