"""AUTH as a client: an authenticator's dialogue carried over an SMTP session (Exim spec 33.5, RFC 4954)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.model.errors import ExpansionError, ForcedFailure

if TYPE_CHECKING:
    from angaros.auths.base import ClientDialogue
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope
    from angaros.smtp.client import ClientReply, SmtpClient

ROUNDS = 20
"""Challenges answered in one exchange; no mechanism has so many."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`ok`; `failed` (5yz: try the next authenticator); `deferred` (4yz); `skipped` (not to be used now); `cancelled` (it made
    no sense: `message`; try the next); `error` (an option could not be expanded: `message`)."""

    status: str
    message: str = ""
    reply: ClientReply | None = None


def authenticate(instance: DriverInstance[Any], scope: Scope, client: SmtpClient) -> Outcome:
    """Run the exchange. Connection failures raise `ClientFailure`."""
    from angaros.auths import base

    if not base.client_wanted(instance, scope):
        return Outcome("skipped")
    dialogue = base.client(instance, scope)
    try:
        first = next(dialogue, None)
    except ForcedFailure:
        return Outcome("skipped")
    except ExpansionError as error:
        return Outcome("error", str(error))
    except ValueError as error:  # nothing was said yet
        return Outcome("cancelled", str(error))
    command = f"AUTH {(instance.options.public_name or '').upper()}"
    secret = _encode(first) if first else ""
    reply = client.command(f"{command} {secret}" if first else command, command, shown=f"{command} {_hidden(secret)}".rstrip())
    sent: str | None = first
    lenient = bool(getattr(instance.options, "client_ignore_invalid_base64", False))
    for _ in range(ROUNDS):
        if reply.code // 100 != 3:
            return _judged(reply, dialogue)
        try:
            raw = isinstance(sent, base.Raw)
            sent = answer = dialogue.send(str(reply.text[4:]) if raw else _decode(reply, lenient=lenient))
        except StopIteration:
            client.command("*", command)
            return Outcome("cancelled", f"Too few items in client_send in {instance.name} authenticator")
        except ForcedFailure:
            client.command("*", command)
            return Outcome("skipped")
        except (ExpansionError, ValueError) as error:
            client.command("*", command)
            return Outcome("error" if isinstance(error, ExpansionError) else "cancelled", str(error))
        secret = _encode(answer)
        reply = client.command(secret, command, shown=_hidden(secret))
    client.command("*", command)
    return Outcome("cancelled", "too many challenges")


def _judged(reply: ClientReply, dialogue: ClientDialogue) -> Outcome:
    objection = ""
    try:
        dialogue.close()
    except ValueError as error:  # a mechanism that authenticates the server too
        objection = str(error)
    if reply.ok:
        return Outcome("cancelled", objection) if objection else Outcome("ok", reply=reply)
    return Outcome("failed" if reply.permanent else "deferred", reply=reply)


def _hidden(secret: str) -> str:
    """As many asterisks: traces show that something was said, not what."""
    return "*" * len(secret)


def _encode(text: str) -> str:
    from angaros.auths.base import Raw

    return str(text) if isinstance(text, Raw) else base64.b64encode(text.encode("latin-1")).decode("ascii")


def _decode(reply: ClientReply, *, lenient: bool) -> str:
    """The challenge; ValueError when it is not base64, "" instead if `lenient` (Exim spec 34.6)."""
    text = str(reply.text[4:]).strip()
    try:
        return base64.b64decode(text, validate=True).decode("latin-1")
    except (binascii.Error, UnicodeError):
        if lenient:
            return ""
        raise ValueError(f'Invalid base64 string in server response "{reply.text}"') from None
