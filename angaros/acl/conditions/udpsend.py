"""`udpsend`. Exim spec 44.21."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.lists.parse import take_separator
from angaros.model.outcome import Outcome
from angaros.model.text import octets

if TYPE_CHECKING:
    from angaros.acl.frame import Frame

MAX_PORT = 65535


def udpsend(frame: Frame, argument: str) -> Outcome:
    """Send one datagram: `host : port : contents`."""
    separator, rest = take_separator(argument)
    host, _, rest = rest.partition(separator or ":")
    port_text, _, payload = rest.partition(separator or ":")
    host, port_text = host.strip(), port_text.strip()
    if not argument.strip():
        return frame.error('missing destination host in "udpsend" modifier')
    if not rest.strip() and not port_text:
        return frame.error('missing destination port in "udpsend" modifier')
    if not port_text.isdigit() or int(port_text) > MAX_PORT:
        return frame.error('bad destination port in "udpsend" modifier')
    address = _address(frame, host)
    if not address:
        return frame.error('DNS lookup failed in "udpsend" modifier')
    port = int(port_text)
    frame.trace(f"udpsend [{address}]:{port} {payload}")
    try:
        sent = _send(address, port, octets(payload))
    except OSError as error:
        return frame.defer(f'"udpsend" failed: {error.strerror}')
    frame.trace(f"udpsend {sent} bytes")
    return Outcome.ACCEPT


def _address(frame: Frame, host: str) -> str:
    from angaros.net.hosts import HostQuery, find_by_name

    found = find_by_name(host, frame.scope, HostQuery())
    return found.hosts[0].address if found.hosts else ""


def _send(address: str, port: int, payload: bytes) -> int:
    """A datagram to a numeric address never waits."""
    import socket

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        return sock.sendto(payload, (address, port))
