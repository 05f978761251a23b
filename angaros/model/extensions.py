"""What ESMTP extensions ask for a message on its way: FUTURERELEASE, DELIVERBY, MT-PRIORITY, REQUIRETLS.

All of it is one value of the message and one message ACL variable in its -H file, `-aclm _angaros_esmtp`, so that Exim, which
knows nothing of it, keeps it when the message passes through its hands.
"""

from __future__ import annotations

from collections.abc import Callable

from angaros.model.record import dataclass

SPOOL_NAME = "m_angaros_esmtp"
"""Name of the ACL variable."""
BY_REJECT, BY_NOTIFY = "R", "N"
"""by-mode of DELIVERBY: return the message when its time is over, or only tell. # RFC 2852 4"""
HIGHEST, LOWEST = 9, -9
"""Priorities. # RFC 6710 4"""


@dataclass(slots=True)
class Extensions:
    """Times are seconds since the epoch, 0 for none."""

    release: int = 0
    """FUTURERELEASE: not to be delivered before. # RFC 4865"""
    by: int = 0
    """DELIVERBY: to be delivered before. # RFC 2852"""
    by_mode: str = ""
    by_trace: bool = False
    by_told: bool = False
    """The sender knows that the time is over (mode N)."""
    priority: int | None = None
    """MT-PRIORITY; None when nothing was said. # RFC 6710"""
    requiretls: bool = False
    """REQUIRETLS. # RFC 8689"""
    others: tuple[str, ...] = ()
    """Words of a later version: they travel through."""

    def text(self) -> str:
        """For the spool: words with blanks between them, in the order of `WORDS`."""
        return " ".join([word for write, _ in WORDS.values() if (word := write(self))] + list(self.others))


def _by_text(one: Extensions) -> str:
    flags = f"{one.by_mode}{'T' if one.by_trace else ''}{'+' if one.by_told else ''}"
    return f"by={one.by};{flags}" if one.by_mode else ""


def _read_by(one: Extensions, value: str) -> None:
    time, _, flags = value.partition(";")
    if flags[:1] not in (BY_REJECT, BY_NOTIFY):
        raise ValueError("by")
    one.by, one.by_mode, one.by_trace, one.by_told = int(time), flags[0], "T" in flags, "+" in flags


def _set(name: str, value: Callable[[str], object]) -> Callable[[Extensions, str], None]:
    return lambda one, text: setattr(one, name, value(text))


WORDS: dict[str, tuple[Callable[[Extensions], str], Callable[[Extensions, str], None]]] = {
    "hold": (lambda one: f"hold={one.release}" if one.release else "", _set("release", int)),
    "by": (_by_text, _read_by),
    "priority": (lambda one: "" if one.priority is None else f"priority={one.priority}", _set("priority", int)),
    "requiretls": (lambda one: "requiretls" if one.requiretls else "", _set("requiretls", lambda text: True)),
}
"""Word in the spool -> how it is written and read."""


def parse_extensions(text: str) -> Extensions:
    """What `Extensions.text` wrote. Raises ValueError."""
    found, others = Extensions(), []
    for word in text.split():
        name, _, value = word.partition("=")
        row = WORDS.get(name)
        if row is None:
            others.append(str(word))
        else:
            row[1](found, value)
    found.others = tuple(others)
    return found
