"""The message that tells a user that the mailbox is getting full (Exim spec 26.2: quota_warn_message)."""

from __future__ import annotations

import re

from angaros.model.errors import AngarosError, ExpansionError
from angaros.transports.local import Setup

_FROM = re.compile(r"^From[ \t]*:", re.I | re.M)
_REPLY_TO = re.compile(r"^Reply-To[ \t]*:", re.I | re.M)


def send(setup: Setup, text: str | None, size: int) -> None:
    """Expand and submit; what goes wrong is logged, for the delivery itself is done."""
    if not text:
        return
    scope, services = setup.scope, setup.scope.services
    try:
        body = scope.child(None, mailbox_size=str(size)).expand(text)
    except ExpansionError as error:
        services.log.write(f'Expansion of "{text}" (quota_warn_message) failed: {error}', message_id=setup.message.id, panic=True)
        return
    head = body.partition("\n\n")[0]
    main = services.config.main
    lines = ""
    if main.errors_reply_to and not _REPLY_TO.search(head):
        lines += f"Reply-To: {scope.expand(main.errors_reply_to)}\n"
    lines += "Auto-Submitted: auto-replied\n"
    if not _FROM.search(head):
        lines += f"From: {scope.expand(main.dsn_from)}\n"
    try:
        assert services.submitter is not None
        services.submitter.submit(
            (lines + body).encode("latin-1"), scope, sender="", recipients=None, reference=setup.message.id, as_root=True
        )
    except AngarosError as error:
        services.log.write(f"Failed to send quota warning: {error}", message_id=setup.message.id, panic=True)
