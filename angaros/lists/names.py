"""Domains, local parts and plain strings as subjects. # Exim spec 10.9, 10.22"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.lists.local import match_at
from angaros.lists.pattern import match_pattern
from angaros.lists.subject import Store, Subject, store_in
from angaros.model.text import lower

if TYPE_CHECKING:
    from angaros.model.interfaces import ListMatch
    from angaros.model.scope import Scope


class DomainSubject(Subject):
    """A mail domain. Caseless, but in an address list after `+caseful` the pattern must be in lower case, as observed in Exim."""

    __slots__ = ("caseless",)
    kind = "domain"

    def __init__(self, domain: str, *, keep: bool = False, caseless: bool = True) -> None:
        super().__init__(domain, domain, keep)
        self.caseless = caseless

    def test(self, item: str, scope: Scope) -> ListMatch | None:
        """# Exim spec 10.9"""
        if item[:1] == "@":
            found, known = match_at(self.key, item, scope)
            if known:
                return found
        return match_pattern(self.key, item, scope, caseless=self.caseless)

    def store(self, scope: Scope) -> Store | None:
        """With the address whose domain this is."""
        delivery = scope.delivery
        if not self.keep or delivery is None or delivery.domain != self.key:
            return None
        return store_in(delivery.extra)


class StringSubject(Subject):
    """A string that a list of patterns is applied to (`${if inlist` is not this: it has no patterns)."""

    __slots__ = ("caseless", "cased")
    kind = "string"
    has_names = False

    def __init__(self, text: str, caseless: bool, keep: bool = False) -> None:
        super().__init__(text, lower(text) if caseless else text, keep)
        self.caseless = caseless
        self.cased = text

    def test(self, item: str, scope: Scope) -> ListMatch | None:
        """As for a domain, but `@` is nothing special."""
        return match_pattern(self.key, item, scope, caseless=self.caseless)


class LocalPartSubject(StringSubject):
    """A local part. `cased` is what `+caseful` restores. # Exim spec 10.22"""

    __slots__ = ()
    kind = "localpart"
    has_names = True

    def __init__(self, text: str, caseless: bool, cased: str, keep: bool = False) -> None:
        super().__init__(text, caseless, keep)
        self.cased = cased

    def special(self, item: str) -> bool:
        """`+caseful`."""
        if item != "+caseful":
            return False
        self.caseless = False
        self.key = self.cased
        return True

    def store(self, scope: Scope) -> Store | None:
        """With the address whose local part this is."""
        delivery = scope.delivery
        if not self.keep or delivery is None or lower(delivery.local_part) != lower(self.key):
            return None
        return store_in(delivery.extra)
