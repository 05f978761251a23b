"""ATRN, provider and customer: mail on demand over a connection that is turned around. # RFC 2645; Exim spec 5.3 (-atrn)

Provider: an authenticated client names domains (or gets those that the ACL allows); after 250 it is the server, and a queue run
sends it what waits, with `$atrn_mode` P and `$atrn_host` for the routers. Customer: we connect as the routers say (`$atrn_mode`
C), say ATRN, and then receive like any SMTP server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from angaros.inbound.rejection import refuse
from angaros.lists.parse import split_list
from angaros.logs.peer import host_and_ident
from angaros.model.outcome import Outcome
from angaros.model.queue_run import QueueRun
from angaros.model.turned import Turned

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.inbound.options import SessionOptions
    from angaros.model.interfaces import Services
    from angaros.smtp.server import Command

_DOMAIN = re.compile(r"[A-Za-z0-9_.-]+")
"""What may go into the selection of recipients; anything else is no domain name."""


def do_atrn(c: Conversation, command: Command) -> None:
    """Turn the connection around."""
    if not c.advertised.atrn:
        c.say("502 ATRN command used when not advertised")
        return
    if not c.session.sender_host_authenticated:
        c.say("530 ATRN is not permitted without authentication")
        return
    if c.txn.sender_given:
        c.say("503 ATRN is not permitted inside a transaction")
        return
    argument = command.argument
    c.log.write(f"ATRN '{argument}' received from {host_and_ident(c.session, c.log, flag=False)}", selector="etrn")
    state = c.scope.state
    state.pop("atrn_queue", None)
    state["atrn_domains"] = argument.replace(",", ":")
    verdict = c.run_acl("atrn")
    if verdict.outcome is not Outcome.ACCEPT:
        refuse(c, "atrn", verdict, f"ATRN {argument}")
        return
    domains = [domain for domain in split_list(state["atrn_domains"]) if _DOMAIN.fullmatch(domain)]
    if not domains:
        c.say("453 You have no mail")
        return
    c.say("250 ODMR provider turning line around")
    c.flush()
    c.core.drop_input()
    _send_queue(c, domains, state.get("atrn_queue", ""))
    c.done = True


def _send_queue(c: Conversation, domains: list[str], queue_name: str) -> None:
    from angaros.delivery.runner import run_queue

    request = QueueRun(
        two_stage=True,
        queue_name=queue_name,
        select_recipient=f"@({'|'.join(domains)})",
        select_recipient_regex=True,
    )
    wanted = frozenset(domain.lower() for domain in domains)
    turned = Turned(c.session.sender_host_address, c.stream, c.session.tls, wanted)
    run_queue(c.services, request, turned)


# --- Customer ----------------------------------------------------------------------------------------------------------


def fetch(services: Services, host: str, domains: str, options: SessionOptions) -> int:
    """-atrn: get the mail of `domains` from the provider `host`; the exit status."""
    from angaros.delivery.callout_hosts import hosts_of
    from angaros.delivery.callout_session import CalloutSession, SessionFailure, SetupError
    from angaros.inbound.probe import probe_scope
    from angaros.model.verify import CalloutOptions
    from angaros.routers.address import new_delivery
    from angaros.routers.chain import route
    from angaros.routers.outcome import Mode
    from angaros.smtp.client import ClientFailure

    scope = probe_scope(services, options.submission)
    scope.state.update(atrn_mode="C", atrn_host=host)
    outcome = route(new_delivery(f"postmaster@{host}"), scope, Mode.DELIVER)
    delivery = outcome.routed[0] if outcome.routed else None
    found = hosts_of(delivery, scope) if delivery is not None else None
    if delivery is None or found is None or not found.hosts:
        services.log.write(f"ATRN: no route to the provider {host}", panic=True)
        return 1
    session = CalloutSession(delivery, found.hosts[0], scope, CalloutOptions(timeout=TIMEOUT))
    try:
        session.open()
        reply = session.command(f"ATRN {domains}" if domains else "ATRN")
    except (SessionFailure, SetupError, ClientFailure) as failure:
        services.log.write(f"ATRN: {host}: {failure}")
        return 1
    if not reply.ok:
        services.log.write(f"ATRN: {host} answered: {reply.text}")
        session.close()
        return 0 if reply.code == NO_MAIL else 1
    return _receive(services, session, options)


TIMEOUT = 600
"""Seconds for each reply of the provider: it may have to look through its queue."""
NO_MAIL = 453
"""RFC 2645 5.2.1."""


def _receive(services: Services, session: object, options: SessionOptions) -> int:
    """Now we are the server."""
    from angaros.delivery.callout_session import CalloutSession
    from angaros.inbound.conversation import Conversation
    from angaros.model.session import Session

    assert isinstance(session, CalloutSession)
    assert session.session is not None
    stream, host, tls = session.session.stream, session.host, session.session.tls
    facts = Session(
        smtp=True,
        sender_host_address=host.address,
        sender_host_port=stream.peer_port,
        sender_host_name=host.name if host.name != host.address else "",
        interface_address=stream.local_address,
        interface_port=stream.local_port,
        sender_ident=options.submission.caller.login,
        connect_time=services.clock.now(),
        tls=tls,
    )
    options.local = False
    conversation = Conversation(services, facts, stream, options)
    conversation.serve()
    stream.close()
    return conversation.exit_status
