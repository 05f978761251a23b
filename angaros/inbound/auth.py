"""AUTH: which mechanisms are offered, and the exchange with the client. # RFC 4954; Exim spec 33

The mechanism is a generator of `auths`: it yields challenges and is sent responses; here they become `334` lines and back.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from angaros.config.driver_checks import is_server
from angaros.inbound.hello import protocol_name
from angaros.inbound.rejection import refuse
from angaros.logs.peer import host_and_ident
from angaros.logs.text import printing
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.events import raise_event
from angaros.model.outcome import Outcome
from angaros.model.text import concat, taint

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command

_MECHANISM = re.compile(r"[A-Za-z0-9_-]*")

REPLIES: dict[str, tuple[str, str]] = {
    "fail": ("535", "Incorrect authentication data"),
    "defer": ("435", "Unable to authenticate at present"),
    "cancelled": ("501", "Authentication cancelled"),
    "bad64": ("501", "Invalid base64 data"),
    "unexpected": ("553", "Initial data not expected"),
}
"""Replies to an exchange that did not succeed. # RFC 4954 6"""


def advertised_mechanisms(c: Conversation) -> list[str]:
    """Names for the AUTH line of EHLO; notes which authenticators are usable in this session. Exim spec 33.2"""
    instances = [i for i in c.services.config.authenticators if i.driver != "tls" and i.options.public_name and is_server(i)]
    if not instances or c.session.sender_host_authenticated or not c.host_in("auth_advertise_hosts"):
        return []
    from angaros.auths.base import advertised

    names: list[str] = []
    usable = []
    for instance in instances:
        if advertised(instance, c.scope):
            usable.append(instance.name)
            name = (instance.options.public_name or "").upper()
            if name not in names:
                names.append(name)
    c.advertised.mechanisms = tuple(usable)
    c.advertised.auth = bool(usable)
    return names


def do_auth(c: Conversation, command: Command) -> None:
    """Begin an exchange."""
    session = c.session
    session.authentication_failed = True
    free = session.effects.allow_auth_unadvertised
    if not c.advertised.auth and not free:
        c.protocol_error("protocol", 503, "", "AUTH command used when not advertised")
        return
    if session.sender_host_authenticated:
        c.protocol_error("protocol", 503, "", "already authenticated")
        return
    if c.txn.sender_given:
        c.protocol_error("protocol", 503, "", "not permitted in mail transaction")
        return
    name = str(command.argument).split(None, 1)[0] if command.argument else ""
    if c.main.acl_smtp_auth is not None:
        verdict = c.run_acl("auth")
        if verdict.outcome is not Outcome.ACCEPT:
            refuse(c, "auth", verdict, f"AUTH {name}")  # never what follows: it may be a password
            return
    match = _MECHANISM.match(command.argument)
    assert match is not None
    rest = command.argument[match.end() :]
    if rest and rest[0] not in " \t":
        c.protocol_error("syntax", 501, "", "invalid character in authentication mechanism name")
        return
    instance = _find(c, match[0], free)
    if instance is None:
        c.protocol_error("protocol", 504, "", f"{match[0]} authentication mechanism not supported")
        return
    _begin(c, instance, rest.strip())


def _find(c: Conversation, mechanism: str, free: bool) -> Any:
    wanted = mechanism.upper()
    for instance in c.services.config.authenticators:
        if (instance.options.public_name or "").upper() == wanted and is_server(instance):
            if instance.name in c.advertised.mechanisms or free:
                return instance
    return None


def _begin(c: Conversation, instance: Any, data: str) -> None:
    from angaros.auths.base import authenticate

    initial: str | None = None
    if data == "=":
        initial = ""
    elif data:
        decoded = decode_base64(data)
        if decoded is None:
            _over(c, instance, "bad64")
            return
        initial = decoded
    c.dialogue = authenticate(instance, c.scope, initial)
    _advance(c, None)


def decode_base64(text: str) -> str | None:
    """Octets of a base64 line as tainted text; None when it is none. # RFC 4954 4"""
    try:
        return taint(base64.b64decode(text, validate=True).decode("latin-1"))
    except (binascii.Error, ValueError):
        return None


def client_line(c: Conversation, line: str) -> None:
    """A line of the client during the exchange."""
    instance = c.dialogue.instance
    text = str(line).strip(" \t\r\n")
    if text == "*":
        _over(c, instance, "cancelled")
        return
    decoded: str | None = taint(text)
    if not c.dialogue.raw:
        decoded = decode_base64(text) if text != "=" else taint("")
    if decoded is None:
        _over(c, instance, "bad64")
        return
    _advance(c, decoded)


def _advance(c: Conversation, response: str | None) -> None:
    """Give the mechanism a response and pass its next challenge on, or finish."""
    from angaros.auths.base import Raw

    instance = c.dialogue.instance
    dialogue = c.dialogue.dialogue
    try:
        challenge = next(dialogue) if response is None else dialogue.send(response)
    except StopIteration as stop:
        result = stop.value
        _over(c, instance, result.status, result.user_message, result.log_message)
        return
    except ForcedFailure:
        _over(c, instance, "fail")
        return
    except ExpansionError as error:
        _over(c, instance, "defer", "", str(error))
        return
    c.dialogue.raw = isinstance(challenge, Raw)
    c.say(f"334 {challenge if c.dialogue.raw else base64.b64encode(challenge.encode('latin-1')).decode('ascii')}")
    c.core.begin_lines()


def _over(c: Conversation, instance: Any, status: str, user_text: str = "", log_text: str = "") -> None:
    """The exchange has ended one way or the other."""
    identity = ""
    if c.dialogue is not None:
        if status in ("ok", "fail", "defer"):
            identity = printing(c.dialogue.set_id(), top_bit=True)
        c.dialogue.dialogue.close()
        c.dialogue = None
    c.core.begin_commands()
    if status == "ok":
        succeed(c, instance, identity)
        c.say("235 Authentication succeeded")
        return
    if status == "fail":
        c.session.authenticated_fail_id = identity
    code, text = REPLIES.get(status, REPLIES["defer"])
    c.say(f"{code} {text}{f': {user_text}' if user_text else ''}")
    shown = f" (set_id={identity})" if identity else ""
    line = _event_says(c, instance, f"{code} {text}", shown)
    if not line:
        tail = f": {log_text}" if log_text else ""
        host = host_and_ident(c.session, c.log)
        line = concat([f"{instance.name} authenticator failed for {host}: {code} {text}{shown}", tail])
    c.log.write(line, reject=True)


def succeed(c: Conversation, instance: Any, identity: str) -> None:
    """The session is authenticated from now on."""
    session = c.session
    session.sender_host_authenticated = instance.name
    session.authenticated_id = taint(identity)
    session.authentication_failed = False
    session.protocol = protocol_name(c)
    c.extra["authenticator"] = instance
    c.message.spool_variables["host_auth_pubname"] = instance.options.public_name or ""


def _event_says(c: Conversation, instance: Any, reply: str, shown: str) -> str:
    """Event auth:fail; what it yields takes the place of our log line. Exim spec 61"""
    if c.main.event_action is None:
        return ""
    session = c.session
    kept = session.sender_host_authenticated, session.authenticated_fail_id
    session.sender_host_authenticated, session.authenticated_fail_id = instance.name, shown
    try:
        return raise_event(c.main.event_action, "auth:fail", reply, c.scope)
    finally:
        session.sender_host_authenticated, session.authenticated_fail_id = kept
