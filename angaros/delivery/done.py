"""Recording that an address needs nothing more: non-recipients, parents, journal. Exim spec 3.7, 57."""

from __future__ import annotations

from angaros.delivery.attempt import Attempt, done_key, sameness
from angaros.model.delivery import Delivery


def mark_done(attempt: Attempt, delivery: Delivery) -> list[str]:
    """The address and, as far as all their children are done, its ancestors. Answers the keys that are new."""
    keys = [done_key(delivery)]
    if delivery.parent is None and delivery.address != keys[0]:
        keys.append(delivery.address)
    attempt.message.non_recipients.update(keys)
    keys += mark_parents(attempt, delivery)
    for duplicate in attempt.duplicates.pop(sameness(delivery), ()):
        keys += mark_done(attempt, duplicate)
    attempt.update_spool = True
    return keys


def mark_parents(attempt: Attempt, delivery: Delivery) -> list[str]:
    """One child of the address's ancestors is done. Answers the keys of those that are done with it."""
    keys = []
    parent = delivery.parent
    while parent is not None:
        parent.children -= 1
        if parent.children > 0:
            break
        key = done_key(parent)
        if key not in attempt.message.non_recipients:
            attempt.message.non_recipients.add(key)
            keys.append(key)
        attempt.msglog.append(f"{parent.address}: children all complete")
        parent = parent.parent
    return keys


def journal(attempt: Attempt, keys: list[str]) -> None:
    """S5: the journal, unless nothing follows that could fail: then the message is removed at once (docs/spool-states.md)."""
    if attempt.open_count <= 0 and not attempt.new and is_last(attempt):
        return
    if attempt.journal is None:
        attempt.journal = attempt.services.store.journal(attempt.message)
    try:
        attempt.journal.add(keys)
    except OSError as error:
        attempt.log(f"failed to update journal for {attempt.message.id}: {error.strerror}", panic=True)


def is_last(attempt: Attempt) -> bool:
    """Whether the attempt ends with this address and the message with it."""
    return not (attempt.local or attempt.remote or attempt.deferred or attempt.failed)
