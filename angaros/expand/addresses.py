"""Addresses inside expansions, with the rules that the configuration gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from angaros.mime.addresses import Extracted
    from angaros.model.scope import Scope


def extract(text: str, scope: Scope) -> Extracted:
    """The address in `text`."""
    from angaros.mime.addresses import AddressRules, extract_address

    rules = AddressRules.of(scope.services.config.main, utf8=scope.message is not None and scope.message.smtputf8)
    return extract_address(text, rules)
