"""XCLIENT: a trusted proxy tells who the client is. Exim spec 51 (4.98), Postfix XCLIENT_README"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.inbound.conversation import Advertised
from angaros.model.text import taint
from angaros.smtp.grammar import decode_xtext, is_ip_address

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command

UNAVAILABLE = frozenset({"[UNAVAILABLE]", "[TEMPUNAVAIL]"})
NAMES = ("ADDR", "NAME", "PORT", "LOGIN", "DESTADDR", "DESTPORT")


def do_xclient(c: Conversation, command: Command) -> None:
    """Take over the facts and start the session anew."""
    if not c.advertised.xclient:
        c.protocol_error("protocol", 501, "", "XCLIENT command used when not advertised")
        return
    if c.txn.sender_given:
        c.protocol_error("protocol", 503, "", "mail transaction in progress")
        return
    if not command.argument:
        c.protocol_error("syntax", 501, "", "XCLIENT must have at least one operand")
        return
    values, error = _parse(str(command.argument))
    if error:
        c.protocol_error("syntax", 501, "", error)
        return
    _apply(c, values)
    c.helo_seen = False
    c.session.sender_helo_name = ""
    c.advertised = Advertised(xclient=True)
    c.reset()
    c.core.succeeded("XCLIENT")
    c.first_used = c.first_used - {"HELO", "EHLO"}
    c.say("220 XCLIENT success")


def _parse(argument: str) -> tuple[dict[str, str], str]:
    values: dict[str, str] = {}
    for word in argument.split():
        name, equals, raw = word.partition("=")
        upper = name.upper()
        if upper not in NAMES:
            return {}, f"XCLIENT: unrecognised parameter '{word if not equals else name}'"
        if not equals:
            return {}, f"XCLIENT: missing value for parameter '{name}'"
        if not raw:
            return {}, "XCLIENT: zero-length value for param"
        value = decode_xtext(raw)
        if value is None:
            return {}, f"XCLIENT: bad xtext value for parameter '{name}'"
        error = _check(upper, value)
        if error:
            return {}, error
        values[upper] = value
    return values, ""


def _check(name: str, value: str) -> str:
    if not value.isprintable():
        return f"XCLIENT: bad value for parameter '{name}'"
    if value.upper() in UNAVAILABLE:
        return ""
    if name in ("ADDR", "DESTADDR") and not is_ip_address(_plain(value)):
        return f"XCLIENT: bad value for parameter '{name}'"
    if name in ("PORT", "DESTPORT") and not (value.isdigit() and 0 <= int(value) <= 65535):
        return f"XCLIENT: bad value for parameter '{name}'"
    return ""


def _plain(value: str) -> str:
    return value[5:] if value[:5].upper() == "IPV6:" else value


def _apply(c: Conversation, values: dict[str, str]) -> None:
    session = c.session
    if not session.proxy_session:
        session.proxy_local_address = session.sender_host_address
        session.proxy_local_port = session.sender_host_port
    session.proxy_session = True
    c.extra["xclient"] = True
    known = {name: value for name, value in values.items() if value.upper() not in UNAVAILABLE}
    if "ADDR" in known:
        session.sender_host_address = taint(_plain(known["ADDR"]))
        session.sender_host_name = ""
        session.sender_host_aliases = []
        session.host_name_looked_up = session.host_lookup_failed = session.host_lookup_deferred = False
    if "NAME" in values:
        session.sender_host_name = taint(known.get("NAME", ""))
    if "PORT" in known:
        session.sender_host_port = int(known["PORT"])
    if "LOGIN" in values:
        login = known.get("LOGIN", "")
        session.authenticated_id = taint(login)
        session.sender_host_authenticated = "xclient" if login else ""
    if "DESTADDR" in known:
        session.proxy_external_address = session.interface_address
        session.interface_address = _plain(known["DESTADDR"])
    if "DESTPORT" in known:
        session.proxy_external_port = session.interface_port
        session.interface_port = int(known["DESTPORT"])
