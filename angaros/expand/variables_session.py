"""Variables about the connection: peer, our end, TLS, authentication, proxy."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from angaros.model.session import Session

if TYPE_CHECKING:
    from angaros.model.scope import Scope
    from angaros.model.tls import TlsFacts

NO_SESSION = Session()
"""What variables show where there is no connection. Never written to."""


def session_of(scope: Scope) -> Session:
    """The connection, or where the message came from."""
    if scope.session is not None:
        return scope.session
    return scope.message.session if scope.message is not None else NO_SESSION


def _text(attribute: str) -> Callable[[Scope], str]:
    read = attrgetter(attribute)

    def get(scope: Scope) -> str:
        value: str = read(scope.session or session_of(scope))
        return value

    return get


def _number(attribute: str) -> Callable[[Scope], str]:
    return lambda scope: str(getattr(session_of(scope), attribute))


def _flag(attribute: str) -> Callable[[Scope], str]:
    return lambda scope: "1" if getattr(session_of(scope), attribute) else "0"


def _yes_no(attribute: str) -> Callable[[Scope], str]:
    return lambda scope: "yes" if getattr(session_of(scope), attribute) else "no"


def look_up_name(scope: Scope) -> None:
    """Start the reverse lookup when something needs the name. # Exim spec 11.9 (sender_host_name)"""
    session = scope.session
    if session is None or session.sender_host_name or session.host_lookup_failed or not session.sender_host_address:
        return
    hook: Any = scope.services.hooks.look_up_host_name
    if hook is None:
        from angaros.net.peer import lookup_host_name as hook
    scope.depth += 1
    hook(scope)
    scope.depth -= 1


def sender_host_name(scope: Scope) -> str:
    """`$sender_host_name`: looked up when first wanted."""
    look_up_name(scope)
    return session_of(scope).sender_host_name


def sender_host_dnssec(scope: Scope) -> str:
    """`$sender_host_dnssec`."""
    look_up_name(scope)
    return "yes" if session_of(scope).sender_host_dnssec else "no"


def sender_fullhost(scope: Scope) -> str:
    """`$sender_fullhost`."""
    from angaros.logs.peer import sender_fullhost as show

    return show(session_of(scope), with_port=scope.services.log.selected("incoming_port"))


def sender_rcvhost(scope: Scope) -> str:
    """`$sender_rcvhost`."""
    from angaros.logs.peer import sender_rcvhost as show

    return show(session_of(scope), with_port=scope.services.log.selected("incoming_port"))


def sender_helo_verified(scope: Scope) -> str:
    """`$sender_helo_verified`: yes, no, or empty when it was not tried."""
    session = session_of(scope)
    return "yes" if session.helo_verified else "no" if session.helo_verify_failed else ""


def smtp_active_hostname(scope: Scope) -> str:
    """`$smtp_active_hostname`."""
    return session_of(scope).active_hostname or scope.services.config.main.primary_hostname or ""


def smtp_command_history(scope: Scope) -> str:
    """`$smtp_command_history`: the latest commands, newest last."""
    from angaros.model.text import concat

    history = session_of(scope).command_history
    return concat(history) if len(history) < 2 else concat([part for item in history for part in (item, ",")][:-1])


def _port(attribute: str) -> Callable[[Scope], str]:
    """A port of ours; -1 where there is none."""
    return lambda scope: str(getattr(session_of(scope), attribute) or -1)


def _tls(side: str, get: Callable[[TlsFacts], str], unset: str = "") -> Callable[[Scope], str]:
    def value(scope: Scope) -> str:
        facts = tls_facts(scope, side)
        return unset if facts is None else get(facts)

    return value


def tls_facts(scope: Scope, side: str) -> TlsFacts | None:
    """TLS of the incoming (`in`) or outgoing (`out`) connection; the latter is `services.extra`-free: a scope attribute of the
    transport, in `scope.host`'s place."""
    if side == "in":
        return session_of(scope).tls
    delivery = scope.delivery
    facts = delivery.extra.get("tls_out") if delivery is not None else None
    return facts if facts is not None else None


def _tls_table(side: str) -> dict[str, Callable[[Scope], str]]:
    prefix = f"tls_{side}_"
    found = {
        "bits": _tls(side, lambda f: str(f.bits), "0"),
        "certificate_verified": _tls(side, lambda f: "1" if f.certificate_verified else "0", "0"),
        "cipher": _tls(side, lambda f: f.cipher),
        "cipher_std": _tls(side, lambda f: f.cipher_std),
        "ocsp": _tls(side, lambda f: str(f.ocsp), "0"),
        "ourcert": _tls(side, lambda f: f.our_certificate.decode("latin-1")),
        "peercert": _tls(side, lambda f: f.peer_certificate.decode("latin-1")),
        "peerdn": _tls(side, lambda f: f.peer_dn),
        "resumption": _tls(side, lambda f: str(f.resumption), "0"),
        "sni": _tls(side, lambda f: f.sni),
        "ver": _tls(side, lambda f: f.version),
    }
    return {prefix + name: getter for name, getter in found.items()}


def _sts(attribute: str) -> Callable[[Scope], str]:
    """The MTA-STS policy that was asked for the host of a delivery; "" when none was."""

    def value(scope: Scope) -> str:
        found = scope.delivery.extra.get("mta_sts") if scope.delivery is not None else None
        return "" if found is None else str(getattr(found, attribute))

    return value


def tls_cipher(scope: Scope) -> str:
    """`$tls_cipher`: of the outgoing connection where there is one, else of the incoming."""
    facts = tls_facts(scope, "out") or tls_facts(scope, "in")
    return facts.cipher if facts is not None else ""


TABLE: dict[str, Callable[[Scope], str]] = {
    "authenticated_fail_id": _text("authenticated_fail_id"),
    "authenticated_id": _text("authenticated_id"),
    "authenticated_sender": _text("authenticated_sender"),
    "authentication_failed": _flag("authentication_failed"),
    "host_lookup_deferred": _flag("host_lookup_deferred"),
    "host_lookup_failed": _flag("host_lookup_failed"),
    "mta_sts_domain": _sts("domain"),
    "mta_sts_id": _sts("id"),
    "mta_sts_mode": _sts("mode"),
    "originator_gid": _number("originator_gid"),
    "originator_uid": _number("originator_uid"),
    "proxy_external_address": _text("proxy_external_address"),
    "proxy_external_port": _number("proxy_external_port"),
    "proxy_local_address": _text("proxy_local_address"),
    "proxy_local_port": _number("proxy_local_port"),
    "proxy_session": _yes_no("proxy_session"),
    "received_ip_address": _text("interface_address"),
    "received_port": _port("interface_port"),
    "received_protocol": _text("protocol"),
    "sender_fullhost": sender_fullhost,
    "sender_helo_dnssec": _yes_no("sender_helo_dnssec"),
    "sender_helo_name": _text("sender_helo_name"),
    "sender_helo_verified": sender_helo_verified,
    "sender_host_address": _text("sender_host_address"),
    "sender_host_authenticated": _text("sender_host_authenticated"),
    "sender_host_dnssec": sender_host_dnssec,
    "sender_host_name": sender_host_name,
    "sender_host_port": _number("sender_host_port"),
    "sender_ident": _text("sender_ident"),
    "sender_rcvhost": sender_rcvhost,
    "smtp_active_hostname": smtp_active_hostname,
    "smtp_command_history": smtp_command_history,
    "tls_cipher": tls_cipher,
    "tls_out_dane": _tls("out", lambda f: "yes" if f.dane else "no", "no"),
    "tls_out_tlsa_usage": _tls("out", lambda f: str(f.tlsa_usage), "0"),
    **_tls_table("in"),
    **_tls_table("out"),
}
