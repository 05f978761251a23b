"""Does the address in `errors_to` verify? Exim spec 15, errors_to.

It is routed as a recipient, with the null sender; one way that works is enough.
"""

from __future__ import annotations

from dataclasses import replace

from angaros.model.scope import Scope
from angaros.model.text import concat
from angaros.routers.address import new_delivery
from angaros.routers.outcome import Mode

MAX_ADDRESSES = 100
"""More children than any sensible errors address has."""


def qualified(address: str, scope: Scope) -> str:
    """The address without angle brackets, with a domain."""
    if address.startswith("<") and address.endswith(">"):
        address = address[1:-1]
    return address if "@" in address else concat([address, "@", scope.services.config.main.qualify_recipient or ""])


def verifies(address: str, scope: Scope) -> bool:
    """Whether the address routes."""
    from angaros.routers.chain import route

    under = scope.child()
    under.local = {}
    if scope.message is not None:
        under.message = replace(scope.message, sender_address="")
    pending = [new_delivery(address)]
    seen = 0
    while pending and seen < MAX_ADDRESSES:
        seen += 1
        delivery = pending.pop(0)
        outcome = route(delivery, under, Mode.VERIFY_RECIPIENT)
        if outcome.status in ("defer", "fail"):
            return False
        if outcome.routed or outcome.status == "discard" or len(outcome.new) != 1:
            return True
        pending.extend(child for child in outcome.new if not (child.is_pipe or child.is_file or child.is_autoreply))
        if not pending:
            return True
    return True
