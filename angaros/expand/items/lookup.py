"""`${lookup{key} type {file}{yes}{no}}` and `${lookup type {query}{yes}{no}}`. # Exim spec 11.5 (lookup)

Law: which types exist is known to the lookups room only, and it comes after this one: a wrong type is found when the item is
evaluated (Exim finds it where the item is skipped, too).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.items.branches import Branches, parse_branches
from angaros.expand.limits import permitted
from angaros.expand.nodes import Node, fail
from angaros.expand.parser import LETTERS, SPACE, Parser
from angaros.model.errors import LookupDefer, LookupFailure

if TYPE_CHECKING:
    from angaros.model.scope import Scope


class Lookup(Node):
    """A search. Its result is `$value`; `$1` and `$2` are the parts of a partial match."""

    __slots__ = ("branches", "checked", "key", "kind", "source")

    def __init__(self, kind: str, key: Node | None, source: Node, branches: Branches) -> None:
        super().__init__()
        self.kind = kind
        self.checked = False
        """The type exists and has this style: known after the first evaluation."""
        self.key = key
        self.source = source
        self.branches = branches
        self.skip_error = (key.skip_error if key is not None else None) or source.skip_error or branches.skip_error
        self.skip_text = branches.skip_text

    def eval(self, scope: Scope) -> str:
        if "expand_forbid" in scope.local:
            permitted(scope, "lookup")
        key = self.key.eval(scope) if self.key is not None else None
        if not self.checked:
            self._check_style(scope)
            self.checked = True
        source = self.source.eval(scope)
        lookups = scope.services.lookups
        try:
            if key is None:
                found = lookups.search(self.kind, source, scope)
            else:
                found = lookups.search(self.kind, key, scope, source=source)
        except LookupDefer as error:
            reason = str(error).replace("\\", "\\\\").replace('"', '\\"')
            deferred = fail(f'lookup of "{source if key is None else key}" gave DEFER: "{reason}"')
            deferred.temporary = True
            raise deferred from None
        except LookupFailure as error:
            raise fail(str(error)) from None
        saved = scope.numeric
        if found.partial:
            scope.numeric = ("", *found.partial)
        try:
            return self.branches.with_value(found.value, scope)
        finally:
            scope.numeric = saved

    def _check_style(self, scope: Scope) -> None:
        try:
            query_style = scope.services.lookups.is_query_style(self.kind)
        except KeyError as error:
            raise fail(str(error)) from None
        except LookupFailure as error:
            raise fail(str(error)) from None
        name = self.kind.partition(",")[0]
        if query_style and self.key is not None:
            raise fail(f'a single key was given for lookup type "{name}", which is not a single-key lookup type')
        if not query_style and self.key is None:
            raise fail(f'missing {{key}} for single-key "{name}" lookup')


class _WrongType(Lookup):
    """A lookup whose text ends after its type: the type may be wrong, too, and that is said first."""

    __slots__ = ()

    def eval(self, scope: Scope) -> str:
        if self.key is not None:
            self.key.eval(scope)
        self._check_style(scope)
        return self.source.eval(scope)


def parse_lookup(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (lookup)"""
    key: Node | None = None
    if p.skip_space() == "{":
        key = p.group()
        if p.broken:
            return p.unfinished([key])
    ch = p.skip_space()
    if not ch or ch not in LETTERS:
        return p.unfinished([*([key] if key else []), p.fail("missing lookup type")])
    start = p.pos
    while p.pos < p.end and p.text[p.pos] != "{" and p.text[p.pos] not in SPACE:
        p.pos += 1
    kind = p.text[start : p.pos]
    if p.skip_space() != "{":
        return _WrongType(kind, key, p.fail_curly("missing '{' for lookup file-or-query arg"), Branches(name))
    source = p.group()
    if p.broken:
        return _WrongType(kind, key, source, Branches(name))
    return Lookup(kind, key, source, parse_branches(p, name))
