"""RSET, NOOP, HELP, QUIT. # RFC 5321 4.1.1.5, 4.1.1.8 to 4.1.1.10"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.inbound.incomplete import log_incomplete
from angaros.inbound.rejection import user_message
from angaros.model.outcome import Outcome
from angaros.smtp.replies import OK, RESET_OK

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command


def do_rset(c: Conversation, command: Command) -> None:
    """Forget the transaction."""
    log_incomplete(c, "RSET")
    c.reset()
    c.say(f"{RESET_OK.code} {RESET_OK.text}")


def do_noop(c: Conversation, command: Command) -> None:
    """Nothing."""
    c.say(f"{OK.code} {OK.text}")


def do_help(c: Conversation, command: Command) -> None:
    """The commands of this session. Exim spec 14"""
    main = c.main
    words = ["AUTH"]
    words.append("STARTTLS" if c.session.tls is None and main.tls_advertise_hosts not in (None, "") else "")
    words += ["HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "NOOP", "QUIT", "RSET", "HELP"]
    for verb, option in (("ETRN", main.acl_smtp_etrn), ("EXPN", main.acl_smtp_expn), ("VRFY", main.acl_smtp_vrfy)):
        words.append(verb if option is not None else "")
    words.append("XCLIENT" if c.advertised.xclient else "")
    c.raw(f"214-Commands supported:\r\n214 {' '.join(word for word in words if word)}\r\n")


def do_quit(c: Conversation, command: Command) -> None:
    """The end as it should be."""
    log_incomplete(c, "QUIT")
    text = ""
    if c.main.acl_smtp_quit is not None:
        verdict = c.run_acl("quit")
        if verdict.outcome is Outcome.ERROR:
            c.log.write(f"ACL for QUIT returned ERROR: {verdict.log_message}", panic=True)
        text = verdict.user_message
    if text:
        user_message(c, "quit", text)
    else:
        c.say(f"221 {c.session.active_hostname} closing connection")
    c.flush()
    if c.session.tls is not None:
        c.stream.stop_tls()
    c.closed_by("QUIT")
    c.reset()
    c.done = True
