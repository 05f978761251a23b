"""`atrn_domains`. Exim spec 44.26: whether mail waits for domains that an ATRN client may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.acl.frame import test
from angaros.lists.parse import split_list, take_separator
from angaros.model.errors import AngarosError
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


def atrn_domains(frame: Frame, argument: str) -> Outcome:
    """True when a message in the queue (the named one after `queue = name`) has a recipient in one of the domains. They, and the
    queue, are what the connection will be turned around for (`scope.state`)."""
    separator, rest = take_separator(argument)
    domains = [domain.strip().lower() for domain in split_list(rest, separator) if domain.strip()]
    queue_name = frame.message.queue_name
    frame.scope.state.update(atrn_domains=":".join(domains), atrn_queue=queue_name)
    return test(bool(domains) and _mail_waits(frame, set(domains), queue_name))


def _mail_waits(frame: Frame, domains: set[str], queue_name: str) -> bool:
    store = frame.scope.services.store
    for entry in store.scan(queue_name, ordered=False):
        try:
            message = store.load(entry.message_id, None, queue_name, with_headers=False)
        except (AngarosError, OSError):
            continue
        for recipient in message.recipients:
            if recipient.address not in message.non_recipients and recipient.address.rpartition("@")[2].lower() in domains:
                return True
    return False
