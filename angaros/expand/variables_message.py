"""Variables about the message, its recipients, and the address that is being routed or delivered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from angaros.expand.headers import body_text, headers_of, message_headers, message_headers_raw, reply_address
from angaros.model.effects import without_place
from angaros.model.message import Message
from angaros.model.text import concat, like, taint

if TYPE_CHECKING:
    from angaros.model.extensions import Extensions
    from angaros.model.scope import Scope

NO_MESSAGE = Message()
"""What variables show where there is no message. Never written to."""
RECIPIENTS_AT = frozenset({"predata", "data", "mime", "notsmtp", "notsmtp_start", "dkim", "prdr", "notsmtp_mime"})
"""ACLs in which `$recipients` is shown: elsewhere it would give away Bcc recipients. # Exim spec 11.9 (recipients)"""


def _message(scope: Scope) -> Message:
    return scope.message if scope.message is not None else NO_MESSAGE


def _text(attribute: str) -> Callable[[Scope], str]:
    def get(scope: Scope) -> str:
        value: str = getattr(_message(scope), attribute)
        return value

    return get


def _number(attribute: str) -> Callable[[Scope], str]:
    return lambda scope: str(getattr(_message(scope), attribute))


# --- The message -------------------------------------------------------------------------------------------------------


def message_age(scope: Scope) -> str:
    """`$message_age`."""
    received = _message(scope).received_time
    return str(int(scope.services.clock.now()) - int(received)) if received else "0"


def message_linecount(scope: Scope) -> str:
    """`$message_linecount`: header and body lines; while the message is received, lines as they came, with the blank one."""
    message = _message(scope)
    received = message.effects.caches.get("received_linecount")
    if received is not None:
        return str(received)
    return str(sum(header.text.count("\n") for header in message.headers if header.kind != "*") + message.body_linecount)


def sender_address(scope: Scope) -> str:
    """`$sender_address`."""
    message = scope.message
    return "" if message is None else message.sender_address


def sender_address_domain(scope: Scope) -> str:
    """`$sender_address_domain`."""
    sender = _message(scope).sender_address
    return sender[sender.rfind("@") + 1 :] if "@" in sender else ""


def sender_address_local_part(scope: Scope) -> str:
    """`$sender_address_local_part`."""
    sender = _message(scope).sender_address
    return sender[: sender.rfind("@")] if "@" in sender else sender


def return_path(scope: Scope) -> str:
    """`$return_path`: the sender that goes out; `errors_to` of the router wins."""
    delivery = scope.delivery
    if delivery is not None and delivery.props.errors_to is not None:
        return delivery.props.errors_to
    return _message(scope).sender_address


def received_count(scope: Scope) -> str:
    """`$received_count`."""
    return str(len(headers_of(scope, "received")))


def received_for(scope: Scope) -> str:
    """`$received_for`: the recipient when there is one only."""
    recipients = _message(scope).recipients
    return recipients[0].address if len(recipients) == 1 else ""


def recipients(scope: Scope) -> str:
    """`$recipients`: where it may be shown."""
    return _joined(scope, ", ", "") if _recipients_shown(scope) else ""


def recipients_list(scope: Scope) -> str:
    """`$recipients_list`: a proper list."""
    return _joined(scope, ":", ":") if _recipients_shown(scope) else ""


def _recipients_shown(scope: Scope) -> bool:
    local = scope.local
    return scope.where in RECIPIENTS_AT or local.get("show_recipients") == "1" or local.get("system_filter") == "1"


def _joined(scope: Scope, separator: str, doubled: str) -> str:
    parts: list[str] = []
    for recipient in _message(scope).recipients:
        if parts:
            parts.append(separator)
        parts.append(recipient.address.replace(doubled, doubled * 2) if doubled else recipient.address)
    return taint(concat(parts)) if parts else ""  # also those of a command line come from outside


def recipients_count(scope: Scope) -> str:
    """`$recipients_count`."""
    return str(len(_message(scope).recipients))


def headers_added(scope: Scope) -> str:
    """`$headers_added`: what ACLs have added so far, a list separated by newlines (doubled inside a line)."""
    added = [without_place(line.removesuffix("\n")).replace("\n", "\n\n") for line in _message(scope).effects.added_headers]
    return like("\n".join(added), *added)


def message_smtputf8(scope: Scope) -> str:
    """`$message_smtputf8`."""
    return "yes" if _message(scope).smtputf8 else "no"


def _extension(get: Callable[[Extensions], str]) -> Callable[[Scope], str]:
    """A fact of `Message.extensions`; "" where there are none."""

    def getter(scope: Scope) -> str:
        extensions = _message(scope).extensions
        return get(extensions) if extensions is not None else ""

    return getter


# --- The address -------------------------------------------------------------------------------------------------------


def _address(attribute: str) -> Callable[[Scope], str]:
    def get(scope: Scope) -> str:
        delivery = scope.delivery
        value: str = getattr(delivery, attribute) if delivery is not None else ""
        return value

    return get


def _property(attribute: str) -> Callable[[Scope], str]:
    def get(scope: Scope) -> str:
        delivery = scope.delivery
        value: str | None = getattr(delivery.props, attribute) if delivery is not None else None
        return value or ""

    return get


def _ancestor(attribute: str, top: bool) -> Callable[[Scope], str]:
    def get(scope: Scope) -> str:
        delivery = scope.delivery
        if delivery is None:
            return ""
        other = delivery.root() if top else delivery.parent
        if other is None:
            return ""
        if attribute == "local_part":  # with the affixes that a router took off
            return concat([other.prefix, other.local_part, other.suffix])
        value: str = getattr(other, attribute)
        return value

    return get


def home(scope: Scope) -> str:
    """`$home`."""
    delivery = scope.delivery
    return (delivery.home or "") if delivery is not None else ""


def _host(attribute: str) -> Callable[[Scope], str]:
    def get(scope: Scope) -> str:
        host = scope.host
        value: str = getattr(host, attribute) if host is not None else ""
        return value

    return get


def host_port(scope: Scope) -> str:
    """`$host_port`."""
    return str(scope.host.port) if scope.host is not None else "0"


def self_hostname(scope: Scope) -> str:
    """`$self_hostname`."""
    return scope.delivery.self_hostname if scope.delivery is not None else ""


TABLE: dict[str, Callable[[Scope], str]] = {
    "address_data": _property("address_data"),
    "body_linecount": _number("body_linecount"),
    "body_zerocount": _number("body_zerocount"),
    "deliver_by": _extension(lambda wanted: str(wanted.by) if wanted.by_mode else ""),
    "deliver_by_mode": _extension(lambda wanted: wanted.by_mode),
    "domain": _address("domain"),
    "domain_data": _property("domain_data"),
    "headers_added": headers_added,
    "hold_until": _extension(lambda wanted: str(wanted.release) if wanted.release else ""),
    "home": home,
    "host": _host("name"),
    "host_address": _host("address"),
    "host_port": host_port,
    "local_part": _address("local_part"),
    "local_part_data": _property("local_part_data"),
    "local_part_prefix": _address("prefix"),
    "local_part_prefix_v": _address("prefix_variable"),
    "local_part_suffix": _address("suffix"),
    "local_part_suffix_v": _address("suffix_variable"),
    "max_received_linelength": _number("max_received_linelength"),
    "message_age": message_age,
    "message_body": lambda scope: body_text(scope, False),
    "message_body_end": lambda scope: body_text(scope, True),
    "message_body_size": _number("body_size"),
    "message_exim_id": _text("id"),
    "message_headers": message_headers,
    "message_headers_raw": message_headers_raw,
    "message_linecount": message_linecount,
    "message_size": _number("message_size"),
    "message_smtputf8": message_smtputf8,
    "mt_priority": _extension(lambda wanted: "" if wanted.priority is None else str(wanted.priority)),
    "original_domain": _ancestor("domain", True),
    "original_local_part": _ancestor("local_part", True),
    "parent_domain": _ancestor("domain", False),
    "parent_local_part": _ancestor("local_part", False),
    "queue_name": _text("queue_name"),
    "received_count": received_count,
    "received_for": received_for,
    "received_time": lambda scope: str(int(_message(scope).received_time)),
    "recipients": recipients,
    "recipients_count": recipients_count,
    "recipients_list": recipients_list,
    "reply_address": reply_address,
    "requiretls": _extension(lambda wanted: "yes" if wanted.requiretls else ""),
    "return_path": return_path,
    "self_hostname": self_hostname,
    "sender_address": sender_address,
    "sender_address_domain": sender_address_domain,
    "sender_address_local_part": sender_address_local_part,
}
