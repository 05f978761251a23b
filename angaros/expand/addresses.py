"""Addresses inside expansions, with the rules that the configuration gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.mime.addresses import AddressRules, Extracted, extract_address

if TYPE_CHECKING:
    from angaros.model.scope import Scope


def extract(text: str, scope: Scope) -> Extracted:
    """The address in `text`."""
    return extract_address(text, _rules(scope))


def _rules(scope: Scope) -> AddressRules:
    """Kept, per services: the configuration does not change under them."""
    utf8 = scope.message is not None and scope.message.smtputf8
    services = scope.services
    kept: dict[bool, AddressRules] = services.extra.setdefault("address_rules", {})
    found = kept.get(utf8)
    if found is None:
        found = kept[utf8] = AddressRules.of(services.config.main, utf8=utf8)
    return found
