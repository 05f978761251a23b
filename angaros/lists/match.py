"""The five kinds of list match behind one object. # Exim spec 10

Law: no state but caches of what the configuration says; everything else comes with the scope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.lists.addresses import AddressSubject
from angaros.lists.cache import ListCache
from angaros.lists.hosts import HostSubject
from angaros.lists.ip import unmapped
from angaros.lists.names import DomainSubject, LocalPartSubject, StringSubject
from angaros.lists.walk import NO_MATCH, Walk
from angaros.model.interfaces import ListMatch
from angaros.model.text import lower

if TYPE_CHECKING:
    from angaros.lists.subject import Subject
    from angaros.model.scope import Scope


class Matcher:
    """`interfaces.ListMatcher`."""

    __slots__ = ("_cache",)

    def __init__(self) -> None:
        self._cache: ListCache | None = None

    def cache(self, scope: Scope) -> ListCache:
        """The cache for the configuration in force."""
        cache = self._cache
        config = scope.services.config
        if cache is None or cache.config is not config:
            cache = self._cache = ListCache(config)
        return cache

    def _walk(self, subject: Subject, items: str | None, scope: Scope, option: str, expand: bool) -> ListMatch:
        before = scope.numeric
        found = Walk(subject, scope, self.cache(scope)).run(items, option, expand)
        if not found.matched and scope.numeric is not before:
            scope.numeric = ()
        return found

    def match_domain(self, domain: str, items: str | None, scope: Scope, *, option: str = "", expand: bool = True) -> ListMatch:
        """# Exim spec 10.9"""
        key = lower(domain)
        found = self._among_names("domain", key, items, scope)
        return self._walk(DomainSubject(key, keep=expand), items, scope, option, expand) if found is None else found

    def _among_names(self, kind: str, key: str, items: str | None, scope: Scope) -> ListMatch | None:
        """The match of a name, or its absence, in a list of nothing but names; None when it must be walked along."""
        if not items or scope.tracing("lists"):
            return None
        names = self.cache(scope).literals(kind, items)
        if names is None:
            return None
        found = names.get(key)
        if found is None:
            scope.numeric = ()
            return NO_MATCH
        scope.numeric = (key,)
        return found

    def match_local_part(
        self, local_part: str, items: str | None, scope: Scope, *, caseless: bool = True, option: str = "", expand: bool = True
    ) -> ListMatch:
        """# Exim spec 10.22"""
        if caseless:
            found = self._among_names("localpart", lower(local_part), items, scope)
            if found is not None:
                return found
        delivery = scope.delivery
        cased = local_part
        if delivery is not None and lower(delivery.cased_local_part) == lower(local_part):
            cased = delivery.cased_local_part
        subject = LocalPartSubject(local_part, caseless, cased, keep=expand)
        return self._walk(subject, items, scope, option, expand)

    def match_address(
        self,
        address: str,
        items: str | None,
        scope: Scope,
        *,
        caseless: bool = True,
        option: str = "",
        expand: bool = True,
        numeric: bool = False,
    ) -> ListMatch:
        """`numeric`: set `$0`, `$1`, ... # Exim spec 10.20, 31.5"""
        subject = AddressSubject(address, caseless, self.cache(scope), keep=expand, numeric=numeric)
        return self._walk(subject, items, scope, option, expand)

    def match_host(
        self,
        items: str | None,
        scope: Scope,
        *,
        name: str | None = None,
        address: str | None = None,
        option: str = "",
        expand: bool = True,
    ) -> ListMatch:
        """# Exim spec 10.10"""
        session = scope.session
        if (not items or items == "*") and not scope.tracing("lists"):  # most options, a dozen times a session
            if not items:
                return NO_MATCH
            own = session.sender_host_address if session is not None else ""
            return ListMatch(True, None, unmapped(own if address is None else address))
        if address is None:
            subject = HostSubject(session.sender_host_address if session is not None else "", name, keep=expand)
        else:
            subject = HostSubject(address, name, label=address)
        return self._walk(subject, items, scope, option, expand)

    def match_string(
        self, subject: str, items: str | None, scope: Scope, *, caseless: bool = True, option: str = "", expand: bool = True
    ) -> ListMatch:
        """Patterns without named lists (`match_in_header`-like options)."""
        return self._walk(StringSubject(subject, caseless, expand), items, scope, option, expand)
