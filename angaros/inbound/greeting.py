"""The beginning of a session: who calls, may it talk to us at all, and the banner. Exim spec 14, 44.6, 51.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.inbound.hello import protocol_name
from angaros.inbound.limits import connection_refusal, load_average, message_size_limit
from angaros.inbound.rejection import refuse, user_message, write_rejection
from angaros.inbound.report import SHOWN_GREETING_INPUT, connection_info, connection_tag, new_connection, printable
from angaros.logs.peer import host_and_ident
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.outcome import Outcome
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.model.outcome import Verdict

EARLY_ANSWER = 0.5
"""Seconds within which a client that has got the banner early is expected to go on. There is nothing to do but wait anyway."""


def start(c: Conversation) -> None:
    """All that happens before the first command."""
    session = c.session
    session.connect_time = c.services.clock.now()
    if not session.originator_login:
        _we_are_the_originator(c)
    session.smtp = True
    c.connection_id = make_connection_id(c)
    log_connection(c)
    session.active_hostname = active_hostname(c)
    session.protocol = protocol_name(c)
    if c.done or not _limits_are_fine(c):
        return
    if not session.sender_host_address:
        c.unqualified_sender = c.unqualified_recipient = not c.options.submission.unqualified
        c.message.allow_unqualified_sender = c.message.allow_unqualified_recipient = c.unqualified_sender
    elif not _peer_is_welcome(c):
        return
    if c.options.batched:
        session.batched = True
        return
    if session.sender_host_address:
        if c.services.harness is not None and not c.options.local:
            c.services.waiter.sleep(c.services.harness.before_greeting)
        if not _proxy(c):
            return
        c.extra["pipe_connect"] = c.host_in("pipelining_connect_advertise_hosts")
    _connect_acl_and_banner(c)


def _we_are_the_originator(c: Conversation) -> None:
    """For a message from the network the spool names the Exim user."""
    config = c.services.config
    name = c.services.extra.get("exim_login")
    if name is None:
        from pwd import getpwuid

        try:
            name = getpwuid(config.exim_uid).pw_name
        except KeyError:
            name = str(config.exim_uid)
        c.services.extra["exim_login"] = name
    c.session.originator_login = name
    c.session.originator_uid, c.session.originator_gid = config.exim_uid, config.exim_gid


def make_connection_id(c: Conversation) -> str:
    """`$connection_id`, and Ci= with +connection_id: unique among our connections."""
    import os

    count = c.services.extra["connections_seen"] = c.services.extra.get("connections_seen", 0) + 1
    return f"{os.getpid()}{count:06d}" if not c.options.local else str(os.getpid())


def log_connection(c: Conversation) -> None:
    """`SMTP connection from ...`, unless the host is in `hosts_connection_nolog`."""
    session = c.session
    nolog = c.host_in("hosts_connection_nolog")
    c.logged_connection = not nolog
    if nolog or c.options.batched:
        return
    if session.sender_host_address and not c.options.local and not c.options.host_checking and not c.options.inetd:
        text = f"{new_connection(c)} (TCP/IP connection count = {c.options.connection_count})"
    else:
        text = connection_info(c)
    c.log.write(text, selector="smtp_connection")


def active_hostname(c: Conversation) -> str:
    """`smtp_active_hostname`, else the primary host name. Exim spec 14"""
    main = c.main
    primary = main.primary_hostname or ""
    if main.smtp_active_hostname is None:
        return primary
    try:
        return c.scope.expand(main.smtp_active_hostname) or primary
    except ForcedFailure:
        return primary
    except ExpansionError as error:
        c.log.write(f'failed to expand "{main.smtp_active_hostname}" (smtp_active_hostname): {error}', panic=True)
        c.say("421 Local configuration error - please try later.")
        c.done = True
        return primary


def _limits_are_fine(c: Conversation) -> bool:
    """Daemon limits, and a usable `message_size_limit`."""
    if c.main.queue_only_load >= 0 or (c.main.smtp_load_reserve or -1) >= 0:
        c.extra["load"] = load_average(c.services)
    if c.options.connection_count:
        refusal = connection_refusal(c)
        if refusal is not None:
            c.say(f"{refusal.code} {refusal.text}")
            c.done = True
            return False
    c.message_limit = message_size_limit(c.scope)
    if c.message_limit < 0:
        c.message_limit = 0
        c.say("421 Temporary local problem - please try later")
        return False
    return True


def _peer_is_welcome(c: Conversation) -> bool:
    """Reverse lookup, `host_reject_connection`, and the host lists that hold for the session, in Exim's order."""
    if c.host_in("host_lookup") and not c.session.sender_host_name:
        look_up_name(c)
    if c.host_in("host_reject_connection"):
        host = host_and_ident(c.session, c.log, flag=False)
        c.log.write(f"refused connection from {host} (host_reject_connection)", selector="connection_reject", reject=True)
        if c.options.tls_on_connect:
            c.stream.reset()
        else:
            c.say("554 SMTP service not available")
        c.done = True
        return False
    c.unqualified_sender = c.host_in("sender_unqualified_hosts")
    c.unqualified_recipient = c.host_in("recipient_unqualified_hosts")
    c.message.allow_unqualified_sender = c.unqualified_sender
    c.message.allow_unqualified_recipient = c.unqualified_recipient
    c.helo_required = c.host_in("helo_verify_hosts")
    if not c.helo_required:
        c.helo_verify = c.host_in("helo_try_verify_hosts")
    c.accept_junk_helo = c.host_in("helo_accept_junk_hosts")
    return True


def look_up_name(c: Conversation) -> None:
    """The peer's name, through NET."""
    look_up = c.services.hooks.look_up_host_name
    if look_up is not None:
        look_up(c.scope)


def _tls_now(c: Conversation, early_banner: bytes) -> bool:
    """TLS from the first octet. # RFC 8314 3.3"""
    from angaros.inbound.starttls import authenticate_by_certificate, begin_tls

    if not begin_tls(c, on_connect=True, early_words=early_banner):
        c.done = True
        return False
    c.session.protocol = protocol_name(c)
    authenticate_by_certificate(c)
    return True


def _proxy(c: Conversation) -> bool:
    """The Proxy Protocol, when the host must speak it. Exim spec 51.1; False when the session is over."""
    if not c.host_in("hosts_proxy"):
        return True
    from angaros.inbound.proxied import read_proxy_header

    if not read_proxy_header(c):
        c.proxy_failed = True
    elif c.session.proxy_session:
        look_up_name(c)
    return True


def _connect_acl_and_banner(c: Conversation) -> None:
    text = ""
    if c.main.acl_smtp_connect is not None:
        verdict = c.run_acl("connect")
        if verdict.outcome is not Outcome.ACCEPT:
            if c.options.tls_on_connect:
                _drop_before_tls(c, verdict)
            else:
                refuse(c, "connect", verdict, 'connection in "connect" ACL')
            c.done = True
            return
        text = verdict.user_message
    if c.session.sender_host_address and not c.options.host_checking:
        _ident(c)
    if not text:
        banner = c.main.smtp_banner
        try:
            text = c.scope.expand(banner)
        except ExpansionError as error:
            forced = isinstance(error, ForcedFailure)
            c.log.write(f'Expansion of "{banner}" (smtp_banner) failed: {error}', panic=not forced)
            if c.options.tls_on_connect:
                c.stream.reset()
            c.done = True
            return
    if c.options.tls_on_connect:
        _banner_over_tls(c, text)
    elif not _talks_first(c):
        user_message(c, "connect", text)


def _banner_over_tls(c: Conversation, text: str) -> None:
    """After the handshake; with `tls_early_banner_hosts` together with our part of it, where the client's version allows that."""
    early = b""
    if c.host_in("tls_early_banner_hosts"):
        user_message(c, "connect", text)
        early = c.take_reply()
    if not _tls_now(c, early):
        return
    engine = c.stream.tls_engine() if early else None  # type: ignore[attr-defined]
    if engine is not None and engine.spoke_early:
        if c.has_input(EARLY_ANSWER):
            c.log.write(f"{connection_tag(c)}SMTP peer appears to have seen our banner")
        return
    user_message(c, "connect", text)


def _drop_before_tls(c: Conversation, verdict: Verdict) -> None:
    """The connect ACL refuses a client that waits for TLS: it could not read a reply, and shall not see a mere end of input."""
    text = verdict.log_message or verdict.user_message
    host = host_and_ident(c.session, c.log)
    write_rejection(c, verdict, concat([f"{host} dropped by 'connect' ACL", f": {text}" if text else ""]))
    c.stream.reset()


def _ident(c: Conversation) -> None:
    """RFC 1413, when `rfc1413_query_timeout` is not zero."""
    if c.main.rfc1413_query_timeout <= 0 or c.options.local:
        return
    if c.host_in("rfc1413_hosts"):
        from angaros.net.ident import query_ident

        query_ident(c.scope)


def _talks_first(c: Conversation) -> bool:
    """Whether the peer sent something before the greeting: refused. Exim spec 14, smtp_enforce_sync"""
    if not c.checks_sync() or c.options.tls_on_connect or not c.has_input():
        return False
    early = c.core.peek(SHOWN_GREETING_INPUT)
    if c.extra.get("pipe_connect"):
        return False
    c.log.write(
        "SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from "
        f'{host_and_ident(c.session, c.log)} input="{printable(early.decode("latin-1"))}"',
        reject=True,
    )
    c.notquit("synchronization-error", "554", "SMTP synchronization error")
    c.done = True
    return True
