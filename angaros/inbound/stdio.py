"""SMTP on standard input and output: -bs, -bh, inetd. Exim spec 5.3, 49.8

The stream of a socket (inetd) knows its peer; standard input of a local process does not, and then the caller is the peer.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from angaros.inbound.conversation import Conversation
from angaros.inbound.session import address_and_port, local_session
from angaros.model.session import Session

if TYPE_CHECKING:
    from angaros.inbound.options import SessionOptions
    from angaros.model.interfaces import Services, Stream

TESTING_NOTE = (
    "\n**** SMTP testing session as if from host {address}\n"
    "**** but without any ident (RFC 1413) callback.\n"
    "**** This is not for real!\n\n"
)


def serve_stdio(services: Services, options: SessionOptions, *, in_fd: int = 0, out_fd: int = 1) -> int:
    """One session on the given descriptors; returns the exit status."""
    from angaros.inbound.batch import serve_batch

    stream = services.waiter.open_fds(in_fd, out_fd)
    if options.batched:
        return serve_batch(services, options, stream)
    if options.host_checking:
        return _host_check(services, options, stream)
    session = _session(services, options, stream, in_fd)
    conversation = Conversation(services, session, stream, options)
    conversation.serve()
    return conversation.exit_status


def _session(services: Services, options: SessionOptions, stream: Stream, in_fd: int) -> Session:
    import os

    session = local_session(services, options.submission, smtp=True)
    if stat.S_ISSOCK(os.fstat(in_fd).st_mode) and stream.peer_address:
        options.local = False
        options.inetd = True
        session.sender_ident = ""
        session.sender_host_unknown = False
        session.sender_host_address, session.sender_host_port = stream.peer_address, stream.peer_port
        session.interface_address, session.interface_port = stream.local_address, stream.local_port
    else:
        options.local = True
    return session


def _host_check(services: Services, options: SessionOptions, stream: Stream) -> int:
    """-bh: as if the host had called; nothing is written."""
    claims = options.submission.claims
    address, port = address_and_port(claims.host_address or "")
    believed = options.submission
    session = local_session(services, believed, smtp=True, believe=True)
    session.sender_ident = claims.ident or ""
    session.host_checking = True
    services.run.host_checking_callout = options.host_checking_callout
    session.sender_host_unknown = False
    session.sender_host_address, session.sender_host_port = address, port
    stream.write(TESTING_NOTE.format(address=address).encode("latin-1"))
    Conversation(services, session, stream, options).serve()
    return 0
