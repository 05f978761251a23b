"""Header fields and addresses as tests see them. # RFC 5228 5.1, 5.7"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from angaros.filters.sieve.tree import Node
from angaros.mime.addresses import AddressRules, extract_address, split_address, split_addresses, unquote_local_part
from angaros.mime.encoded import CharsetError, decode_2047
from angaros.model.text import concat, like

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

_NAME = re.compile(r"[!-9;-~\x80-\xff]+")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_WHITE = " \t\r\n"

EXIM_ADDRESS_HEADERS = frozenset({"from", "to", "cc", "bcc", "sender", "resent-from", "resent-to"})
"""What the address test takes in Exim: those that RFC 5228 5.1 names."""

ADDRESS_HEADERS = EXIM_ADDRESS_HEADERS | {
    "reply-to", "resent-sender", "resent-cc", "resent-bcc", "resent-reply-to", "return-path", "delivered-to", "errors-to",
    "envelope-to", "x-original-to", "disposition-notification-to", "mail-followup-to", "x-forwarded-to",
}  # fmt: skip
"""More that hold addresses, for scripts that are not Exim's anyway."""


def valid_name(name: str) -> bool:
    """Whether this can be the name of a header field. # Exim filter spec 2.3"""
    return _NAME.fullmatch(name) is not None


def check_names(checker: Any, names: list[str], error: str = "invalid header field") -> None:
    """Raises unless all are names of header fields."""
    for name in names:
        if checker.constant(name) and not valid_name(name):
            raise checker.fail(error)


def raw_values(run: Run, name: str) -> list[str]:
    """The fields of this name, unfolded, without white space around."""
    lowered = name.lower()
    return [like(_FOLD.sub("", value), value).strip(_WHITE) for value in _texts(run, lowered)]


def _texts(run: Run, lowered: str) -> list[str]:
    return [header.value for header in run.fields if header.name.lower() == lowered]


def decoded(text: str) -> str:
    """RFC 2047 undone, in UTF-8; what cannot be decoded stays as it is. # Exim filter spec 2.5"""
    try:
        return decode_2047(text, "UTF-8", zero="\0")
    except CharsetError:
        return text


def header_values(run: Run, node: Node, names: list[str]) -> list[str]:
    """Values for the header test. Exim joins several fields of a name to one value. # RFC 5228 5.7"""
    out: list[str] = []
    for name in names:
        values = chosen(node, raw_values(run, name))
        if len(values) > 1 and not run.by_the_letter:
            values = [concat([part for value in values for part in ("\n", value)][1:])]
        out += [decoded(value) for value in values]
    return out


def chosen(node: Node, values: list[str]) -> list[str]:
    """`:index`, `:last`. # RFC 5260 6"""
    number = node.tags.get("index")
    if number is None:
        return values
    if number < 1 or number > len(values):
        return []
    at = -number if "last" in node.tags else number - 1
    return [values[at]]


def address_values(run: Run, node: Node, names: list[str]) -> list[str]:
    """The wanted part of each address in these header fields. # RFC 5228 5.1"""
    out: list[str] = []
    rules = AddressRules.of(run.scope.services.config.main, utf8=True)
    for name in names:
        for value in chosen(node, raw_values(run, name)):
            for text in split_addresses(value):
                found = extract_address(text, rules, allow_null=False)
                if found.ok:
                    out += address_part(run, node, found.address)
    return out


def address_part(run: Run, node: Node, address: str) -> list[str]:
    """`:all`, `:localpart`, `:domain`, `:user`, `:detail` of an address, or nothing. # RFC 5228 2.7.4, RFC 5233"""
    part = node.tags.get("part", ":all")
    if not address or part == ":all":
        return [address]
    local, domain = split_address(address)
    local = unquote_local_part(local)
    if part == ":domain":
        return [domain]
    if part == ":localpart":
        return [local]
    setting = run.setting
    if address.lower() == run.recipient.lower():
        if part == ":user":
            return [setting.useraddress if setting.useraddress is not None else local]
        return [setting.subaddress] if setting.subaddress is not None else []
    return [local] if part == ":user" else []
