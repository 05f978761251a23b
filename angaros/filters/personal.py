"""Whether a message is a personal one: what decides about automatic answers in both filter languages. Exim filter spec 3.27."""

from __future__ import annotations

import re
from collections.abc import Iterable

from angaros.mime.addresses import AddressRules, extract_address, split_addresses
from angaros.model.message import Header

_NOT_A_PERSON = re.compile(r"^(?:server|daemon|root|listserv|majordomo)@|-request@|^owner-[^@]+@", re.IGNORECASE)
_LIST_HEADERS = frozenset(f"list-{name}" for name in ("archive", "help", "id", "owner", "post", "subscribe", "unsubscribe"))
_BULK = ("bulk", "list", "junk")


def addresses(headers: Iterable[Header], names: Iterable[str], rules: AddressRules) -> list[str]:
    """The addresses in header fields of these names, lower case."""
    wanted = set(names)
    found = []
    for header in headers:
        if header.kind == "*" or header.name.lower() not in wanted:
            continue
        for text in split_addresses(header.value):
            extracted = extract_address(text, rules, allow_null=False)
            if extracted.ok:
                found.append(extracted.address.lower())
    return found


def from_a_person(headers: list[Header], own: set[str], rules: AddressRules) -> bool:
    """From somebody else who is no program, not automatic, not by way of a list."""
    senders = addresses(headers, ("from",), rules)
    if own.intersection(senders) or any(_NOT_A_PERSON.search(sender) for sender in senders):
        return False
    live = [header for header in headers if header.kind != "*"]
    if any("auto-" in value for value in _values(live, "auto-submitted")):
        return False
    if any(word in value for value in _values(live, "precedence") for word in _BULK):
        return False
    return not any(header.name.lower() in _LIST_HEADERS for header in live)


def _values(headers: list[Header], name: str) -> list[str]:
    return [header.value.strip().lower() for header in headers if header.name.lower() == name]
