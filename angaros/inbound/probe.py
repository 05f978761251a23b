"""Scopes for the command line's probes (-be, -bt, -bv): a session and a message as the call claims them, nothing on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.inbound.options import Claims, Submission
from angaros.model.message import Message
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.text import taint

if TYPE_CHECKING:
    from angaros.inbound.receive import Reception
    from angaros.model.interfaces import Services

MAX_TEST_MESSAGE = 64 * 1024 * 1024
"""A test message larger than this is a mistake."""


def split_host_port(claim: str) -> tuple[str, int]:
    """`address`, `address.port` or `[address]:port` (Exim spec 5.3, -oMa)."""
    if claim.startswith("["):
        address, _, port = claim[1:].partition("]:")
        return address.rstrip("]"), int(port) if port.isdigit() else 0
    head, dot, port = claim.rpartition(".")
    if dot and port.isdigit() and (head.count(".") == 3 or ":" in head):
        return head, int(port)
    return claim, 0


def apply_claims(session: Session, claims: Claims) -> None:
    """What -oM... say of the sender's host. What the command line says is outside data."""
    if claims.host_address is not None:
        session.sender_host_address, session.sender_host_port = split_host_port(claims.host_address)
    if claims.host_name is not None:
        session.sender_host_name = taint(claims.host_name)
    if claims.interface is not None:
        session.interface_address, session.interface_port = split_host_port(claims.interface)
    if claims.ident is not None:
        session.sender_ident = taint(claims.ident)
    if claims.protocol is not None:
        session.protocol = claims.protocol
    if claims.authenticated_id is not None:
        session.authenticated_id = taint(claims.authenticated_id)
    if claims.authenticated_sender is not None:
        session.authenticated_sender = taint(claims.authenticated_sender)
    if claims.host_authenticated is not None:
        session.sender_host_authenticated = claims.host_authenticated


def probe_scope(services: Services, options: Submission) -> Scope:
    """A scope as for a message that this caller submits, without a message."""
    session = Session()
    caller = options.caller
    session.originator_login, session.originator_uid, session.originator_gid = caller.login, caller.uid, caller.gid
    session.trusted_caller = caller.trusted
    session.sender_ident = caller.login
    message = Message(session=session)
    if options.sender is None:
        session.authenticated_id = caller.login
        session.authenticated_sender = f"{caller.login}@{services.config.main.qualify_domain}"
    apply_claims(session, options.claims)
    if options.sender is not None and options.sender != "<>":
        message.sender_address = taint(options.sender.strip("<>"))
    elif options.sender is None:
        message.sender_address = f"{caller.login}@{services.config.main.qualify_domain}"
    return Scope(services, session, message)


def load_test_message(scope: Scope, path: str, options: Submission) -> Reception:
    """-bem: the message in a file, taken as a local submission would be; nothing of it reaches the spool. `abandon` the result
    when the message is no longer needed. Exim spec 5.3, -bem, -t"""
    from angaros.inbound.receive import How, Reception
    from angaros.inbound.recipients import Extraction

    message = scope.message
    assert message is not None

    def take_recipients(reception: Reception) -> None:
        if options.extract_recipients:
            Extraction(scope, set(), not options.unqualified).run(message)

    reception = Reception(scope, How(smtp=False, submission=options, dry_run=True, before_body=take_recipients))
    with open(path.encode("latin-1"), "rb") as file:
        reception.feed(file.read(MAX_TEST_MESSAGE))
    reception.end()
    if reception.received_header in message.headers:
        message.headers.remove(reception.received_header)  # it has not been received
    return reception
