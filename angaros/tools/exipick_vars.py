"""Variables of a queued message, as `exipick` tests and shows them: Exim's own, and some that only exipick has.

All are strings (its manual); a boolean is "1" or "".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from angaros.model.message import Message
from angaros.spool.codec import read_header
from angaros.spool.journal import Journal
from angaros.spool.listing import size_text


def load(directory: str, message_id: str, queue_name: str = "") -> Message:
    """A message as its files say, with what its journal adds. Raises OSError, SpoolFormatError."""
    with open(f"{directory}/{message_id}-H", "rb") as file:
        message = read_header(file.read(), message_id)
    message.queue_name = queue_name
    message.body_path, message.body_offset = f"{directory}/{message_id}-D", len(message_id) + 3
    with suppress(OSError):
        message.body_size = max(0, os.stat(message.body_path).st_size - message.body_offset)
    message.message_size += 1 + message.body_size
    message.non_recipients |= Journal.read(f"{directory}/{message_id}-J") or set()
    return message


def header(message: Message, name: str) -> str:
    """All headers of a name, in one text. # Exim spec 11.5"""
    wanted = name.lower()
    found = [
        one.text.partition(":")[2].strip(" \t\n") for one in message.headers if one.kind != "*" and one.name.lower() == wanted
    ]
    return "\n".join(found)


def decoded(text: str) -> str:
    """RFC 2047 words decoded, in UTF-8."""
    if "=?" not in text:
        return text
    from email.header import decode_header, make_header

    try:
        return str(make_header(decode_header(text))).encode().decode("latin-1")
    except (LookupError, UnicodeError, ValueError):
        return text


def _body(message: Message) -> str:
    try:
        with open(message.body_path, "rb") as file:
            file.seek(message.body_offset)
            return file.read().decode("latin-1").translate({0: " ", 10: " "})
    except OSError:
        return ""


def _flag(value: object) -> str:
    return "1" if value else ""


def delivered(message: Message) -> list[str]:
    """Recipients of the envelope that are done."""
    return [one.address for one in message.recipients if one.address in message.non_recipients]


def undelivered(message: Message) -> list[str]:
    """Those that are not."""
    return [one.address for one in message.recipients if one.address not in message.non_recipients]


def _all_delivered(message: Message) -> list[str]:
    return sorted(message.non_recipients)


def _tls(message: Message, name: str) -> str:
    value = getattr(message.session.tls, name, "") if message.session.tls is not None else ""
    return _flag(value) if isinstance(value, bool) else str(value or "")


def _headers(message: Message) -> str:
    return "".join(one.text for one in message.headers if one.kind != "*")


def _path(message: Message, suffix: str) -> str:
    return message.body_path.removesuffix("-D") + suffix


Getter = Callable[[Message, float], str]
VARIABLES: dict[str, Getter] = {
    "allow_unqualified_recipient": lambda m, now: _flag(m.allow_unqualified_recipient),
    "allow_unqualified_sender": lambda m, now: _flag(m.allow_unqualified_sender),
    "authenticated_id": lambda m, now: m.session.authenticated_id,
    "authenticated_sender": lambda m, now: m.session.authenticated_sender,
    "body_linecount": lambda m, now: str(m.body_linecount),
    "body_zerocount": lambda m, now: str(m.body_zerocount),
    "data_path": lambda m, now: _path(m, "-D"),
    "deliver_freeze": lambda m, now: _flag(m.frozen),
    "deliver_frozen_at": lambda m, now: str(int(m.frozen_time)) if m.frozen else "",
    "dont_deliver": lambda m, now: _flag(m.dont_deliver),
    "first_delivery": lambda m, now: _flag(m.deliver_firsttime),
    "header_path": lambda m, now: _path(m, "-H"),
    "host_lookup_deferred": lambda m, now: _flag(m.session.host_lookup_deferred),
    "host_lookup_failed": lambda m, now: _flag(m.session.host_lookup_failed),
    "interface_address": lambda m, now: m.session.interface_address,
    "interface_port": lambda m, now: str(m.session.interface_port or ""),
    "local_error_message": lambda m, now: _flag(m.local_error_message),
    "local_scan_data": lambda m, now: m.spool_variables.get("local_scan_data", ""),
    "manually_thawed": lambda m, now: _flag(m.manually_thawed),
    "max_received_linelength": lambda m, now: str(m.max_received_linelength),
    "message_age": lambda m, now: str(int(now - m.received_time)),
    "message_body": lambda m, now: _body(m),
    "message_body_missing": lambda m, now: _flag(not os.access(m.body_path, os.R_OK)),
    "message_body_size": lambda m, now: str(m.body_size),
    "message_exim_id": lambda m, now: m.id,
    "message_headers": lambda m, now: decoded(_headers(m)),
    "message_headers_raw": lambda m, now: _headers(m),
    "message_id": lambda m, now: m.id,
    "message_linecount": lambda m, now: str(m.body_linecount + _headers(m).count("\n")),
    "message_size": lambda m, now: str(m.message_size),
    "originator_gid": lambda m, now: str(m.session.originator_gid),
    "originator_login": lambda m, now: m.session.originator_login,
    "originator_uid": lambda m, now: str(m.session.originator_uid),
    "received_count": lambda m, now: str(sum(one.kind == "P" for one in m.headers)),
    "received_ip_address": lambda m, now: m.session.interface_address,
    "received_port": lambda m, now: str(m.session.interface_port or ""),
    "received_protocol": lambda m, now: m.session.protocol,
    "received_time": lambda m, now: str(int(m.received_time)),
    "recipients": lambda m, now: ", ".join(one.address for one in m.recipients),
    "recipients_count": lambda m, now: str(len(m.recipients)),
    "recipients_del": lambda m, now: ", ".join(_all_delivered(m)),
    "recipients_del_count": lambda m, now: str(len(delivered(m))),
    "recipients_undel": lambda m, now: ", ".join(undelivered(m)),
    "recipients_undel_count": lambda m, now: str(len(undelivered(m))),
    "reply_address": lambda m, now: decoded(header(m, "reply-to") or header(m, "from")),
    "sender_address": lambda m, now: m.sender_address,
    "sender_address_domain": lambda m, now: m.sender_address.rpartition("@")[2] if "@" in m.sender_address else "",
    "sender_address_local_part": lambda m, now: m.sender_address.rpartition("@")[0] or m.sender_address,
    "sender_helo_name": lambda m, now: m.session.sender_helo_name,
    "sender_host_address": lambda m, now: m.session.sender_host_address,
    "sender_host_authenticated": lambda m, now: m.session.sender_host_authenticated,
    "sender_host_name": lambda m, now: m.session.sender_host_name,
    "sender_host_port": lambda m, now: str(m.session.sender_host_port or ""),
    "sender_ident": lambda m, now: m.session.sender_ident,
    "sender_local": lambda m, now: _flag(m.sender_local),
    "sender_set_untrusted": lambda m, now: _flag(m.sender_set_untrusted),
    "shown_message_size": lambda m, now: size_text(m.message_size).strip(),
    "smtp_active_hostname": lambda m, now: m.session.active_hostname,
    "spam_score": lambda m, now: m.spool_variables.get("spam_score", ""),
    "spam_score_int": lambda m, now: m.spool_variables.get("spam_score_int", ""),
    "tls_certificate_verified": lambda m, now: _tls(m, "certificate_verified"),
    "tls_cipher": lambda m, now: _tls(m, "cipher"),
    "tls_peerdn": lambda m, now: _tls(m, "peerdn"),
    "tls_sni": lambda m, now: _tls(m, "sni"),
    "warning_count": lambda m, now: str(m.warning_count),
}
EACH: dict[str, Callable[[Message], list[str]]] = {
    "each_recipients": lambda m: [one.address for one in m.recipients],
    "each_recipients_del": _all_delivered,
    "each_recipients_undel": undelivered,
}
"""A test on one of these is made on every address."""
HEADERS = (
    ("bheader_", True),
    ("bh_", True),
    ("rheader_", False),
    ("rh_", False),
    ("header_", True),
    ("h_", True),
)


def value(message: Message, name: str, now: float) -> str:
    """A variable; "" when there is no such one for this message."""
    getter = VARIABLES.get(name)
    if getter is not None:
        return getter(message, now)
    for prefix, decode in HEADERS:
        if name.startswith(prefix):
            text = header(message, name[len(prefix) :].rstrip(":"))
            return decoded(text) if decode else text
    if name.startswith(("acl_m", "acl_c")):
        values = message.acl_m if name[4] == "m" else message.session.acl_c
        return values.get(name, values.get(name[4:], values.get(name[5:], "")))
    return ""
