"""Items that go through a list: `filter`, `map`, `reduce`, `sort`.

Law: before the list is gone through, Exim reads the condition or expression once, skipping. What that finds is reported with
`inside "map" item`, whether the list has items or not; what a later evaluation finds is reported with its own words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from angaros.expand.conditions.lists import Match
from angaros.expand.limits import KIB, begin_loop, end_loop, spend
from angaros.expand.nodes import ITEM, VALUE, Cond, Node, check_length, fail, first_skip_error
from angaros.expand.parser import Parser
from angaros.lists.parse import split_as_told, split_list
from angaros.model.errors import ExpansionError
from angaros.model.text import Tainted, concat

if TYPE_CHECKING:
    from angaros.model.scope import Scope


class Filter(Node):
    """`${filter{list}{condition}}`."""

    __slots__ = ("condition", "source")

    def __init__(self, source: Node, condition: Cond) -> None:
        super().__init__()
        self.source = source
        self.condition = condition
        self.depends = source.depends | condition.depends & ~ITEM

    def eval(self, scope: Scope) -> str:
        text = self.source.eval(scope)
        if self.skip_error is not None:
            raise fail(self.skip_error)
        separator, items = split_as_told(text)
        local, numeric = scope.local, scope.numeric
        saved, value = local.get("item"), local.get("value")
        outermost = begin_loop(scope, len(items))
        found: list[str] = []
        holds = self.condition.eval
        try:
            for item in items:
                local["item"] = item
                if holds(scope):
                    found.append(item)
        except ExpansionError as error:
            raise inside(error, f'{error} inside "filter" condition') from None
        finally:
            if outermost:
                end_loop(scope)
            scope.numeric = numeric
            restore(local, "item", saved)
            if local.get("value") is not value:
                restore(local, "value", value)
        return join_items(found, separator)


class Map(Node):
    """`${map{list}{expression}}`."""

    __slots__ = ("expression", "source")

    def __init__(self, source: Node, expression: Node) -> None:
        super().__init__()
        self.source = source
        self.expression = expression
        self.depends = source.depends | expression.depends & ~ITEM

    def eval(self, scope: Scope) -> str:
        text = self.source.eval(scope)
        if self.skip_error is not None:
            raise fail(self.skip_error)
        separator, items = split_as_told(text)
        local, numeric = scope.local, scope.numeric
        saved, value = local.get("item"), local.get("value")
        outermost = begin_loop(scope, len(items))
        found: list[str] = []
        total = 0
        evaluate = self.expression.eval
        try:
            for item in items:
                local["item"] = item
                text = evaluate(scope)
                found.append(text)
                total += len(text)
                if total >= KIB:
                    spend(scope, len(text))
                    check_length(total)
        except ExpansionError as error:
            raise inside(error, f'{quoted(str(error))} inside "map" item') from None
        finally:
            if outermost:
                end_loop(scope)
            scope.numeric = numeric
            restore(local, "item", saved)
            if local.get("value") is not value:
                restore(local, "value", value)
        return join_items(found, separator)


def inside(error: ExpansionError, text: str) -> ExpansionError:
    """The same kind of error with another text."""
    new = type(error)(text)
    new.position = error.position
    new.temporary = error.temporary
    return new


def quoted(text: str) -> str:
    """Text in double quotes, as Exim shows the error of an inner expression."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def restore(local: dict[str, str], name: str, saved: str | None) -> None:
    """Put `$item` or `$value` back."""
    if saved is not None:
        local[name] = saved
    elif name in local:
        del local[name]


def join_items(items: list[str], separator: str) -> str:
    """Items as a list again: separators doubled, a space where an item would otherwise run into the separator before it."""
    joined = separator.join(items)
    if joined.count(separator) == len(items) - 1 and "" not in items:
        return Tainted(joined) if Tainted in map(type, items) else joined
    parts: list[str] = []
    doubled = separator * 2
    for item in items:
        if separator in item:
            item = item.replace(separator, doubled)
        if parts:
            parts.append(separator)
            if not item or item[0] == separator:
                parts.append(" ")
        parts.append(item)
    return concat(parts)


def _opening(p: Parser, which: str, name: str) -> Node | None:
    """An argument's opening brace: None when it is there."""
    return None if p.skip_space() == "{" else p.fail_curly(f"missing '{{' for {which} arg of {name}")


def parse_each(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (filter, map)"""
    missing = _opening(p, "first", name)
    if missing:
        return missing
    source = p.group()
    if p.broken:
        return source
    missing = _opening(p, "last", name)
    if missing:
        return p.unfinished([source, missing])
    condition, expression, error = _body(p, name)
    if isinstance(condition, Match):
        condition = condition.without_captures()  # nobody sees them
    if condition is not None:
        node: Node = Filter(source, condition)
    else:
        assert expression is not None
        node = Map(source, expression)
    node.skip_error = source.skip_error or error
    return node


def _body(p: Parser, name: str) -> tuple[Cond | None, Node | None, str | None]:
    """The last argument and the item's closing brace; the error that reading them finds."""
    p.pos += 1
    condition, expression = None, None
    if name == "filter":
        condition = p.condition()
        error = condition.skip_error
    else:
        expression = p.string()
        error = expression.skip_error
    if not p.broken and error is None and p.pos >= p.end and name != "filter":
        error = p.fail_end().message
    if error is not None and (p.broken or error):
        return condition, expression, f'{error} inside "{name}" item'
    if p.skip_space() != "}":
        text = f'missing }} at end of condition or expression inside "{name}"; could be an unquoted }} in the content'
        return condition, expression, p.fail(text).message
    p.pos += 1
    if p.skip_space() != "}":
        return condition, expression, p.fail(f'missing }} at end of "{name}"').message
    p.pos += 1
    return condition, expression, None


class Reduce(Node):
    """`${reduce{list}{start}{expression}}`."""

    __slots__ = ("expression", "source", "start")

    def __init__(self, source: Node, start: Node, expression: Node) -> None:
        super().__init__()
        self.source = source
        self.start = start
        self.expression = expression
        self.depends = source.depends | start.depends | expression.depends & ~(ITEM | VALUE)

    def eval(self, scope: Scope) -> str:
        text = self.source.eval(scope)
        value = self.start.eval(scope)
        if self.skip_error is not None:
            raise fail(self.skip_error)
        items = split_list(text)
        local = scope.local
        saved_item, saved_value, numeric = local.get("item"), local.get("value"), scope.numeric
        outermost = begin_loop(scope, len(items))
        try:
            evaluate = self.expression.eval
            for item in items:
                if len(value) >= KIB:
                    spend(scope, len(value))
                local["item"] = item
                local["value"] = value
                value = evaluate(scope)
        except ExpansionError as error:
            raise inside(error, f'{quoted(str(error))} inside "reduce" item') from None
        finally:
            if outermost:
                end_loop(scope)
            scope.numeric = numeric
            restore(local, "item", saved_item)
            restore(local, "value", saved_value)
        return value


def parse_reduce(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (reduce)"""
    nodes: list[Node] = []
    for which in ("first", "second"):
        missing = _opening(p, which, name)
        nodes.append(missing or p.group())
        if p.broken:
            return p.unfinished(nodes)
    missing = _opening(p, "last", name)
    if missing:
        return p.unfinished([*nodes, missing])
    _, expression, error = _body(p, name)
    assert expression is not None
    node = Reduce(nodes[0], nodes[1], expression)
    node.skip_error = first_skip_error(nodes) or error
    return node


# --- sort --------------------------------------------------------------------------------------------------------------

COMPARATORS = frozenset({"<", "<=", ">", ">=", "lt", "lti", "le", "lei", "gt", "gti", "ge", "gei"})
"""What `sort` can sort by."""
OTHER_COMPARATORS = frozenset({"=", "==", "eq", "eqi", "match"})
"""Conditions that have two arguments and give no order."""


MAX_UNORDERED = 1000
"""Longest list that is sorted although some of its keys are no numbers: that takes time by the square."""


class Sort(Node):
    """`${sort{list}{comparator}{extractor}}`. The comparator is taken as written."""

    __slots__ = ("error", "extractor", "extractor_text", "operator", "source")

    def __init__(self, source: Node, operator: str, extractor: Node, extractor_text: str) -> None:
        super().__init__()
        self.source = source
        self.operator = _comparator(operator)
        self.extractor = extractor
        self.extractor_text = extractor_text
        self.depends = source.depends | extractor.depends & ~ITEM
        self.error = _comparator_error(self.operator, operator)
        self.skip_error = source.skip_error or self.error or extractor.skip_error

    def eval(self, scope: Scope) -> str:
        text = self.source.eval(scope)
        error = self.error or self.extractor.skip_error
        if error is not None:
            raise fail(error)
        separator, items = split_as_told(text)
        keyed = self._keys(items, scope)
        return join_items([item for _, item in sort_by(keyed, self.operator)], separator)

    def _keys(self, items: list[str], scope: Scope) -> list[tuple[str, str]]:
        local = scope.local
        saved, numeric = local.get("item"), scope.numeric
        keyed: list[tuple[str, str]] = []
        outermost = begin_loop(scope, len(items))
        try:
            for item in items:
                local["item"] = item
                try:
                    key = self.extractor.eval(scope)
                except ExpansionError as error:
                    raise inside(error, f'field-extract in sort: "{self.extractor_text}"') from None
                if not key:
                    raise fail(f'field-extract in sort: "{self.extractor_text}"')
                keyed.append((key, item))
        finally:
            if outermost:
                end_loop(scope)
            scope.numeric = numeric
            restore(local, "item", saved)
        return keyed


def sort_by(keyed: list[tuple[str, str]], operator: str) -> list[tuple[str, str]]:
    """Sorted by a condition on the first members. Each item goes before the first that it may stand before."""
    from functools import cmp_to_key

    from angaros.expand.conditions.compare import comparison, integer

    before = comparison(operator)
    if operator[0] in "<>=":
        try:
            for key, _ in keyed:
                integer(key)
        except ExpansionError:
            return _insert(keyed, before)
    if operator.rstrip("i").endswith(("e", "=")):
        keyed.reverse()  # those that are equal: the last comes first

    def order(a: tuple[str, str], b: tuple[str, str]) -> int:
        first, second = before(a[0], b[0]), before(b[0], a[0])
        return 0 if first == second else -1 if first else 1

    return sorted(keyed, key=cmp_to_key(order))


def _insert(keyed: list[tuple[str, str]], before: Callable[[str, str], bool]) -> list[tuple[str, str]]:
    """The same where some keys cannot be compared: then nothing stands before the other. ExpansionError for a long list."""
    found: list[tuple[str, str]] = []
    for key, item in keyed:
        place = len(found)
        for index, (other, _) in enumerate(found):
            try:
                if before(key, other):
                    place = index
                    break
            except ExpansionError:
                if len(keyed) > MAX_UNORDERED:
                    raise
        found.insert(place, (key, item))
    return found


def _comparator(text: str) -> str:
    """The condition's name that a text begins with."""
    if text[:1] in ("<", ">", "="):
        return text[:2] if text[1:2] == "=" else text[:1]
    size = 0
    while size < len(text) and (text[size].isalnum() or text[size] == "_"):
        size += 1
    return text[:size]


def _comparator_error(operator: str, text: str) -> str | None:
    if operator in COMPARATORS:
        return None
    if operator in OTHER_COMPARATORS:
        return "comparator not handled for sort"
    if not operator:
        return f'condition name expected, but found "{text[:16]}"'
    return f'unknown condition "{operator}" as comparator for sort'


def parse_sort(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (sort)"""
    nodes: list[Node] = []
    texts: list[str] = []
    for which in ("list", "comparator", "extractor"):
        missing = _opening(p, which, name)
        start = p.pos + 1
        nodes.append(missing or p.group(dollar=which != "comparator"))
        texts.append(p.text[start : p.pos - 1])
        if which == "comparator" and not p.broken:
            error = _comparator_error(_comparator(nodes[1].skip_text), nodes[1].skip_text)
            if error is not None:
                nodes.append(p.fail(error))
        if p.broken:
            return p.unfinished(nodes)
    if p.peek() != "}":
        return p.unfinished([*nodes, p.fail('missing } at end of "sort"')])
    p.pos += 1
    return Sort(nodes[0], nodes[1].skip_text, nodes[2], texts[2])
