"""RCPT TO. # RFC 5321 4.1.1.3; Exim spec 14, 44.10"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.inbound.limits import expanded_integer, slow_down
from angaros.inbound.mail import rewrite_at_smtp_time
from angaros.inbound.parameters import read_rcpt
from angaros.inbound.rejection import note_rcpt_rejection, refuse, user_message, write_rejection
from angaros.logs.peer import host_and_ident
from angaros.mime.addresses import AddressRules, extract_address
from angaros.model.delivery import Delivery
from angaros.model.message import Recipient
from angaros.model.outcome import Outcome, Verdict
from angaros.model.text import concat
from angaros.routers.address import apply_percent_hack, new_delivery
from angaros.smtp.grammar import split_parameters
from angaros.smtp.server import Stage

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.model.scope import Scope
    from angaros.smtp.server import Command

DSN_PARAMETERS = frozenset({"NOTIFY", "ORCPT"})
NO_PARAMETERS: frozenset[str] = frozenset()


def do_rcpt(c: Conversation, command: Command) -> None:
    """One recipient."""
    txn = c.txn
    txn.rcpt_count += 1
    txn.was_rcpt = True
    if not txn.sender_given:
        _no_sender(c)
    elif c.core.stage is Stage.CHUNKS:
        c.protocol_error("protocol", 503, "", "only BDAT permissible after non-LAST BDAT")
    elif not command.argument:
        txn.rcpt_fail += 1
        _syntax(c, "", "RCPT must have an address operand")
    else:
        _recipient(c, command)


def _no_sender(c: Conversation) -> None:
    """No valid MAIL before: inside a pipelined group that is no fault of the client. # RFC 2920 3.1"""
    note_rcpt_rejection(c, "503 sender not yet given")
    if c.advertised.pipelining and c.txn.last_was_rejected_mail:
        c.say("503 sender not yet given")
        c.txn.was_rejected_mail = True
    else:
        c.protocol_error("protocol", 503, "", "sender not yet given")
        c.txn.was_rcpt = False


def _syntax(c: Conversation, data: str, text: str) -> None:
    """A malformed RCPT; the reply is remembered for DATA."""
    note_rcpt_rejection(c, f"501 {data + ': ' if data else ''}{text}")
    c.protocol_error("syntax", 501, data, text)


def _recipient(c: Conversation, command: Command) -> None:
    txn = c.txn
    known = DSN_PARAMETERS if c.esmtp and c.advertised.dsn else NO_PARAMETERS
    rest, found = split_parameters(command.argument, known)
    flags, orcpt, error = read_rcpt(found)
    if error:
        txn.rcpt_fail += 1
        _syntax(c, "", error)
        return
    rest = rewrite_at_smtp_time(c, rest, recipient=True)
    extracted = extract_address(rest, AddressRules.of(c.main, utf8=c.message.smtputf8), allow_null=False)
    if extracted.error:
        txn.rcpt_fail += 1
        _syntax(c, rest, extracted.error)
        return
    address = extracted.address
    if not extracted.domain:
        qualified = qualify_recipient(c, rest, address)
        if qualified is None:
            return
        address = qualified
    if _too_many(c):
        return
    slow_down(c, "rcpt", txn.rcpt_count)
    _policy(c, Recipient(address, dsn_flags=flags, orcpt=orcpt), rest)


def qualify_recipient(c: Conversation, given: str, address: str) -> str | None:
    """Add `qualify_recipient` where that is allowed; `postmaster` always is. # RFC 5321 4.5.1"""
    if c.unqualified_recipient or address.lower() == "postmaster":
        return concat([address, "@", c.main.qualify_recipient or ""])
    if c.txn.was_rcpt:
        c.txn.rcpt_fail += 1
    text = f"501 {given}: recipient address must contain a domain"
    note_rcpt_rejection(c, text)
    c.say(text)
    if not c.txn.was_rcpt:
        return None  # VRFY
    host = host_and_ident(c.session, c.log)
    c.log.write(
        f"unqualified recipient rejected: <{address}> {host}{c.session.host_lookup_msg}",
        selector="smtp_syntax_error",
        reject=True,
    )
    return None


def _too_many(c: Conversation) -> bool:
    """`recipients_max`, `recipients_max_reject`. Exim spec 14"""
    limit = expanded_integer(c.main.recipients_max, c.scope, "recipients_max")
    if limit <= 0 or len(c.message.recipients) < limit:
        return False
    txn = c.txn
    host = host_and_ident(c.session, c.log)
    if c.main.recipients_max_reject:
        txn.rcpt_fail += 1
        text, line = "552 too many recipients", "message rejected"
    else:
        txn.rcpt_defer += 1
        text, line = "452 too many recipients", "excess temporarily rejected"
    note_rcpt_rejection(c, text)
    c.say(text)
    if not txn.too_many:
        c.log.write(f"too many recipients: {line}: sender=<{c.message.sender_address}> {host}", reject=True)
    txn.too_many = True
    return True


def delivery_for(address: str, scope: Scope) -> Delivery:
    """The address as ACLs see it: local part lower-cased, with its original kept, after the percent hack. Exim spec 14,
    percent_hack_domains"""
    delivery = new_delivery(address)
    if scope.services.config.main.percent_hack_domains and apply_percent_hack(delivery, scope):
        return new_delivery(delivery.address)
    return delivery


def _policy(c: Conversation, recipient: Recipient, given: str) -> None:
    txn = c.txn
    scope = c.scope.child(delivery=delivery_for(recipient.address, c.scope))
    if txn.discard_all:
        verdict = Verdict(Outcome.DISCARD)
    else:
        verdict = c.run_acl("rcpt", scope)
    if verdict.outcome is Outcome.ACCEPT and c.message.effects.cutthrough:
        refused = _onto_the_next_host(c, scope)
        if refused is not None:
            verdict = refused
    if verdict.outcome is Outcome.ACCEPT:
        user_message(c, "rcpt", verdict.user_message, "Accepted")
        if scope.delivery is not None and "bmi_run" in scope.delivery.extra:
            recipient.bmi_run = True
        c.message.recipients.append(recipient)
        c.core.succeeded("RCPT")
    elif verdict.outcome is Outcome.DISCARD:
        _discard(c, given, verdict)
    else:
        if verdict.outcome in (Outcome.DENY, Outcome.DROP):
            txn.rcpt_fail += 1
        else:
            txn.rcpt_defer += 1
        refuse(c, "rcpt", verdict, f"RCPT {given}")


def _onto_the_next_host(c: Conversation, scope: Scope) -> Verdict | None:
    """Cutthrough delivery: the host that will take the message must take the recipient. Exim spec 44.21"""
    from angaros.delivery.cutthrough import after_rcpt

    return after_rcpt(scope)


def _discard(c: Conversation, given: str, verdict: Verdict) -> None:
    """Accepted and thrown away. Exim spec 44.16"""
    txn = c.txn
    user_message(c, "rcpt", verdict.user_message, "Accepted")
    txn.rcpt_fail += 1
    if not txn.discard_all:
        txn.discarded = "RCPT"
        txn.discard_log = verdict.log_message
    c.core.succeeded("RCPT")
    by = "MAIL" if txn.discard_all else "RCPT"
    log_text = txn.discard_log if txn.discard_all else verdict.log_message
    host = host_and_ident(c.session, c.log)
    sender = c.message.sender_address
    tail = f": {log_text}" if log_text else ""
    text = concat([f"{host} F=<{sender}> RCPT {given}: discarded by {by} ACL", tail])
    write_rejection(c, verdict, text)
