"""Log selectors: the table of names and defaults, and the parser of `log_selector` (Exim spec 53.15)."""

from __future__ import annotations

from angaros.model.errors import ConfigError

SELECTORS: dict[str, bool] = {
    "8bitmime": False,
    "acl_warn_skipped": True,
    "address_rewrite": False,
    "all_parents": False,
    "arguments": False,
    "connection_id": False,
    "connection_reject": True,
    "delay_delivery": True,
    "deliver_time": False,
    "delivery_size": False,
    "dkim": True,
    "dkim_verbose": False,
    "dmarc": False,
    "dmarc_verbose": False,
    "dnslist_defer": True,
    "dnssec": False,
    "etrn": True,
    "host_lookup_failed": True,
    "ident_timeout": False,
    "incoming_interface": False,
    "incoming_port": False,
    "lost_incoming_connection": True,
    "millisec": False,
    "msg_id": True,
    "msg_id_created": False,
    "outgoing_interface": True,
    "outgoing_port": False,
    "pid": False,
    "pipelining": False,
    "protocol_detail": False,
    "proxy": False,
    "queue_run": True,
    "queue_time": False,
    "queue_time_exclusive": False,
    "queue_time_overall": False,
    "receive_time": False,
    "received_recipients": False,
    "received_sender": False,
    "rejected_header": True,
    "retry_defer": True,
    "return_path_on_delivery": False,
    "sender_on_delivery": False,
    "sender_verify_fail": True,
    "size_reject": True,
    "skip_delivery": True,
    "smtp_confirmation": True,
    "smtp_connection": False,
    "smtp_incomplete_transaction": False,
    "smtp_mailauth": False,
    "smtp_no_mail": False,
    "smtp_protocol_error": False,
    "smtp_syntax_error": False,
    "spf": False,
    "spf_verbose": False,
    "subject": False,
    "tls_certificate_verified": True,
    "tls_cipher": True,
    "tls_on_connect": False,
    "tls_peerdn": False,
    "tls_resumption": False,
    "tls_sni": False,
    "unknown_in_list": False,
}
"""Every selector but `all`, with its default."""

ALIASES: dict[str, str] = {"rejected_headers": "rejected_header"}
"""Second spellings that Exim accepts."""

DEFAULT_SELECTORS: frozenset[str] = frozenset(name for name, on in SELECTORS.items() if on)


def parse_selectors(text: str, start: frozenset[str], names: frozenset[str], option: str = "log_selector") -> frozenset[str]:
    """Apply a list of `+name` and `-name` to `start`. Also used for `-d` and `debug_selector` with their own names.

    Raises ConfigError with Exim's words."""
    if text.startswith("="):
        return _numeric(text, start, names, option)
    selected = set(start)
    rest = text.lstrip(" \t\n")
    while rest:
        if rest[0] not in "+-":
            raise ConfigError(f'malformed {option} setting: + or - expected but found "{rest}"')
        length = 1
        while length < len(rest) and ((rest[length].isalnum() and rest[length].isascii()) or rest[length] == "_"):
            length += 1
        sign, name = rest[0], rest[1:length]
        _apply(sign == "+", name, selected, names, f"unknown {option} setting: {sign}{name}")
        rest = rest[length:].lstrip(" \t\n")
    return frozenset(selected)


def _apply(add: bool, name: str, selected: set[str], names: frozenset[str], complaint: str) -> None:
    """Switch one name on or off in `selected`."""
    name = ALIASES.get(name, name)
    if name != "all" and name not in names:
        raise ConfigError(complaint)
    members = names if name == "all" else (name,)
    if add:
        selected.update(members)
    else:
        selected.difference_update(members)


def _numeric(text: str, start: frozenset[str], names: frozenset[str], option: str) -> frozenset[str]:
    """`=<number>` hands bits from one Exim process to another. Bits of one build mean nothing elsewhere: all or the start."""
    digits = text[1:].strip()
    try:
        value = int(digits, 0)
    except ValueError:
        raise ConfigError(f"malformed numeric {option} setting: {text}") from None
    return names if value < 0 else start


_NAMES = frozenset(SELECTORS)


def parse_log_selector(text: str, *, option: str = "log_selector") -> frozenset[str]:
    """The set of selectors that are on, for the value of `log_selector`."""
    return parse_selectors(text, DEFAULT_SELECTORS, _NAMES, option)
