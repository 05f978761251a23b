"""The facts of a session that does not come over the network: who calls, what a trusted caller claims. Exim spec 5.3 (-oM...)"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from angaros.model.session import Session
from angaros.model.text import taint
from angaros.smtp.grammar import is_ip_address

if TYPE_CHECKING:
    from angaros.inbound.options import Claims, Submission
    from angaros.model.interfaces import Services


def address_and_port(text: str) -> tuple[str, int]:
    """`1.2.3.4.1234`, `[1.2.3.4]:1234`, `::1.25` as address and port (0: none). Exim spec 5.3, -oMa"""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
        return canonical(address), int(port) if port.isdigit() else 0
    if is_ip_address(text):
        return canonical(text), 0
    address, dot, port = text.rpartition(".")
    if dot and port.isdigit() and is_ip_address(address):
        return canonical(address), int(port)
    return text, 0


def canonical(address: str) -> str:
    """An IPv6 address as the kernel would give it (no leading zeros, lower case); anything else as it is. # RFC 5952"""
    if ":" not in address:
        return address
    try:
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))
    except OSError:
        return address


def local_session(services: Services, submission: Submission, *, smtp: bool, believe: bool | None = None) -> Session:
    """A session for standard input. `believe`: whether the claims count (default: the caller is trusted)."""
    caller, claims = submission.caller, submission.claims
    main = services.config.main
    session = Session(
        smtp=smtp,
        sender_ident=caller.login,
        originator_login=caller.login,
        originator_uid=caller.uid,
        originator_gid=caller.gid,
        trusted_caller=caller.trusted,
        active_hostname=main.primary_hostname or "",
        protocol="local",
        authenticated_id=caller.login,
        authenticated_sender=f"{caller.login}@{main.qualify_domain or ''}",
        connect_time=services.clock.now(),
    )
    session.sender_host_unknown = True
    if caller.trusted if believe is None else believe:
        if claims.host_address is not None:
            session.authenticated_id = session.authenticated_sender = ""
        apply_claims(session, claims)
    return session


def apply_claims(session: Session, claims: Claims) -> None:
    """-oMa and its company. What they say is tainted, as what a client says."""
    if claims.host_address is not None:
        address, session.sender_host_port = address_and_port(claims.host_address)
        session.sender_host_address = taint(address)
        session.sender_host_unknown = False
    if claims.host_name is not None:
        session.sender_host_name = taint(claims.host_name)
    if claims.interface is not None:
        address, session.interface_port = address_and_port(claims.interface)
        session.interface_address = taint(address)
    if claims.ident is not None:
        session.sender_ident = taint(claims.ident)
    if claims.protocol is not None:
        session.protocol = taint(claims.protocol)
    if claims.host_authenticated is not None:
        session.sender_host_authenticated = taint(claims.host_authenticated)
    if claims.authenticated_id is not None:
        session.authenticated_id = taint(claims.authenticated_id)
    if claims.authenticated_sender is not None:
        session.authenticated_sender = taint(claims.authenticated_sender)
