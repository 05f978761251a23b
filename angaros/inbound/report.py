"""Texts about a session for the log: connection information, durations, the commands so far. Exim spec 53.15."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.logs.lines import tls_fields
from angaros.logs.peer import host_and_ident, local_interface, sender_fullhost

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.model.message import Message
    from angaros.model.session import Session
    from angaros.smtp.server import Command

SYNC_ERROR = "SMTP synchronization error"
SHOWN_INPUT = 32
"""Octets of premature input in the log line."""
SHOWN_GREETING_INPUT = 150
HISTORY = 20
"""Commands that are remembered for `C=`."""


def duration(seconds: float, milliseconds: bool) -> str:
    """`3s`, `2m4s`, or `0.012s` with +millisec."""
    if milliseconds and seconds < 60:
        return f"{max(seconds, 0.0):.3f}s"
    from angaros.config.values import show_time

    return show_time(int(max(seconds, 0)))


def since(c: Conversation) -> str:
    """Time since the connection began, for `D=`."""
    return duration(c.services.clock.now() - c.session.connect_time, c.log.selected("millisec"))


def history(session: Session) -> str:
    """`EHLO,MAIL,RCPT`; three dots stand for what was before the last twenty commands."""
    commands = session.command_history
    if len(commands) > HISTORY:
        return "..." + ",".join(commands[-HISTORY:])
    return ",".join(commands)


def new_connection(c: Conversation) -> str:
    """`SMTP connection from [1.2.3.4]:9 I=[...]:25 Ci=...`: the daemon's line about a new connection."""
    session, log = c.session, c.log
    text = f"SMTP connection from {sender_fullhost(session, with_port=log.selected('incoming_port'))}"
    interface = local_interface(session, log)
    if interface:
        text += f" {interface}"
    return f"{text} Ci={c.connection_id}" if log.selected("connection_id") else text


def connection_tag(c: Conversation) -> str:
    """`Ci=... `, with +connection_id."""
    return f"Ci={c.connection_id} " if c.log.selected("connection_id") else ""


def connection_info(c: Conversation) -> str:
    """`SMTP connection from (helo) [1.2.3.4]`, as the lines about beginning and end of a connection start."""
    session, log = c.session, c.log
    tag = connection_tag(c)
    host = sender_fullhost(session, with_port=log.selected("incoming_port"))
    if c.options.host_checking or (host and not c.options.local):
        text = f"SMTP connection {tag}from {host}"
        if c.options.inetd:
            return text + " (via inetd)"
        interface = "" if c.options.host_checking else local_interface(session, log)
        return f"{text} {interface}" if interface else text
    return f"SMTP connection {tag}from {session.sender_ident or host}"


def authenticated(session: Session) -> str:
    """` A=name:id` of an authenticated session."""
    if not session.sender_host_authenticated:
        return ""
    return f" A={session.sender_host_authenticated}" + (f":{session.authenticated_id}" if session.authenticated_id else "")


def printable(text: str) -> str:
    """Control characters as escapes (`\\n`, `\\0`), as Exim prints peers' input in log lines."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(_ESCAPES.get(c) or (c if " " <= c <= "~" else f"\\{ord(c):03o}") for c in text)


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\v": "\\v", "\f": "\\f"}


def log_no_mail(c: Conversation) -> None:
    """`no MAIL in SMTP connection`. Exim spec 53.15, smtp_no_mail"""
    if c.mail_count or not c.log.selected("smtp_no_mail"):
        return
    facts = f"{authenticated(c.session)}{tls_fields(c.session, c.log)}"
    text = f"no MAIL in SMTP connection from {host_and_ident(c.session, c.log, flag=False)} D={since(c)}{facts}"
    if c.session.command_history:
        text += f" C={history(c.session)}"
    c.log.write(text)


def log_sync_error(c: Conversation, command: Command, envelope: Message | None = None) -> None:
    """What came too early."""
    early = c.core.peek(SHOWN_GREETING_INPUT)
    shown = printable(early[:SHOWN_INPUT].decode("latin-1"))
    tail = '"...' if len(early) > SHOWN_INPUT else f'" ({len(early)} bytes)'
    not_ = "" if c.advertised.pipelining else "not "
    c.log.write(
        f"SMTP protocol synchronization error (next input sent too soon: pipelining was {not_}advertised): "
        f'rejected "{printable(command.line)}" {host_and_ident(c.session, c.log)} next input="{shown}{tail}',
        reject=True,
        envelope=envelope,
    )
