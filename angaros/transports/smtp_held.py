"""The transaction that a recipient's callout has left open (`callout=hold`), for the delivery of that message. Exim spec 44.47.

Laws:
- MAIL has been said and each recipient accepted: what is left is the data. The sender stays the one that the callout named, as
  with Exim, even when a router or transport would give another.
- It carries the message only where a new session would be the same (`cache_key`), to the same recipients, without parameters
  that the callout did not give. Whoever finds that it does not fit says QUIT and opens a new session.
- One process has it. When the delivery is over, or does not take place, `release` ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.model.message import Message
    from angaros.smtp.transaction import Envelope
    from angaros.transports.smtp_session import Opener, SmtpSession

OUR_OWN = ("SIZE=", "PRDR")
"""Parameters of MAIL that change nothing about the message."""


@dataclass(slots=True)
class OpenTransaction:
    """In `Message.effects.open_transaction` until it is taken, then in `SmtpSession.open`."""

    session: SmtpSession
    key: tuple[Any, ...]
    """`smtp_cache.cache_key`."""
    mail: str
    """The command."""
    recipients: list[str]
    """The commands, all of them accepted."""

    def fits(self, envelope: Envelope) -> bool:
        """Whether `envelope` would say the same."""
        asked = sorted(command for command, _ in envelope.recipients)
        return _parameters(envelope.mail) == _parameters(self.mail) and asked == sorted(self.recipients)


def _parameters(mail: str) -> list[str]:
    _, _, text = mail.rpartition(">")
    return sorted(word for word in text.split() if not word.startswith(OUR_OWN))


def take(message: Message, key: tuple[Any, ...], opener: Opener) -> SmtpSession | None:
    """The session, if it leads where `opener` would go and is still alive; it is the caller's from now on."""
    found = message.effects.open_transaction
    if not isinstance(found, OpenTransaction) or found.key != key:
        return None
    message.effects.open_transaction = None
    session = found.session
    if session.stream.input_waiting():
        session.close(say_quit=False)
        return None
    opener.adopt(session)
    session.open = found
    return session


def release(message: Message) -> None:
    """End it, if nobody has taken it."""
    found, message.effects.open_transaction = message.effects.open_transaction, None
    if isinstance(found, OpenTransaction):
        found.session.close()


def disown(message: Message) -> None:
    """Another process, made by fork, has it: let go of our side without a word to the peer."""
    found, message.effects.open_transaction = message.effects.open_transaction, None
    if isinstance(found, OpenTransaction):
        found.session.stream.disown()
