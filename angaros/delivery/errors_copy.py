"""`errors_copy`: who else gets a bounce. Exim spec 48.20 (main option errors_copy)."""

from __future__ import annotations

from angaros.delivery.attempt import Attempt
from angaros.lists.parse import split_list
from angaros.model.errors import ExpansionError, ListDefer
from angaros.routers.address import new_delivery, split_at


def copies_of(attempt: Attempt, recipient: str) -> list[str]:
    """Addresses that get a copy of a bounce to `recipient`; the first item that matches counts."""
    text = attempt.services.config.main.errors_copy
    if text is None:
        return []
    delivery = new_delivery(recipient)
    delivery.local_part = split_at(recipient)[0]  # here with its quotes
    scope = attempt.scope.child(delivery)
    for item in split_list(text):
        pattern, copies = _divide(item)
        if not copies:
            attempt.log(f'error in errors_copy: no addresses in "{item}"', panic=True)
            continue
        try:
            if not attempt.services.lists.match_address(recipient, pattern.replace(":", "::"), scope):
                continue
            expanded = scope.expand(copies)
        except ListDefer:
            continue
        except ExpansionError as error:
            attempt.log(f'Failed to expand "{copies}" in errors_copy: {error}', panic=True)
            return []
        qualify = attempt.services.config.main.qualify_domain
        found = [address.strip() for address in expanded.split(",") if address.strip()]
        return [address if "@" in address else f"{address}@{qualify}" for address in found]
    return []


def _divide(item: str) -> tuple[str, str]:
    """Pattern, perhaps quoted, and the rest."""
    item = item.strip()
    if item.startswith('"'):
        pattern, _, rest = item[1:].partition('"')
        return pattern, rest.strip()
    pattern, _, rest = item.partition(" ")
    return pattern, rest.strip()
