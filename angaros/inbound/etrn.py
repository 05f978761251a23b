"""ETRN: a client asks for its mail to be sent. # RFC 1985; Exim spec 49.8"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from angaros.inbound.etrn_run import start
from angaros.inbound.rejection import refuse
from angaros.logs.peer import host_and_ident
from angaros.model.errors import ExpansionError
from angaros.model.outcome import Outcome
from angaros.model.text import octets

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command


def do_etrn(c: Conversation, command: Command) -> None:
    """Run `exim -R` for the argument, or the administrator's command."""
    if c.txn.sender_given:
        c.protocol_error("protocol", 503, "", "ETRN is not permitted inside a transaction")
        return
    argument = command.argument
    c.log.write(f"ETRN {argument} received from {host_and_ident(c.session, c.log, flag=False)}", selector="etrn")
    verdict = c.run_acl("etrn")
    if verdict.outcome is not Outcome.ACCEPT:
        refuse(c, "etrn", verdict, f"ETRN {argument}")
        return
    command_text = c.main.smtp_etrn_command
    if command_text is None and not argument.startswith("#"):
        c.protocol_error("syntax", 501, "", "argument must begin with #")
        return
    try:
        words, serialize_key = _plan(c, command_text, argument)
    except ExpansionError as error:
        c.log.write(f"failed to set up ETRN command: {error}", panic=True)
        c.say("458 Internal failure")
        return
    if c.options.host_checking:
        shown = "exim -R" if command_text is None else " ".join(words)
        c.scope.trace("any", f"ETRN command is: {shown}")
        c.scope.trace("any", "ETRN command execution skipped")
        c.say("250 OK" if not verdict.user_message else f"250 {verdict.user_message}")
        return
    try:
        started = start(c.services, words, serialize_key, argument[1:] if command_text is None else None)
    except OSError as error:
        c.log.write(f"fork of process for ETRN failed: {error.strerror}", panic=True)
        c.say("458 Unable to fork process")
        return
    if started:
        c.say("250 OK" if not verdict.user_message else f"250 {verdict.user_message}")
    else:
        c.say(f"458 Already processing {argument}")


def _plan(c: Conversation, command_text: str | None, argument: str) -> tuple[list[str], str]:
    """The command as words, and the key under which only one runs at a time (`smtp_etrn_serialize`)."""
    if command_text is None:
        words = ["exim", "-R", argument[1:]]
    else:
        scope = c.scope.child(domain=argument)
        words = [scope.expand(word) for word in command_text.split()]
    key = f"etrn-{hashlib.md5(octets(argument), usedforsecurity=False).hexdigest()}" if c.main.smtp_etrn_serialize else ""
    return words, key
