"""How log lines name the peer: `H=name (helo) [address]:port I=[interface]:port U=ident` (Exim spec 53.6, 11.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.model.text import like

if TYPE_CHECKING:
    from angaros.model.interfaces import Log
    from angaros.model.session import Session


def _helo_to_show(session: Session) -> str:
    """The HELO name, or "" when it says nothing new: none, the verified name, or a literal of the peer's own address."""
    helo = session.sender_helo_name
    if not helo:
        return ""
    if helo.startswith("[") and helo.endswith("]"):
        inside = helo[1:-1]
        if inside[:5].lower() in ("ipv4:", "ipv6:"):
            inside = inside[5:]
        return "" if inside.lower() == session.sender_host_address.lower() else helo
    return "" if helo.lower() == _name_to_show(session).lower() else helo


def _name_to_show(session: Session) -> str:
    return "" if session.host_name_unshown else session.sender_host_name


def sender_fullhost(session: Session, *, with_port: bool = False) -> str:
    """`$sender_fullhost`: `name (helo) [address]:port`. `with_port`: log selector `incoming_port`. "" for local callers."""
    if not session.sender_host_address:
        return ""
    address = f"[{session.sender_host_address}]"
    if with_port and session.sender_host_port > 0:
        address += f":{session.sender_host_port}"
    name = _name_to_show(session)
    helo = _helo_to_show(session) if name else session.sender_helo_name
    parts = [name] if name else []
    if helo:
        parts.append(f"({helo})")
    parts.append(address)
    return like(" ".join(parts), name, helo, session.sender_host_address)


def sender_rcvhost(session: Session, *, with_port: bool = False) -> str:
    """`$sender_rcvhost`: as in Received: lines, `name ([address] helo=x ident=y)` or `[address] (helo=x ident=y)`."""
    if not session.sender_host_address:
        return ""
    address = f"[{session.sender_host_address}]"
    helo = _helo_to_show(session)
    name, ident = _name_to_show(session), session.sender_ident
    details = []
    if with_port and session.sender_host_port > 0:
        if name:
            address += f":{session.sender_host_port}"
        else:
            details.append(f"port={session.sender_host_port}")
    if helo:
        details.append(f"helo={helo}")
    if ident:
        details.append(f"ident={ident}")
    if name:
        result = f"{name} ({' '.join([address, *details])})"
    else:
        result = f"{address} ({' '.join(details)})" if details else address
    return like(result, name, helo, ident, session.sender_host_address)


def local_interface(session: Session, log: Log) -> str:
    """`I=[192.0.2.1]:25`; the port only where `log_ports` has it. "" when unknown or not selected (`incoming_interface`)."""
    if not session.interface_address or not log.selected("incoming_interface"):
        return ""
    port = session.interface_port
    return f"I=[{session.interface_address}]:{port}" if log.logs_port(port) else f"I=[{session.interface_address}]"


def host_and_ident(session: Session, log: Log, *, flag: bool = True) -> str:
    """Who the client is, for lines about a connection: `H=name (helo) [address]:port I=[interface]:port U=ident`.

    Without `flag`: without `H=` (`SMTP connection from (x) [1.2.3.4]`), and a local caller's bare login."""
    full = sender_fullhost(session, with_port=log.selected("incoming_port"))
    ident = session.sender_ident
    if not full:
        return f"U={ident or 'unknown'}" if flag else ident or "unknown"
    text = f"H={full}" if flag else full
    interface = local_interface(session, log)
    if interface:
        text += f" {interface}"
    if ident:
        text += f" U={ident}"
    return text
