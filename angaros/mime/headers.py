"""Header lines: their types, splitting a block into fields, and the syntax check of `verify = header_syntax`.

A header's type letter travels in the spool and in the reject log (Exim spec 57.1), so the table below is part of the format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from angaros.mime.addresses import AddressRules, extract_address, split_address_list
from angaros.mime.encoded import convert_charset, decode_2047, encode_2047
from angaros.model.message import Header
from angaros.model.text import like

__all__ = [
    "convert_charset",
    "decode_2047",
    "encode_2047",
    "header_syntax_error",
    "header_type",
    "is_resent",
    "split_headers",
]

# Exim spec 57.1: one letter a header that Exim handles itself.
TYPES: dict[str, str] = {
    "bcc": "B",
    "cc": "C",
    "from": "F",
    "message-id": "I",
    "received": "P",
    "reply-to": "R",
    "sender": "S",
    "to": "T",
}
RESENT_TYPES = {f"resent-{name}": letter for name, letter in TYPES.items() if letter != "P"}

ADDRESS_TYPES = frozenset("BCFRST")
"""Headers that hold addresses: checked, qualified and rewritten."""

SHOWN_HEADER = 1024
"""Octets of a wrong header that are shown in the log."""

_FIELD_NAME = re.compile(r"([!-9;-~]+)[ \t]*:")
_FOLD = re.compile(r"\n(?![ \t])")


def header_type(name: str) -> str:
    """The type letter for a field name in any case; `resent-` headers have the letter of the plain one."""
    lowered = name.lower()
    return TYPES.get(lowered) or RESENT_TYPES.get(lowered) or " "


def is_resent(name: str) -> bool:
    """Whether a field name begins with `Resent-`. # RFC 5322 3.6.6"""
    return name[:7].lower() == "resent-"


def field_name(line: str) -> str:
    """Name of the field that a line begins, "" when it is no header line. # RFC 5322 2.2"""
    match = _FIELD_NAME.match(line)
    return match[1] if match else ""


def split_headers(text: str) -> list[Header]:
    """A block of header lines (each ends in LF) as headers; a line that is none is joined to nothing and kept as type ` `."""
    if not text:
        return []
    if not text.endswith("\n"):
        text = like(text + "\n", text)
    out = []
    pos = 0
    plain = str(text)
    for match in _FOLD.finditer(plain):
        line = plain[pos : match.end()]
        pos = match.end()
        out.append(Header(like(line, text), header_type(field_name(line))))
    return out


def header_syntax_error(headers: Iterable[Header], rules: AddressRules, *, unqualified_ok: bool = False) -> str:
    """Exim's complaint about the first malformed address in the address headers, "" when there is none. # Exim spec 44.47

    `unqualified_ok`: bare local parts are allowed (the host is in `sender_unqualified_hosts`, or the message is local).
    """
    for header in headers:
        if header.kind not in ADDRESS_TYPES:
            continue
        colon = header.text.find(":") + 1
        text = header.text[colon:]
        for piece in split_address_list(text):
            if piece.empty:
                continue
            address = text[piece.start : piece.end]
            found = extract_address(address, rules, allow_null=False)
            error = found.error
            if not error and not found.domain and not unqualified_ok:
                error = "unqualified address not permitted"
            if error:
                shown = address.strip()
                verb = "is" if len(shown) < SHOWN_HEADER else "begins"
                return like(f'{error}: failing address in "{header.name}:" header {verb}: {shown[:SHOWN_HEADER]}', header.text)
    return ""
