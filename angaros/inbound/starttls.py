"""STARTTLS, and TLS from the first octet. # RFC 3207; Exim spec 43

Law: what the client sent before the handshake is forgotten, on our side and on the stream's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from angaros.inbound.conversation import Advertised
from angaros.inbound.rejection import refuse
from angaros.logs.peer import host_and_ident
from angaros.model.events import raise_event
from angaros.model.outcome import Outcome
from angaros.model.tls import TlsFacts

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command

HANDSHAKE_TIMEOUT = 300.0
"""Seconds for the whole handshake, as Exim's smtp_receive_timeout default."""


def do_starttls(c: Conversation, command: Command) -> None:
    """Begin TLS."""
    if not c.advertised.tls:
        c.protocol_error("protocol", 503, "", "STARTTLS command used when not advertised")
        return
    if c.main.acl_smtp_starttls is not None:
        verdict = c.run_acl("starttls")
        if verdict.outcome is not Outcome.ACCEPT:
            refuse(c, "starttls", verdict, f"STARTTLS {command.argument}")
            return
    session = c.session
    session.sender_host_authenticated = ""
    session.authenticated_id = session.authenticated_sender = ""
    c.reset()
    c.core.drop_input()
    if not begin_tls(c, on_connect=False):
        return
    c.core.succeeded("STARTTLS")
    c.helo_seen = c.main.tls_remember_esmtp and c.helo_seen
    if not c.main.tls_remember_esmtp:
        session.sender_helo_name = ""
        c.esmtp = session.esmtp = False
    c.advertised = Advertised(pipelining=c.advertised.pipelining and c.main.tls_remember_esmtp)
    session.protocol = "esmtps" if c.esmtp else "smtps"
    c.first_used = c.first_used - {"HELO", "EHLO", "AUTH"}
    authenticate_by_certificate(c)


def begin_tls(c: Conversation, *, on_connect: bool, early_words: bytes = b"") -> bool:
    """The handshake; False (answered and logged) when it failed. `early_words` may go out before its end."""
    from angaros.net.tls import TlsError
    from angaros.net.tls_config import server_context

    try:
        context = server_context(c.scope, _certificate_event(c), early_words)
    except TlsError as error:
        _log_error(c, error)
        if not on_connect:
            c.say("454 TLS currently unavailable")
        return False
    if not on_connect:
        c.say("220 TLS go ahead")
        c.flush()
    c.core.drop_input()
    try:
        facts = c.stream.accept_tls(context, timeout=c.timeout() or HANDSHAKE_TIMEOUT)
    except (TlsError, TimeoutError, OSError) as error:
        c.session.tls = None
        _log_error(c, error)
        c.extra["tls_failed"] = True  # from here on only QUIT
        c.done = on_connect or getattr(error, "established", False)
        if not c.done:
            c.notquit("tls-failed", None)
        return False
    _log_problems(c, getattr(c.stream, "tls_engine", _no_engine)().problems)
    facts.on_connect = on_connect
    c.session.tls = facts
    return True


class _NoEngine:
    problems: tuple[str, ...] = ()


_no_engine = _NoEngine
"""For streams that have no TLS engine to ask (tests)."""


def _certificate_event(c: Conversation) -> Callable[[int, Any], str | None] | None:
    """Event tls:cert, for each certificate of the client's chain: a text refuses it. Exim spec 61"""
    action = c.main.event_action
    if not action:
        return None

    def tell(depth: int, certificate: Any) -> str | None:
        c.session.tls = TlsFacts(peer_certificate=pem_of(certificate))
        return raise_event(action, "tls:cert", str(depth), c.scope) or None

    from angaros.net.tls import pem_of

    return tell


def _log_problems(c: Conversation, problems: Iterable[str]) -> None:
    """What was wrong with the client's certificate."""
    for problem in problems:
        c.log.write(f"[{c.session.sender_host_address}] {problem}")


def _log_error(c: Conversation, error: Exception) -> None:
    """`TLS error on connection from ... (SSL_accept): ...`."""
    _log_problems(c, getattr(error, "problems", ()))
    for note in getattr(error, "notes", ()):
        c.log.write(note)
    host = host_and_ident(c.session, c.log, flag=False)
    text = str(error)
    if isinstance(error, TimeoutError):
        text = "(SSL_accept): timed out"
    elif isinstance(error, OSError):
        text = f"(SSL_accept): {error.strerror or error}"
    raise_event(c.main.event_action, "tls:fail:connect", text, c.scope)
    c.log.write(f"TLS error on connection from {host} {text}")


def authenticate_by_certificate(c: Conversation) -> None:
    """The `tls` driver authenticates by the client's certificate alone, without AUTH. Exim spec 42"""
    tls = c.session.tls
    if tls is None or not tls.certificate_verified:
        return
    instance = next((one for one in c.services.config.authenticators if one.driver == "tls"), None)
    if instance is None or not _auth_acl_accepts(c):
        return
    from angaros.auths.tls import check
    from angaros.inbound.auth import succeed
    from angaros.logs.text import printing

    scope = c.scope.child()
    if check(instance, scope).status == "ok":
        text = instance.options.server_set_id
        succeed(c, instance, printing(scope.expand(text), top_bit=True) if text else "")


def _auth_acl_accepts(c: Conversation) -> bool:
    """What the ACL for AUTH says; its texts reach nobody, as the client did not ask."""
    if c.main.acl_smtp_auth is None:
        return True
    return c.run_acl("auth").outcome is Outcome.ACCEPT
