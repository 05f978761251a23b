"""Mail addresses as subjects. # Exim spec 10.20-10.21

Laws:
- The domain is always compared caselessly; the local part caselessly until `+caseful`.
- The empty address (a bounce's sender) matches only an empty item, a regular expression and a query.
- The domain half of an item is an item of a domain list, tested as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.lists.names import DomainSubject
from angaros.lists.parse import WHITE, split_list
from angaros.lists.pattern import look_up, match_pattern, match_regex, split_lookup
from angaros.lists.subject import Store, Subject, store_in
from angaros.lists.walk import Walk, sign
from angaros.model.errors import PanicError
from angaros.model.interfaces import ListMatch, LookupResult
from angaros.model.text import concat, lower

if TYPE_CHECKING:
    from angaros.lists.cache import ListCache
    from angaros.model.scope import Scope

MAX_CHAIN = 50
"""`>key` continuations of one `@@` lookup; more is a loop. # Exim spec 10.20"""


class AddressSubject(Subject):
    """One address."""

    __slots__ = ("address", "cache", "cased", "caseless", "domain", "local_part", "numeric")
    kind = "address"

    def __init__(self, address: str, caseless: bool, cache: ListCache, *, keep: bool = False, numeric: bool = False) -> None:
        local_part, at, domain = address.rpartition("@")
        if not at:
            local_part, domain = address, ""
        self.domain = lower(domain)
        self.cased = local_part
        self.caseless = caseless
        self.local_part = lower(local_part) if caseless else local_part
        self.address = concat([self.local_part, at, self.domain])
        self.cache = cache
        self.numeric = numeric
        """Set `$0`, `$1`, ... (rewriting); elsewhere they are unset afterwards, as observed in Exim."""
        super().__init__(address, self.address, keep)

    def special(self, item: str) -> bool:
        """`+caseful`: the local part as it was given. # Exim spec 10.21"""
        if item != "+caseful":
            return False
        self.caseless = False
        self.local_part = self.cased
        self.address = concat([self.cased, "@" if self.domain else "", self.domain])
        return True

    def store(self, scope: Scope) -> Store | None:
        """With the message, when this is its sender."""
        message, session = scope.message, scope.session
        if not self.keep or message is None or session is None or lower(str(message.sender_address)) != lower(self.key):
            return None
        owner = session.extra.get("lists_of")
        if owner is not message:
            session.extra["lists_of"] = message
            session.extra["lists_sender"] = {}
        return store_in(session.extra["lists_sender"])

    def test(self, item: str, scope: Scope) -> ListMatch | None:
        """# Exim spec 10.20"""
        found = self._test(item, scope)
        if found is None or not self.numeric:
            scope.numeric = ()
        return found

    def _test(self, item: str, scope: Scope) -> ListMatch | None:
        head = item[:1]
        if not item:
            if not self.address:
                return ListMatch(True, "")
            self._trace_empty(scope)
            return None
        if head == "^":
            return match_regex(self.address, item, scope, self.caseless)
        if self.address and not self.domain and "@" not in self.address:
            text = f'no @ found in the subject of an address list match: subject="{self.address}" pattern="{item}"'
            scope.log(text, panic=True)
            return None
        if item[:2] == "@@":
            return self._by_domain(item, scope) if self.address else None
        if ";" in item and ("@" not in item or _is_lookup(item, scope)):
            return self._whole(item, scope)
        if not self.address:
            return None
        return self._split(item, scope)

    def _trace_empty(self, scope: Scope) -> None:
        """An empty item's domain half matches no domain; said as for the others."""
        if scope.tracing("lists"):
            Walk(DomainSubject(self.domain, caseless=self.caseless), scope, self.cache).along((), '""')

    def _whole(self, item: str, scope: Scope) -> ListMatch | None:
        """A lookup of the complete address."""
        kind, data = split_lookup(item)
        if kind.startswith("partial"):
            text = f'partial matching is not applicable to whole-address lookups: ignored "partial-" in "{item}"'
            scope.log(text, panic=True)
            kind = _without_partial(kind)
        result = look_up(kind, self.address, data, scope)
        return None if result.value is None else ListMatch(True, result.value, self.address)

    def _split(self, item: str, scope: Scope) -> ListMatch | None:
        """`local@domain`, `*@domain`, `domain`, `*.domain`."""
        local, at, domain = item.rpartition("@") if ";" not in item else item.partition("@")
        if "@@" in item and ";" not in item:  # `*@@`, `*@@[]`: the domain item is a special one
            local, _, domain = item.partition("@@")
            domain = f"@{domain}"
        wild: tuple[str, ...] = ()
        if at:
            matched = self._local(local)
            if matched is None:
                return None
            wild = matched
        return self._domain(domain, wild, item, scope)

    def _local(self, pattern: str) -> tuple[str, ...] | None:
        """What the asterisk of the local part stands for; None when it does not match."""
        subject = self.local_part
        if pattern[:1] == "*":
            size = len(pattern) - 1
            start = len(subject) - size
            if start < 0 or not self._same(subject[start:], pattern[1:]):
                return None
            return (subject[:start],)
        return () if self._same(subject, pattern) else None

    def _same(self, left: str, right: str) -> bool:
        return left == right or (self.caseless and lower(left) == lower(right))

    def _domain(self, pattern: str, wild: tuple[str, ...], item: str, scope: Scope) -> ListMatch | None:
        scope.numeric = ()
        walk = Walk(DomainSubject(self.domain, caseless=self.caseless), scope, self.cache)
        if not walk.along((pattern,), f'"{pattern}"'):
            return None
        scope.numeric = (self.address, *wild, *scope.numeric[1:])
        return ListMatch(True, item, self.address)

    def _by_domain(self, item: str, scope: Scope) -> ListMatch | None:
        """`@@lookup`: the data is a list of local parts, with `>key` as continuation. # Exim spec 10.20"""
        if ";" not in item:
            return None
        kind, data = split_lookup(item)
        kind = kind[2:]
        key, chain = self.domain, ""
        seen = 0
        while True:
            result = look_up(kind, key, data, scope)
            if result.value is None:
                return None
            items, chain = _continuation(result)
            for negative, pattern in map(sign, items):
                if match_pattern(self.local_part, pattern, scope, caseless=self.caseless, partial=False):
                    return None if negative else ListMatch(True, item, self.address)
            if not chain:
                return None
            seen += 1
            if seen > MAX_CHAIN:
                raise PanicError(f"Loop detected in lookup of local part of {self.address} in {item}")
            key = chain


def _continuation(result: LookupResult) -> tuple[list[str], str]:
    items = split_list(result.value or "", ":")
    if items and items[-1][:1] == ">":
        return items[:-1], items[-1][1:].lstrip(WHITE)
    return items, ""


def _is_lookup(item: str, scope: Scope) -> bool:
    """Whether the item begins with a lookup type: `lsearch*@;/file`, but not `user@lsearch;/file`."""
    kind = item.partition(";")[0]
    if "@" not in kind:
        return True
    return kind.partition(",")[0].endswith("*@") and kind.count("@") == 1


def _without_partial(kind: str) -> str:
    rest = kind[len("partial") :].lstrip("0123456789")
    if rest[:1] == "(":
        return rest.partition(")")[2]
    return rest[1:]
