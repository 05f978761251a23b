"""The times of the envelope at a delivery: a message held (FUTURERELEASE), a message too late (DELIVERBY).

RFC 4865, RFC 2852. Both need somebody to look: the next queue run after the time.
"""

from __future__ import annotations

from angaros.delivery.attempt import Attempt
from angaros.logs.times import tod_log
from angaros.model.extensions import BY_NOTIFY, BY_REJECT

EXPIRED = "delivery time expired"
EXPIRED_STATUS = "5.4.7"
"""Delivery time expired. # RFC 3463 3.5, RFC 2852 4.2"""
LATE_STATUS = "4.4.7"


def is_held(attempt: Attempt) -> bool:
    """Whether the time of release has not come. -M and -Mg do not wait."""
    extensions, options = attempt.message.extensions, attempt.options
    if extensions is None or extensions.release <= attempt.services.clock.now():
        return False
    if options.give_up or (options.forced and not options.queue_run):
        return False
    attempt.log(f"Message is held until {tod_log(extensions.release, with_zone=True)}", selector="skip_delivery")
    return True


def is_expired(attempt: Attempt) -> bool:
    """Mode R: the time is over, and what is left of the message goes back."""
    extensions = attempt.message.extensions
    return extensions is not None and extensions.by_mode == BY_REJECT and extensions.by <= attempt.services.clock.now()


def is_late(attempt: Attempt) -> bool:
    """Mode N: the time is over, and the sender has not been told."""
    extensions = attempt.message.extensions
    if extensions is None or extensions.by_mode != BY_NOTIFY or extensions.by_told:
        return False
    return extensions.by <= attempt.services.clock.now()
