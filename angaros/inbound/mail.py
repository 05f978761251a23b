"""MAIL FROM. # RFC 5321 4.1.1.2; Exim spec 14, 44.9"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.inbound.extensions import cap_priority
from angaros.inbound.limits import expanded_integer, slow_down, space_for
from angaros.inbound.parameters import MAX_SIZE, take_mail_parameters
from angaros.inbound.rejection import refuse, user_message
from angaros.logs.peer import host_and_ident
from angaros.mime.addresses import AddressRules, extract_address
from angaros.model.errors import ExpansionError
from angaros.model.outcome import Outcome
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command

SPACE_MARGIN = 5000
"""Octets beyond the declared size that the spool must have room for."""


def do_mail(c: Conversation, command: Command) -> None:
    """Begin a transaction."""
    c.mail_count += 1
    if not c.helo_seen and (c.helo_required or _requires_helo(c)):
        host = host_and_ident(c.session, c.log, flag=False)
        c.log.write(f"rejected MAIL from {host}: no HELO/EHLO given", reject=True)
        c.protocol_error("protocol", 503, "", "HELO or EHLO required")
    elif c.txn.sender_given:
        c.protocol_error("protocol", 503, "", "sender already given")
    elif not c.core.in_order("MAIL"):
        c.say("503 only BDAT permissible after non-LAST BDAT")
    elif not command.argument:
        c.protocol_error("protocol", 501, "", "MAIL must have an address operand")
    elif _too_many(c):
        c.say("421 too many messages in this connection")
        host = host_and_ident(c.session, c.log)
        c.log.write(f"rejected MAIL command {host}: too many messages in one connection", reject=True)
    else:
        _accept(c, command)


def _requires_helo(c: Conversation) -> bool:
    return bool(c.session.sender_host_address) and c.main.hosts_require_helo is not None and c.host_in("hosts_require_helo")


def _too_many(c: Conversation) -> bool:
    limit = expanded_integer(c.main.smtp_accept_max_per_connection, c.scope, "smtp_accept_max_per_connection")
    return 0 < limit < c.mail_count


def _accept(c: Conversation, command: Command) -> None:
    c.begin_message()
    c.txn.was_rejected_mail = True
    message = c.message
    rest, error = take_mail_parameters(c, command.argument)
    if error:
        c.protocol_error("syntax", 501, "", error)
        return
    rest = rewrite_at_smtp_time(c, rest, recipient=False)
    slow_down(c, "mail", c.mail_count)
    found = extract_address(rest, AddressRules.of(c.main, utf8=message.smtputf8))
    if found.error:
        c.protocol_error("syntax", 501, rest, found.error)
        return
    message.sender_address = message.raw_sender = found.address
    if message.smtputf8 and not c.session.protocol.startswith("utf8"):
        c.session.protocol = f"utf8{c.session.protocol}"
    if message.body_size_declared:
        message.message_size = message.body_size_declared
    if _too_big(c) or _no_space(c) or not _qualified(c, rest, found.domain):
        message.sender_address = message.raw_sender = ""
        return
    _submitter(c)
    _policy(c, rest, cap_priority(c) if message.extensions is not None else "")


def rewrite_at_smtp_time(c: Conversation, text: str, *, recipient: bool) -> str:
    """Rewriting rules with the S flag. Exim spec 31.9"""
    if not any("S" in rule.flags for rule in c.services.config.rewrite_rules):
        return text
    from angaros.rewriting import rewrite_smtp

    return rewrite_smtp(text, c.scope, recipient=recipient)


def _too_big(c: Conversation) -> bool:
    """Whether the declared size is beyond the limit. # RFC 1870 6.1"""
    size, limit = c.message.body_size_declared, c.message_limit
    if limit <= 0 or size <= limit:
        return False
    c.say("552 Message size exceeds maximum permitted")
    host = host_and_ident(c.session, c.log)
    relation = ">=" if size == MAX_SIZE else "="
    c.log.write(
        f"rejected MAIL FROM:<{c.message.sender_address}> {host}: message too big: size{relation}{size} max={limit}",
        selector="size_reject",
        reject=True,
    )
    return True


def _no_space(c: Conversation) -> bool:
    size = c.message.body_size_declared if c.main.smtp_check_spool_space else 0
    if space_for(c.services, SPACE_MARGIN + size if size > 0 else SPACE_MARGIN):
        return False
    c.say("452 Space shortage, please try later")
    return True


def _qualified(c: Conversation, given: str, domain: int) -> bool:
    """Add `qualify_domain` to a bare local part where that is allowed. Exim spec 48.3"""
    message = c.message
    if domain or not message.sender_address:
        return True
    if c.unqualified_sender:
        message.sender_address = concat([message.sender_address, "@", c.main.qualify_domain or ""])
        message.raw_sender = message.sender_address
        return True
    host = host_and_ident(c.session, c.log)
    c.say(f"501 {given}: sender address must contain a domain")
    c.log.write(
        f"unqualified sender rejected: <{message.sender_address}> {host}{_host_lookup_note(c)}",
        selector="smtp_syntax_error",
        reject=True,
    )
    return False


def _host_lookup_note(c: Conversation) -> str:
    return c.session.host_lookup_msg


def set_own_sender(c: Conversation) -> None:
    """An untrusted local caller is the sender of the message, whatever MAIL said; policy for MAIL and RCPT sees what it said.
    Exim spec 5.2, 14 (untrusted_set_sender)"""
    if not c.options.local or c.options.host_checking:
        return
    from angaros.inbound.sender import may_set_sender, own_address

    message, submission = c.message, c.options.submission
    if may_set_sender(message.sender_address, submission, c.scope, smtp=True):
        message.sender_set_untrusted = not submission.caller.trusted and bool(message.sender_address)
    else:
        message.sender_address = message.raw_sender = own_address(c.services, submission)


def _submitter(c: Conversation) -> None:
    """AUTH=: believed only of an authenticated client, and when policy agrees. # RFC 4954 5; Exim spec 33.2"""
    c.session.authenticated_sender = ""
    value = c.txn.extra.get("auth")
    if value is None:
        return
    if value == "<>":
        return
    reason = _why_not_submitter(c, value)
    if not reason:
        c.session.authenticated_sender = value
        return
    c.session.authenticated_sender = ""
    c.log.write(concat([f"ignoring AUTH={value} from {host_and_ident(c.session, c.log)} ({reason})"]))


def _why_not_submitter(c: Conversation, value: str) -> str:
    if c.main.acl_smtp_mailauth is None:
        if not c.session.sender_host_authenticated:
            return "client not authenticated"
    else:
        c.session.authenticated_sender = value
        verdict = c.run_acl("mailauth")
        if verdict.outcome is not Outcome.ACCEPT:
            return "rejected by ACL" if verdict.outcome is Outcome.DENY else f"{verdict.log_message or 'rejected by ACL'}"
    instance = c.extra.get("authenticator")
    condition = instance.options.server_mail_auth_condition if instance is not None else None
    if condition is None:
        return ""
    c.session.authenticated_sender = value
    try:
        text = c.scope.expand(condition)
    except ExpansionError:
        text = ""
    from angaros.auths.base import is_true

    if is_true(text):
        return ""
    return f'server_mail_auth_condition failed: authenticated ID="{c.session.authenticated_id}"'


def _policy(c: Conversation, given: str, notice: str) -> None:
    message = c.message
    verdict = c.run_acl("mail")
    if verdict.outcome not in (Outcome.ACCEPT, Outcome.DISCARD):
        refuse(c, "mail", verdict, f"MAIL {given}")
        message.sender_address = message.raw_sender = ""
        return
    c.txn.sender_given = True
    c.txn.was_rejected_mail = False
    c.core.succeeded("MAIL")
    if verdict.outcome is Outcome.DISCARD:
        c.txn.discard_all = True
        c.txn.discarded = "MAIL"
        c.txn.discard_log = verdict.log_message
    suffix = ", PRDR Requested" if c.txn.prdr else ""
    user_message(c, "mail", verdict.user_message + suffix if verdict.user_message else "", (notice or "OK") + suffix)
