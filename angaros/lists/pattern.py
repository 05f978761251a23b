"""One pattern against one string: `^regex`, `*suffix`, `type;lookup`, literal. # Exim spec 10.9

Used for domains, local parts, plain strings, host names, and the keys of `wildlsearch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros import regex
from angaros.lists.parse import WHITE
from angaros.model.errors import ListDefer, LookupDefer, LookupFailure, PanicError
from angaros.model.interfaces import ListMatch, LookupResult
from angaros.model.text import Tainted, like, lower, quoted_for

if TYPE_CHECKING:
    from angaros.model.scope import Scope


def match_pattern(subject: str, pattern: str, scope: Scope, *, caseless: bool = True, partial: bool = True) -> ListMatch | None:
    """Whether `subject` matches. `$0` is the subject then; `$1`, ... come from wildcards, regular expressions, partial keys."""
    scope.numeric = (subject,)
    head = pattern[:1]
    if head == "^":
        return match_regex(subject, pattern, scope, caseless)
    if head == "*":
        return match_suffix(subject, pattern, scope, caseless)
    if ";" in pattern:
        return match_lookup(subject, pattern, scope, partial)
    same = pattern == subject or (caseless and lower(pattern) == lower(subject))
    return ListMatch(True, pattern, subject) if same else None


def match_regex(subject: str, pattern: str, scope: Scope, caseless: bool) -> ListMatch | None:
    """# Exim spec 8"""
    try:
        groups = regex.compile(pattern, caseless).match(subject)
    except regex.RegexError as error:
        raise PanicError(str(error)) from error
    if groups is None:
        return None
    scope.numeric = tuple(like(group, subject) for group in groups)
    return ListMatch(True, pattern, subject)


def match_suffix(subject: str, pattern: str, scope: Scope, caseless: bool) -> ListMatch | None:
    """`*` at the start matches any string, also none."""
    size = len(pattern) - 1
    if size > len(subject):
        return None
    start = len(subject) - size
    end = subject[start:]
    if end != pattern[1:] and not (caseless and lower(end) == lower(pattern[1:])):
        return None
    scope.numeric = (subject, subject[:start])
    return ListMatch(True, pattern, subject)


def match_lookup(subject: str, pattern: str, scope: Scope, partial: bool = True) -> ListMatch | None:
    """`type;file` with the subject as key, or `type;query`."""
    kind, data = split_lookup(pattern)
    result = look_up(kind, subject, data, scope)
    if result.value is None:
        return None
    if result.partial and partial:
        scope.numeric = (subject, *result.partial)
    return ListMatch(True, result.value, subject)


def split_lookup(item: str) -> tuple[str, str]:
    """Type, and file or query, of `type;data`. The type is the administrator's word; the data keeps its taint and quoting."""
    kind, _, data = str(item).partition(";")
    data = data.lstrip(WHITE)
    return kind, quoted_for(data, item.quoter) if isinstance(item, Tainted) else data


def look_up(kind: str, key: str, data: str, scope: Scope) -> LookupResult:
    """A search whose key is implicit. # Exim spec 9.1"""
    lookups = scope.services.lookups
    try:
        if lookups.is_query_style(kind):
            return lookups.search(kind, data, scope)
        return lookups.search(kind, key, scope, source=data)
    except KeyError as error:
        raise PanicError(str(error.args[0])) from None
    except LookupDefer as error:
        raise ListDefer(str(error)) from error
    except LookupFailure as error:
        raise PanicError(str(error)) from error
