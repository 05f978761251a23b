"""Transactions that do not become messages, for who looks for dictionary attacks. Exim spec 53.15, observed in 4.96."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.logs.peer import host_and_ident
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation


def log_incomplete(c: Conversation, why: str) -> None:
    """`incomplete transaction (RSET) from <sender> for recipients`; not for a new EHLO, a time-out, a drop, as in Exim."""
    if not c.txn.sender_given or not c.log.selected("smtp_incomplete_transaction"):
        return
    addresses = [recipient.address for recipient in c.message.recipients]
    recipients = concat([" for", *(part for address in addresses for part in (" ", address))]) if addresses else ""
    c.log.write(
        concat(
            [f"{host_and_ident(c.session, c.log)} incomplete transaction ({why}) from <{c.message.sender_address}>", recipients]
        ),
        selector="smtp_incomplete_transaction",
    )
