"""A connection that ATRN has turned around: the client of the session is now the server that we send to. # RFC 2645"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.model.record import dataclass

if TYPE_CHECKING:
    from angaros.model.interfaces import Stream
    from angaros.model.tls import TlsFacts


@dataclass(slots=True)
class Turned:
    """One such connection; the first SMTP session of its queue run takes the stream."""

    host: str
    """`$atrn_host`: the customer's address."""
    stream: Stream | None
    tls: TlsFacts | None = None
    domains: frozenset[str] = frozenset()
    """Recipients elsewhere stay in the queue."""
