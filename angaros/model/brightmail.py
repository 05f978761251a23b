"""What Brightmail's library said about the recipients of a message, and how the spool keeps it.

Laws:
- One verdict for each recipient that was scanned; recipients with the same verdict share it, in memory and in the -H file.
- Who was not scanned has no verdict: no `bmi_` precondition of a router holds, all variables are empty.
- What a redirection makes has the verdict of the recipient that it comes from.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from angaros.model.record import dataclass
from angaros.model.text import taint

if TYPE_CHECKING:
    from angaros.model.message import Message
    from angaros.model.scope import Scope

ITEM = "angaros_bmi"
"""Name of the line in the -H file."""
_CACHE = "brightmail"

DEFAULT, ALTERNATE, NONE = "0", "1", "2"
"""What to do with the message: deliver it as any, to the alternate location, not at all."""


@dataclass(frozen=True, slots=True)
class BmiVerdict:
    """One verdict. The texts are the vendor's, opaque to us."""

    action: str = DEFAULT
    alternate: str = ""
    """Where to deliver it instead."""
    verdict: str = ""
    tracker: str = ""
    rules: tuple[str, ...] = ()
    """Numbers of the rules that have fired."""


Verdicts = Mapping[str, BmiVerdict]
"""By recipient, lower case."""


def write_verdicts(verdicts: Verdicts) -> str:
    """The value of the spool's line: groups, each a verdict and its recipients."""
    groups: dict[BmiVerdict, list[str]] = {}
    for address, verdict in verdicts.items():
        groups.setdefault(verdict, []).append(address)
    return ";".join(
        " ".join(
            (
                verdict.action,
                *(_packed(text) for text in (verdict.alternate, verdict.verdict, verdict.tracker)),
                ".".join(verdict.rules) or "-",
                ",".join(map(_packed, addresses)),
            )
        )
        for verdict, addresses in groups.items()
    )


def read_verdicts(text: str) -> Verdicts:
    """The inverse; a group that is no such is left out: its recipients have no verdict."""
    found: dict[str, BmiVerdict] = {}
    for group in text.split(";"):
        fields = group.split(" ")
        if len(fields) != 6:
            continue
        try:
            alternate, verdict, tracker = map(_unpacked, fields[1:4])
            addresses = [_unpacked(address) for address in fields[5].split(",")]
        except ValueError:
            continue
        rules = tuple(fields[4].split(".")) if fields[4] != "-" else ()
        found.update(dict.fromkeys(addresses, BmiVerdict(fields[0], alternate, verdict, tracker, rules)))
    return found


def _packed(text: str) -> str:
    return b64encode(text.encode("latin-1")).decode("ascii") or "-"


def _unpacked(text: str) -> str:
    return "" if text == "-" else b64decode(text, validate=True).decode("latin-1")


def keep_verdicts(message: Message, verdicts: Verdicts) -> None:
    """They go into the spool with the message."""
    message.spool_variables[ITEM] = write_verdicts(verdicts)
    message.effects.caches[_CACHE] = verdicts


def verdict_for(scope: Scope) -> BmiVerdict | None:
    """Of the address that is being routed or delivered."""
    message, delivery = scope.message, scope.delivery
    if message is None or delivery is None or ITEM not in message.spool_variables:
        return None
    verdicts = message.effects.caches.get(_CACHE)
    if verdicts is None:
        verdicts = message.effects.caches[_CACHE] = read_verdicts(message.spool_variables[ITEM])
    found: BmiVerdict | None = verdicts.get(delivery.root().address.lower())
    return found


def _deliver(one: BmiVerdict) -> str:
    return "0" if one.action == NONE else "1"


def _base64(text: str) -> str:
    return b64encode(text.encode("latin-1")).decode("ascii")


NO_VERDICT = BmiVerdict()
"""What the variables show where there is none."""

VARIABLES: dict[str, Callable[[BmiVerdict], str]] = {
    "bmi_alt_location": lambda one: taint(one.alternate),
    "bmi_base64_tracker_verdict": lambda one: _base64(one.tracker),
    "bmi_base64_verdict": lambda one: _base64(one.verdict),
    "bmi_deliver": _deliver,
    "bmi_verdict": lambda one: taint(one.verdict),
}
"""The variables, as functions of a verdict. Without one they are empty, and `$bmi_deliver` is 1."""
