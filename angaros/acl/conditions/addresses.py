"""Conditions on envelope addresses. Exim spec 44.26.

Data of lookups: `$domain_data`, `$local_part_data` (kept with the recipient), `$sender_data`, `$recipient_data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.acl.frame import test
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


def domains(frame: Frame, argument: str) -> Outcome:
    """The recipient's domain is in the list."""
    delivery = frame.delivery
    found = frame.scope.services.lists.match_domain(delivery.domain, argument, frame.scope)
    delivery.props.domain_data = found.data
    return test(found.matched)


def local_parts(frame: Frame, argument: str) -> Outcome:
    """The recipient's local part is in the list; by its case when `caseful_local_part` is in effect."""
    delivery = frame.delivery
    caseless = delivery.local_part == delivery.lowered_local_part
    found = frame.scope.services.lists.match_local_part(delivery.local_part, argument, frame.scope, caseless=caseless)
    delivery.props.local_part_data = found.data
    return test(found.matched)


def recipients(frame: Frame, argument: str) -> Outcome:
    """The whole recipient address is in the list."""
    found = frame.scope.services.lists.match_address(frame.delivery.address, argument, frame.scope)
    _keep(frame, "recipient_data", found.data)
    return test(found.matched)


def senders(frame: Frame, argument: str) -> Outcome:
    """The envelope sender is in the list."""
    found = frame.scope.services.lists.match_address(frame.message.sender_address, argument, frame.scope)
    _keep(frame, "sender_data", found.data)
    return test(found.matched)


def sender_domains(frame: Frame, argument: str) -> Outcome:
    """The domain of the envelope sender is in the list; `$domain` stays that of the recipient."""
    domain = frame.message.sender_address.rpartition("@")[2]
    return test(frame.scope.services.lists.match_domain(domain, argument, frame.scope).matched)


def _keep(frame: Frame, name: str, data: str | None) -> None:
    if data is None:
        frame.scope.state.pop(name, None)
    else:
        frame.scope.state[name] = data
