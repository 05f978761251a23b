"""What is known already: split lists, and results of named lists. # Exim spec 10.8

Laws:
- A result of a named list is kept only if the list is the same each time: no `$` in it or in the lists it names, or `_cache`.
- Domain, local-part and address results live with the address that is routed or checked, host results with the connection.
  Results for other subjects (a host that we send to, `${if match_...`) are never kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.lists.parse import WHITE, split_list
from angaros.model.interfaces import ListMatch
from angaros.model.text import is_tainted, lower

if TYPE_CHECKING:
    from angaros.config.config import Config, NamedList
    from angaros.lists.subject import Subject
    from angaros.model.scope import Scope

MAX_PLANS = 2000
"""Split lists kept; then all are dropped. Configurations have some hundred."""
MAX_PLAN_LENGTH = 20000
"""Longer texts come from lookups and are not worth keeping."""
_MEANINGFUL = frozenset("!^*@/+") | {""}
"""What begins an item that is more than a name."""


class ListCache:
    """Of one `Matcher`; belongs to one configuration."""

    __slots__ = ("_cacheable", "_literals", "_plans", "config")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._plans: dict[tuple[str, str], list[str]] = {}
        self._cacheable: dict[tuple[str, str], bool] = {}
        self._literals: dict[tuple[str, str], dict[str, ListMatch] | None] = {}

    def plan(self, text: str, separator: str) -> list[str]:
        """The items of a list."""
        if is_tainted(text) or len(text) > MAX_PLAN_LENGTH:
            return split_list(text, separator)
        key = (text, separator)
        items = self._plans.get(key)
        if items is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            items = self._plans[key] = split_list(text, separator)
        return items

    def literals(self, kind: str, text: str) -> dict[str, ListMatch] | None:
        """The match of each item, by the item in lower case, when the list and the lists that it names are nothing but names, the
        same each time: one look tells whether a caseless name is in it. Else None."""
        key = (kind, text)
        try:
            return self._literals[key]
        except KeyError:
            if len(self._literals) >= MAX_PLANS:
                self._literals.clear()
            self._literals[key] = None  # while we look: a loop of lists
            found = self._literals[key] = self._find_literals(kind, text)
            return found

    def _find_literals(self, kind: str, text: str) -> dict[str, ListMatch] | None:
        if is_tainted(text) or "$" in text or "\\" in text or len(text) > MAX_PLAN_LENGTH:
            return None
        found: dict[str, ListMatch] = {}
        for item in split_list(text):
            if item[:1] == "+":
                named = self.named(kind, item[1:])
                inner = self.literals(kind, named.text) if named is not None else None
                if inner is None:
                    return None
                for name, match in inner.items():
                    found.setdefault(name, match)
            elif item[:1] in _MEANINGFUL or ";" in item:
                return None
            else:
                found.setdefault(lower(item), ListMatch(True, item, lower(item)))
        return found

    def named(self, kind: str, name: str) -> NamedList | None:
        """`domainlist name = ...`."""
        return self.config.named_lists.get(kind, {}).get(name)

    def get(self, subject: Subject, name: str, scope: Scope) -> ListMatch | None:
        """A result found before."""
        store = subject.store(scope)
        return None if not store else store.get((subject.kind, name, str(subject.key)))

    def put(self, subject: Subject, name: str, scope: Scope, found: ListMatch) -> bool:
        """Keep a result; False when that is not allowed."""
        store = subject.store(scope)
        if store is None or not self.cacheable(subject.kind, name):
            return False
        store[(subject.kind, name, str(subject.key))] = found
        return True

    def cacheable(self, kind: str, name: str) -> bool:
        """Whether the list is the same each time."""
        key = (kind, name)
        known = self._cacheable.get(key)
        if known is None:
            self._cacheable[key] = False  # while we look: a loop of lists
            known = self._cacheable[key] = self._constant(kind, name)
        return known

    def _constant(self, kind: str, name: str) -> bool:
        named = self.named(kind, name)
        if named is None:
            return False
        if named.cacheable:
            return True
        if "$" in named.text:
            return False
        for item in split_list(named.text):
            pattern = item.lstrip("!").lstrip(WHITE)
            if pattern[:1] == "+" and (kind, pattern[1:]) in self._names() and not self.cacheable(kind, pattern[1:]):
                return False
            if kind == "address" and "@+" in pattern and not self.cacheable("domain", pattern.partition("@+")[2]):
                return False
        return True

    def _names(self) -> set[tuple[str, str]]:
        return {(kind, name) for kind, lists in self.config.named_lists.items() for name in lists}
