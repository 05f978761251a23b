"""HELO and EHLO: the client's name, and what we offer. # RFC 5321 4.1.1.1; Exim spec 14, 44.8"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from angaros.inbound.conversation import Advertised
from angaros.inbound.extensions import (
    offer_deliverby,
    offer_enhanced_status_codes,
    offer_futurerelease,
    offer_mt_priority,
    offer_requiretls,
)
from angaros.inbound.limits import expanded_integer, message_size_limit
from angaros.inbound.rejection import refuse
from angaros.inbound.report import printable
from angaros.logs.peer import host_and_ident
from angaros.model.errors import ExpansionError, ListDefer
from angaros.model.outcome import Outcome
from angaros.model.text import taint
from angaros.smtp.grammar import helo_is_valid
from angaros.smtp.server import Stage

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command


def do_helo(c: Conversation, command: Command) -> None:
    """HELO, EHLO."""
    verb = command.verb
    before = c.esmtp
    c.esmtp = c.session.esmtp = verb == "EHLO"
    greeting = _judged(c, verb, command.argument)
    if greeting is None:
        c.esmtp = c.session.esmtp = before  # a refused one changes nothing. # RFC 5321 4.1.1.1
        return
    if c.core.stage is Stage.CHUNKS or "only_rset" in c.extra:
        from angaros.inbound.chunks import start_anew

        start_anew(c)
    c.reset()
    c.core.succeeded(verb)
    c.helo_seen = True
    c.session.protocol = protocol_name(c)
    c.advertised = Advertised()
    _reply(c, greeting, capabilities(c) if c.esmtp else [])


def _judged(c: Conversation, verb: str, name: str) -> str | None:
    """The greeting for a name that syntax, `helo_verify_hosts` and the ACL let pass; None when it was refused (and answered)."""
    if not c.accept_junk_helo and not helo_is_valid(name, c.main.helo_allow_chars or ""):
        _invalid(c, verb, name)
        return None
    session = c.session
    session.sender_helo_name = taint(name)
    session.host_name_unshown = False
    if not _verified(c, verb):
        session.sender_helo_name = ""
        return None
    verdict = c.run_acl("helo") if c.main.acl_smtp_helo is not None else None
    if verdict is not None and verdict.outcome is not Outcome.ACCEPT:
        refuse(c, "helo", verdict, f"EHLO or HELO {name}")
        session.sender_helo_name = ""
        return None
    return (verdict.user_message if verdict is not None else "") or _hello(c)


def _reply(c: Conversation, greeting: str, keywords: list[str]) -> None:
    """All in one reply; the last line is the one with a blank behind the code."""
    from angaros.acl.messages import response

    answer = response("helo", Outcome.ACCEPT, greeting, "")
    lines = answer.text.split("\n") + keywords
    last = len(lines) - 1
    c.raw("".join(f"{answer.code}{' ' if i == last else '-'}{line}\r\n" for i, line in enumerate(lines)))


def _invalid(c: Conversation, verb: str, name: str) -> None:
    c.say(f"501 Syntactically invalid {verb} argument(s)")
    host = host_and_ident(c.session, c.log, flag=False)
    shown = printable(name) if name else "(no argument given)"
    c.log.write(f"rejected {verb} from {host}: syntactically invalid argument(s): {shown}", reject=True)
    c.session.synprot_errors += 1
    if c.session.synprot_errors > c.main.smtp_max_synprot_errors:
        from angaros.inbound.report import history

        assert c.command is not None
        c.log.write(
            f"SMTP call from {host} dropped: too many syntax or protocol errors "
            f'(last command was "{printable(c.command.line)}",  C={history(c.session)})',
            reject=True,
        )
        c.exit_status = 1
        c.done = True


def _verified(c: Conversation, verb: str) -> bool:
    """Look up the name when the HELO name asks for it (`helo_lookup_domains`), and `helo_verify_hosts`."""
    session = c.session
    if not session.sender_host_address:
        return True
    if not session.sender_host_name:
        try:
            wanted = c.services.lists.match_domain(
                session.sender_helo_name, c.main.helo_lookup_domains, c.scope, option="helo_lookup_domains"
            )
        except ListDefer:
            wanted = None
        if wanted:
            look_up = c.services.hooks.look_up_host_name
            if look_up is not None:
                look_up(c.scope)
    session.helo_verified = session.helo_verify_failed = False
    if not (c.helo_required or c.helo_verify):
        return True
    from angaros.net.peer import verify_helo

    if verify_helo(c.scope):
        return True
    if not c.helo_required:
        c.scope.trace("receive", "HELO verification failed but host is in helo_try_verify_hosts")
        return True
    deferred = session.host_lookup_deferred
    c.say(f"{451 if deferred else 550} {verb} argument does not match calling host")
    host = host_and_ident(session, c.log, flag=False)
    c.log.write(
        f'{"temporarily " if deferred else ""}rejected "{verb} {session.sender_helo_name}" from {host}',
        reject=True,
    )
    return False


def _hello(c: Conversation) -> str:
    """`myhost Hello [ident at ]client [address]`."""
    session = c.session
    ident = f"{session.sender_ident} at " if session.sender_ident else ""
    text = f"{session.active_hostname} Hello {ident}{session.sender_host_name or session.sender_helo_name}"
    return f"{text} [{session.sender_host_address}]" if session.sender_host_address else text


def protocol_name(c: Conversation) -> str:
    """`$received_protocol`: smtp, esmtps, local-esmtp, ... # RFC 3848"""
    session = c.session
    local = "" if session.sender_host_address else "local-"
    if c.options.batched:
        return "local-bsmtp" if local else "bsmtp"
    extended = "e" if c.esmtp else ""
    auth = "a" if c.esmtp and session.sender_host_authenticated else ""
    if session.tls is not None and session.tls.on_connect and c.log.selected("tls_on_connect"):
        return f"{local}{extended}ssmtp{auth}"
    tls = "" if session.tls is None else "s"
    return f"{local}{extended}smtp{tls}{auth}"


# --- What EHLO offers ----------------------------------------------------------------------------------------------------


def _size(c: Conversation) -> str:
    limit = message_size_limit(c.scope)
    c.message_limit = max(limit, 0)
    return f"SIZE {limit}" if limit > 0 else "SIZE"


def _limits(c: Conversation) -> str:
    """# RFC 9422"""
    if not c.host_in("limits_advertise_hosts"):
        return ""
    mails = expanded_integer(c.main.smtp_accept_max_per_connection, c.scope, "smtp_accept_max_per_connection")
    rcpts = expanded_integer(c.main.recipients_max, c.scope, "recipients_max")
    words = ([f"MAILMAX={mails}"] if mails > 0 else []) + ([f"RCPTMAX={rcpts}"] if rcpts > 0 else [])
    c.advertised.limits = bool(words)
    return f"LIMITS {' '.join(words)}" if words else ""


def _eight_bit(c: Conversation) -> str:
    return "8BITMIME" if c.main.accept_8bitmime else ""


def _dsn(c: Conversation) -> str:
    c.advertised.dsn = c.host_in("dsn_advertise_hosts")
    return "DSN" if c.advertised.dsn else ""


def _atrn(c: Conversation) -> str:
    """When the option is something for this session. # RFC 2645 5"""
    text = c.main.acl_smtp_atrn
    try:
        c.advertised.atrn = bool(text and c.scope.expand(text).strip())
    except ExpansionError as error:
        c.log.write(f'failed to expand "{text}" (acl_smtp_atrn): {error}', panic=True)
    return "ATRN" if c.advertised.atrn else ""


def _etrn(c: Conversation) -> str:
    return "ETRN" if c.main.acl_smtp_etrn is not None else ""


def _vrfy(c: Conversation) -> str:
    return "VRFY" if c.main.acl_smtp_vrfy is not None else ""


def _expn(c: Conversation) -> str:
    return "EXPN" if c.main.acl_smtp_expn is not None else ""


def _pipelining(c: Conversation) -> str:
    c.advertised.pipelining = not c.session.effects.no_pipelining and c.host_in("pipelining_advertise_hosts")
    c.session.pipelining = c.advertised.pipelining
    return "PIPELINING" if c.advertised.pipelining else ""


def _pipe_connect(c: Conversation) -> str:
    if not c.advertised.pipelining or not c.session.sender_host_address or c.options.local:
        return ""
    c.advertised.pipe_connect = c.host_in("pipelining_connect_advertise_hosts")
    return "PIPECONNECT" if c.advertised.pipe_connect else ""


def _auth(c: Conversation) -> str:
    from angaros.inbound.auth import advertised_mechanisms

    names = advertised_mechanisms(c)
    return f"AUTH {' '.join(names)}" if names else ""


def _chunking(c: Conversation) -> str:
    c.advertised.chunking = c.host_in("chunking_advertise_hosts")
    return "CHUNKING" if c.advertised.chunking else ""


def _starttls(c: Conversation) -> str:
    if c.session.tls is not None or c.main.tls_advertise_hosts is None:
        return ""
    c.advertised.tls = c.host_in("tls_advertise_hosts")
    return "STARTTLS" if c.advertised.tls else ""


def _xclient(c: Conversation) -> str:
    c.advertised.xclient = "xclient" in c.extra or (c.main.hosts_xclient is not None and c.host_in("hosts_xclient"))
    return "XCLIENT ADDR NAME PORT LOGIN DESTADDR DESTPORT" if c.advertised.xclient else ""


def _prdr(c: Conversation) -> str:
    c.advertised.prdr = c.main.prdr_enable
    return "PRDR" if c.advertised.prdr else ""


def _smtputf8(c: Conversation) -> str:
    harness = c.services.harness is not None
    if c.main.smtputf8_advertise_hosts is None or (harness and not c.main.is_set("smtputf8_advertise_hosts")):
        return ""
    c.advertised.smtputf8 = c.host_in("smtputf8_advertise_hosts")
    return "SMTPUTF8" if c.advertised.smtputf8 else ""


def _wellknown(c: Conversation) -> str:
    if c.main.wellknown_advertise_hosts is None:
        return ""
    c.advertised.wellknown = c.host_in("wellknown_advertise_hosts")
    return "WELLKNOWN" if c.advertised.wellknown else ""


# In this order; a new extension is one row.
CAPABILITIES: tuple[Callable[[Conversation], str], ...] = (
    _size, _limits, _eight_bit, _dsn, _atrn, _etrn, _vrfy, _expn, _pipelining, _pipe_connect, _auth, _chunking, _starttls,
    _xclient, _prdr, _smtputf8, _wellknown, offer_enhanced_status_codes, offer_futurerelease, offer_deliverby, offer_mt_priority,
    offer_requiretls,
)  # fmt: skip


def capabilities(c: Conversation) -> list[str]:
    """Keyword lines of the EHLO reply."""
    return [line for offer in CAPABILITIES if (line := offer(c))] + ["HELP"]
