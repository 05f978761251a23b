"""TLS sessions kept for resumption by a later connection (Exim spec 43.13, tls_resumption_hosts).

Law: a session is resumed only where everything that its certificate was judged by is the same: the key covers address, port, SNI,
names, TLSA records and all settings. A resumed session shows no certificate to judge; what was found then is kept beside it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from angaros.model.errors import ExpansionError
from angaros.net.tls import Resumable

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Host
    from angaros.model.scope import Scope
    from angaros.net.tls import TlsContext
    from angaros.transports.smtp_session import SmtpSession

DATABASE = "tls"


def server_name(instance: DriverInstance[Any], ehlo: str, scope: Scope) -> str:
    """`host_name_extract`: which server behind a load balancer this is; "" when it does not say. Exim spec 30.4"""
    text = instance.options.host_name_extract
    if not text or not ehlo:
        return ""
    inner = scope.child(scope.delivery)
    inner.local["item"] = ehlo
    try:
        return inner.expand(text).strip()
    except ExpansionError:
        return ""


def key_of(context: TlsContext, host: Host, port: int, sni: str, name: str) -> str:
    """Where the session of such a connection is kept."""
    hooks = context.hooks
    parts = (host.address, port, sni, name, tuple(hooks.check_names), tuple(hooks.tlsa), context.settings)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def offer(context: TlsContext, key: str, scope: Scope) -> None:
    """Give the context a session to resume, if there is one."""
    record = scope.services.hints.get(DATABASE, key)
    try:
        if record is not None:
            context.hooks.resumable = Resumable(bytes.fromhex(record["session"]), int(record["ocsp"]), bool(record["verified"]))
    except (KeyError, ValueError):
        scope.services.hints.delete(DATABASE, key)


def keep(session: SmtpSession, scope: Scope) -> None:
    """Keep what a later connection needs."""
    if not session.resume_key or session.tls is None:
        return
    engine = session.stream.tls_engine()  # type: ignore[attr-defined]
    data = engine.session() if engine is not None else b""
    if data:
        verified = session.tls.certificate_verified
        record = {"session": data.hex(), "ocsp": session.tls.ocsp, "verified": verified, "time_stamp": scope.services.clock.now()}
        scope.services.hints.put(DATABASE, session.resume_key, record)
