"""The walk along a list that all kinds share: expansion, negation, named lists, files, what cannot be known.

A kind (`Subject`) says how one item is tested; the walk decides what follows from it. # Exim spec 10.1-10.8

Laws:
- `HostUnknown` (no name, no address) ends the walk without a match unless `+include_unknown` or `+ignore_unknown` stood
  before the item; `ListDefer` likewise with `+include_defer` and `+ignore_defer`. Only host lists know these words.
- A file (`/path`) is a run of items without named lists and files of its own; its sign applies to each.
- Debugging lines are those of Exim's `-bh`, word for word: administrators read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.lists.cache import ListCache
from angaros.lists.files import read_items
from angaros.lists.parse import WHITE, take_separator
from angaros.model.errors import ExpansionError, ForcedFailure, ListDefer
from angaros.model.interfaces import ListMatch
from angaros.model.text import Tainted, quoted_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from angaros.lists.subject import Subject
    from angaros.model.scope import Scope

NO_MATCH = ListMatch(False)
MATCH = ListMatch(True)
MAX_DEPTH = 50
"""Named lists within named lists; more can only be a loop."""
DECIDED = "+"
"""Key of a result that `+include_unknown` and its like made: no sign turns it round."""
NOUNS = {"domain": " domain", "host": " host", "address": " address", "localpart": " local part", "string": ""}


class HostUnknown(Exception):
    """A host item needs a name or an address that does not exist. `args[0]`: `failed to find host name for 1.2.3.4`."""


def visible(text: str) -> str:
    """White space made visible, as in Exim's `list element:` lines (UTF-8 octets)."""
    return text.replace(" ", "\xe2\x96\x91").replace("\n", "\xe2\x86\xa9\n ").replace("\t", "\xe2\x90\x89")


class Walk:
    """One check of one subject against one list."""

    __slots__ = (
        "cache",
        "ignore_defer",
        "ignore_unknown",
        "include_defer",
        "include_unknown",
        "label",
        "name",
        "negative",
        "scope",
        "subject",
        "tracing",
    )

    def __init__(self, subject: Subject, scope: Scope, cache: ListCache) -> None:
        self.subject = subject
        self.scope = scope
        self.cache = cache
        self.label = self.name = ""
        self.tracing = scope.tracing("lists")
        self.negative = False
        """Sign of the last item looked at: what the end of the list means."""
        self.include_unknown = self.ignore_unknown = False
        self.include_defer = self.ignore_defer = False

    def trace(self, text: str) -> None:
        """A debugging line."""
        if self.tracing:
            self.scope.trace("lists", text)

    def run(self, items: str | None, option: str = "", expand: bool = True) -> ListMatch:
        """Expand, split and walk."""
        if items is None:
            unset = f"in {option}? no (option unset)" if option else "not in empty list (option unset? cannot trace name)"
            self.trace(f"{self.subject.label} {unset}")
            return NO_MATCH
        separator, rest = take_separator(items)
        written = separator != "\\" or not expand  # `<\n`: what the expansion makes is the separator
        text = (self._expand(rest if written else items)) if expand else rest
        if text is None:
            return NO_MATCH
        if not written:
            separator, text = take_separator(text)
        return self.along(self.cache.plan(text, separator), option or f'"{text}"')

    def _expand(self, text: str) -> str | None:
        """None after a forced failure. # Exim spec 10.1"""
        try:
            return self.scope.expand(text)
        except ForcedFailure:
            self.trace(f'expansion of "{text}" forced failure: assume not in this list')
            return None
        except ExpansionError as error:
            if error.temporary:
                raise ListDefer(str(error)) from error
            self.scope.log(f'failed to expand "{text}" while checking a list: {error}', panic=True)
            raise ListDefer("") from error

    def along(self, items: Sequence[str], name: str) -> ListMatch:
        """Walk items that are split already; `name` is what the debugging lines call the list."""
        self.name = name
        scope, tracing = self.scope, self.tracing
        depth = scope.depth
        if tracing:
            self.label = f"{self.subject.label} in {name}?"
            scope.trace("lists", self.label)
        for item in items:
            scope.depth = depth + 1
            if tracing:
                scope.trace("lists", f"list element: {visible(item)}")
            self.negative, pattern = sign(item) if item[:1] == "!" else (False, item)
            found = self._item(item, pattern)
            if found is not None:
                scope.depth = depth
                return found
        scope.depth = depth
        if tracing:
            scope.trace("lists", f"{self.label} {'yes' if self.negative else 'no'} (end of list)")
        return MATCH if self.negative else NO_MATCH

    def _item(self, item: str, pattern: str) -> ListMatch | None:
        """What the item decides; None: go on."""
        head = pattern[:1]
        if head == "+":
            if self.subject.special(pattern) or self._special(pattern):
                return None
            if self.subject.has_names:
                return self._named(item, pattern)
        elif head == "/":
            return self._file(pattern)
        found = self._test(item, pattern)
        return self._verdict(found, item, "") if found is not None and found.key != DECIDED else found

    def _special(self, pattern: str) -> bool:
        """`+include_unknown` and its like. # Exim spec 10.15-10.17"""
        if self.subject.kind != "host":
            return False
        if pattern in ("+include_unknown", "+ignore_unknown"):
            self.include_unknown = pattern == "+include_unknown"
            self.ignore_unknown = not self.include_unknown
        elif pattern in ("+include_defer", "+ignore_defer"):
            self.include_defer = pattern == "+include_defer"
            self.ignore_defer = not self.include_defer
        else:
            return False
        return True

    def _verdict(self, found: ListMatch, item: str, where: str) -> ListMatch:
        """The item matched: its sign decides."""
        if self.tracing:
            self.scope.trace("lists", f'{self.label} {"no" if self.negative else "yes"} (matched "{item}"{where})')
        if not self.negative:
            return found
        if self.subject.kind == "host" and not where:
            return NO_MATCH  # only domains, and lines of files, are remembered as what they are
        return ListMatch(False, found.data, found.key)

    def _test(self, item: str, pattern: str, in_file: bool = False) -> ListMatch | None:
        """Test one plain item. A result whose key is DECIDED ends the walk whatever the sign."""
        try:
            return self.subject.test(pattern, self.scope)
        except HostUnknown as error:
            return self._unknown(str(error), in_file)
        except ListDefer as error:
            return self._deferred(item, str(error))

    def _unknown(self, text: str, in_file: bool) -> ListMatch | None:
        """# Exim spec 10.15"""
        if self.ignore_unknown:
            self.trace(f"{text}: item ignored by +ignore_unknown")
            return None
        self.trace(f"{self.label} {'yes' if self.include_unknown else 'no'} ({text})")
        if not in_file:
            self._shift()
        if self.include_unknown:
            self.scope.log(f"{text}: accepted by +include_unknown")
            return ListMatch(True, None, DECIDED)
        self.scope.log(f"list matching forced to fail: {text}", selector="unknown_in_list")
        return ListMatch(False, None, DECIDED)

    def _deferred(self, item: str, text: str) -> ListMatch | None:
        """# Exim spec 10.17"""
        reason = text or f'DNS lookup of "{item}" deferred'
        if self.ignore_defer:
            self.trace(f"{reason}: item ignored by +ignore_defer")
            return None
        if self.include_defer:
            self._shift()
            self.scope.log(f"{reason}: accepted by +include_defer")
            return ListMatch(True, None, DECIDED)
        self.scope.depth -= 1
        self.trace(f"{self.label} list match deferred for {sign(item)[1]}")
        raise ListDefer(reason)

    def _shift(self) -> None:
        """All later debugging lines of the connection stand one column further right, as in Exim."""
        session = self.scope.session
        if session is not None:
            session.extra["trace_shift"] = session.extra.get("trace_shift", 0) + 1

    def _file(self, path: str) -> ListMatch | None:
        """# Exim spec 10.3"""
        outer = self.negative
        for line in read_items(path, self):
            inner, pattern = sign(line)
            found = self._test(line, pattern, in_file=True)
            if found is not None:
                if found.key == DECIDED:
                    return found
                self.negative = outer
                self._verdict(found, line, f" in {path}")
                return ListMatch(outer == inner, found.data or pattern, found.key)
            self.negative = outer != inner
        return None

    def _named(self, item: str, pattern: str) -> ListMatch | None:
        """# Exim spec 10.6, 10.8"""
        scope = self.scope
        depth = scope.depth
        text = self._named_text(pattern)
        tracing = self.tracing
        if tracing:
            self.trace(f" start sublist {pattern[1:]}")
        suffix = " - cached"
        found = self.cache.get(self.subject, pattern[1:], scope)
        if found is not None:
            self.trace(f"cached {'yes' if found.matched else 'no'} match for {pattern}")
            self.trace(f"cached lookup data = {'NULL' if found.data is None else found.data}")
        else:
            suffix = ""
            scope.depth = depth + 2
            try:
                found = Walk(self.subject, scope, self.cache).run(text)
            except ListDefer as error:
                scope.depth = depth
                return self._deferred(item, str(error))
            scope.depth = depth
            if tracing:
                self.trace(f" end sublist {pattern[1:]}")
            self._keep(pattern, found)
        if not found.matched:
            return None
        if tracing:
            self.trace(f'{self.label} {"no" if self.negative else "yes"} (matched "{item}"{suffix})')
        return ListMatch(False, found.data) if self.negative else found

    def _named_text(self, pattern: str) -> str:
        named = self.cache.named(self.subject.kind, pattern[1:])
        if named is None or self.scope.depth > 2 * MAX_DEPTH:
            self.scope.log(f'unknown named{NOUNS[self.subject.kind]} list "{pattern}"', panic=True)
            self.scope.depth -= 1
            raise ListDefer("")
        return named.text

    def _keep(self, pattern: str, found: ListMatch) -> None:
        if self.cache.put(self.subject, pattern[1:], self.scope, found) and found.data is not None:
            self.trace(f"data from lookup saved for cache for {pattern}: key '{self.subject.key}' value '{found.data}'")


def sign(item: str) -> tuple[bool, str]:
    """Whether the item is negative, and the item without its sign. # Exim spec 10.2"""
    if item[:1] == "!":
        rest = item[1:].lstrip(WHITE)
        return True, quoted_for(rest, item.quoter) if isinstance(item, Tainted) else rest
    return False, item
