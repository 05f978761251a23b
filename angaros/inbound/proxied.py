"""The Proxy Protocol at the start of a connection. Exim spec 51.1"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.model.text import taint

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.net.proxy import ProxyHeader


def read_proxy_header(c: Conversation) -> bool:
    """Read the header and take over its addresses; False when there is none in time, or a wrong one."""
    from angaros.net.proxy import ProxyError, parse_proxy

    clock = c.services.clock
    deadline = clock.monotonic() + c.main.proxy_protocol_timeout
    data = b""
    while True:
        left = deadline - clock.monotonic()
        if left <= 0:
            return False
        try:
            more = c.stream.read(4096, left)
        except (TimeoutError, OSError):
            return False
        if not more:
            return False
        data += more
        try:
            header = parse_proxy(data)
        except ProxyError as error:
            c.log.debug("receive", f"Failure to extract proxied host: {error}")
            return False
        if header is not None:
            c.stream.unread(data[header.length :])
            if not header.local:
                _take_over(c, header)
            return True


def _take_over(c: Conversation, header: ProxyHeader) -> None:
    session = c.session
    session.proxy_session = True
    session.proxy_local_address = session.sender_host_address
    session.proxy_local_port = session.sender_host_port
    session.proxy_external_address = taint(header.destination)
    session.proxy_external_port = header.destination_port
    session.sender_host_address = taint(header.source)
    session.sender_host_port = header.source_port
    session.sender_host_name = ""
    session.sender_host_aliases = []
    session.host_name_looked_up = session.host_lookup_failed = session.host_lookup_deferred = False
