"""Conditions about patterns and lists: `match`, `match_*`, `inlist`, `forany`, `forall`, `acl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.conditions.compare import ascii_lower, read_arguments
from angaros.expand.limits import begin_loop, end_loop
from angaros.expand.nodes import ITEM, VALUE, BrokenCond, Cond, Node, fail, first_skip_error
from angaros.expand.parser import Parser
from angaros.lists.parse import split_list
from angaros.model.errors import AngarosError, ExpansionError, ListDefer, PanicError

if TYPE_CHECKING:
    from angaros.model.scope import Scope
    from angaros.regex import Regex


class Match(Cond):
    """`match{subject}{pattern}`: sets `$0`, `$1`, ..."""

    __slots__ = ("compiled", "pattern", "subject")

    def __init__(self, subject: Node, pattern: Node) -> None:
        super().__init__()
        self.subject = subject
        self.pattern = pattern
        self.compiled: Regex | None = None
        """The pattern, once it was used, when it is constant."""
        self.captures = True
        self.depends = subject.depends | pattern.depends
        self.skip_error = subject.skip_error or pattern.skip_error

    def eval(self, scope: Scope) -> bool:
        subject = self.subject.eval(scope)
        compiled = self.compiled or self._compile(scope)
        found = compiled.match(subject)
        if found is None:
            return False
        scope.numeric = found
        return True

    def _compile(self, scope: Scope) -> Regex:
        from angaros import regex

        try:
            compiled = regex.compile(self.pattern.eval(scope))
        except regex.RegexError as error:
            raise fail(str(error)) from None
        if self.pattern.depends == 0:
            self.compiled = compiled
        return compiled

    def without_captures(self) -> Match:
        """The same for a place where nothing asks for `$1`; itself when an argument may."""
        if (self.subject.depends | self.pattern.depends) & ~(ITEM | VALUE):
            return self
        made = _MatchOnly(self.subject, self.pattern)
        made.skip_error = self.skip_error
        return made


class _MatchOnly(Match):
    """Whether it matches."""

    __slots__ = ()

    def eval(self, scope: Scope) -> bool:
        subject = self.subject.eval(scope)
        return (self.compiled or self._compile(scope)).matches(subject)


def parse_match(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (match)"""
    nodes = read_arguments(p, name, 2)
    return BrokenCond(nodes) if p.broken else Match(nodes[0], nodes[1])


# --- match_domain and the like -----------------------------------------------------------------------------------------


class MatchList(Cond):
    """`match_domain{subject}{list}`: the list is not expanded; sets `$value`, `$0`, `$1`, ..."""

    __slots__ = ("items", "name", "subject")

    def __init__(self, name: str, subject: Node, items: Node) -> None:
        super().__init__()
        self.name = name
        self.subject = subject
        self.items = items
        self.sets_value = True
        self.skip_error = subject.skip_error or items.skip_error

    def eval(self, scope: Scope) -> bool:
        subject = self.subject.eval(scope)
        items = self.items.eval(scope)
        matcher = scope.services.lists
        try:
            if self.name == "match_domain":
                found = matcher.match_domain(subject, items, scope, expand=False)
            elif self.name == "match_local_part":
                found = matcher.match_local_part(subject, items, scope, expand=False)
            elif self.name == "match_address":
                found = matcher.match_address(subject, items, scope, expand=False, numeric=True)
            else:
                if subject and not _is_ip(subject):
                    raise fail(f'"{subject}" is not an IP address')
                found = matcher.match_host(items, scope, name="", address=subject)  # the only list that is expanded
        except ListDefer as error:
            wrapped = fail(f'unable to complete match against "{items}": {str(error) or "NULL"}')
            wrapped.temporary = True
            raise wrapped from None
        except (ExpansionError, PanicError):
            raise
        except AngarosError as error:
            raise fail(f'unable to complete match against "{items}": {error}') from None
        if found and found.data is not None:
            scope.local["value"] = found.data
        return found.matched


def _is_ip(text: str) -> bool:
    from angaros.expand.ip import ip_version

    return ip_version(text) != 0


def parse_match_list(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (match_address, match_domain, match_ip, match_local_part)"""
    nodes = read_arguments(p, name, 1)
    if not p.broken:
        if p.skip_space() != "{":
            nodes.append(p.fail_curly(f'missing 2nd string in {{}} after "{name}"'))
        else:
            nodes.append(p.group(dollar=False))
    return BrokenCond(nodes) if p.broken else MatchList(name, nodes[0], nodes[1])


# --- inlist ------------------------------------------------------------------------------------------------------------


class InList(Cond):
    """`inlist{string}{list}`: sets `$value` to the item."""

    __slots__ = ("caseless", "items", "subject")

    def __init__(self, subject: Node, items: Node, caseless: bool) -> None:
        super().__init__()
        self.subject = subject
        self.items = items
        self.caseless = caseless
        self.sets_value = True
        self.depends = subject.depends | items.depends
        self.skip_error = subject.skip_error or items.skip_error

    def eval(self, scope: Scope) -> bool:
        subject = self.subject.eval(scope)
        wanted = ascii_lower(subject) if self.caseless else subject
        for item in split_list(self.items.eval(scope)):
            if (ascii_lower(item) if self.caseless else item) == wanted:
                scope.local["value"] = item
                return True
        return False


def parse_inlist(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (inlist, inlisti)"""
    nodes = read_arguments(p, name, 2)
    return BrokenCond(nodes) if p.broken else InList(nodes[0], nodes[1], name.endswith("i"))


# --- forany, forall ----------------------------------------------------------------------------------------------------


class ForEach(Cond):
    """`forany{list}{condition}`, `forall`, and their JSON forms."""

    __slots__ = ("condition", "json", "name", "source", "stop", "strings")

    def __init__(self, name: str, source: Node, condition: Cond) -> None:
        super().__init__()
        self.name = name
        self.source = source
        self.condition = condition
        self.stop = name.startswith("forany")
        self.json = "_json" in name
        self.strings = name.endswith("_jsons")
        self.depends = source.depends | condition.depends & ~ITEM

    def _items(self, text: str) -> list[str]:
        if not self.json:
            return split_list(text)
        from angaros.expand import jsontext
        from angaros.model.text import like

        what = "extract jsons" if self.strings else "extract json"
        items = [item.rstrip() for item in jsontext.array_items(text, what)]
        if self.strings:
            items = [jsontext.unquote(item, what) for item in items]
        return [like(item, text) for item in items]

    def eval(self, scope: Scope) -> bool:
        text = self.source.eval(scope)
        if self.skip_error is not None:
            raise fail(self.skip_error)
        items = self._items(text)
        local = scope.local
        saved = local.get("item")
        outermost = begin_loop(scope, len(items))
        try:
            stop, evaluate = self.stop, self.condition.eval
            for item in items:
                local["item"] = item
                if evaluate(scope) is stop:
                    return stop
            return bool(items) and not stop
        except ExpansionError as error:
            from angaros.expand.items.lists import inside

            raise inside(error, f'{error} inside "{self.name}" condition') from None
        finally:
            if outermost:
                end_loop(scope)
            if saved is None:
                local.pop("item", None)
            else:
                local["item"] = saved


def parse_for(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (forany, forall)"""
    nodes = read_arguments(p, name, 1)
    if p.broken:
        return BrokenCond(nodes)
    if p.skip_space() != "{":
        return BrokenCond([*nodes, p.fail_curly(f'missing {{ after "{name}"')])
    p.pos += 1
    condition = p.condition()
    error = None if condition.skip_error is None else f'{condition.skip_error} inside "{name}" condition'
    if not p.broken and error is None:
        if p.skip_space() == "}":
            p.pos += 1
        else:
            error = p.fail(f'missing }} at end of condition inside "{name}"').message
    elif not p.broken:
        p.skip_space()
        p.pos += 1
    node = ForEach(name, nodes[0], condition)
    node.skip_error = first_skip_error(nodes) or error
    return node


# --- acl ---------------------------------------------------------------------------------------------------------------


class AclCond(Cond):
    """`acl{{name}{arg}...}`: true when it accepts; its message is `$value`."""

    __slots__ = ("arguments",)

    def __init__(self, arguments: list[Node]) -> None:
        super().__init__()
        self.arguments = arguments
        self.sets_value = True
        self.skip_error = first_skip_error(arguments)

    def eval(self, scope: Scope) -> bool:
        from angaros.expand.items.control import run_acl

        texts = [node.eval(scope) for node in self.arguments]
        outcome, message = run_acl(texts, scope)
        if outcome in ("accept", "deny", "discard", "drop"):
            scope.local["value"] = message
            return outcome in ("accept", "discard")
        if outcome == "defer":
            from angaros.model.errors import ForcedFailure

            raise ForcedFailure(f'DEFER from acl "{texts[0]}"')
        raise fail(f'ERROR from acl "{texts[0]}"')


def read_inner_arguments(p: Parser, name: str, low: int, high: int) -> list[Node]:
    """`{{a}{b}...}`: arguments in their own braces. Look at `broken` afterwards."""
    if p.skip_space() != "{":
        return [p.fail_curly(f'missing {{ after "{name}"')]
    p.pos += 1
    nodes: list[Node] = []
    while len(nodes) < high and p.skip_space() == "{":
        nodes.append(p.group())
        if p.broken:
            return nodes
    if len(nodes) < low:
        return [*nodes, p.fail(f"too few arguments or bracketing error for {name}")]
    if p.skip_space() != "}":
        many = p.peek() == "{"
        reason = "too many arguments" if many else "missing }"
        return [
            *nodes,
            p.fail(f"{reason} or bracketing error for {name}" if many else f"too few arguments or bracketing error for {name}"),
        ]
    p.pos += 1
    return nodes


def parse_acl(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (acl)"""
    nodes = read_inner_arguments(p, name, 1, 10)
    return BrokenCond(nodes) if p.broken else AclCond(nodes)
