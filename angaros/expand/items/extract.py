"""`${extract` (by name, by number, from JSON) and `${listextract`.

Law: whether the first argument of `extract` is a number, and so how many arguments follow, is known only when it is expanded.
The groups in braces are therefore read once, and both meanings are built on the same groups.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from angaros.expand.items.branches import Branches, finish_branches, parse_branches
from angaros.expand.nodes import Broken, Literal, Node, fail, first_skip_error, joint
from angaros.expand.parser import DIGITS, SPACE, Parser, unescape
from angaros.model.text import like

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_GROUPS = 5
"""Groups that the longest form has: number, separators, data, yes, no."""


def is_number(text: str) -> bool:
    """Digits, perhaps after a minus, white space around not counted."""
    digits = text[1:] if text.startswith("-") else text
    return text != "" and all(ch in DIGITS for ch in digits)


def to_number(text: str) -> int:
    """The value of such a text; a lone minus is 0."""
    value = int(text.lstrip("-")[:20] or "0")
    return -value if text[0] == "-" else value


# --- Meaning -----------------------------------------------------------------------------------------------------------


_SPACES = "[ \\t\\n\\v\\f\\r]*"
_PAIR = re.compile(
    rf'{_SPACES}([^ \t\n\v\f\r=]*){_SPACES}(?:={_SPACES})?("(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^" \t\n\v\f\r][^ \t\n\v\f\r]*|)', re.S
)


_KEY = frozenset(' \t\n\v\f\r="')
"""What no key has."""


@lru_cache(maxsize=1024)
def finder(key: str) -> re.Pattern[str]:
    """Finds the value of a key behind words `name=value` and nothing else; what it does not find may be there all the same."""
    if not _KEY.isdisjoint(key):
        return re.compile("(?!)")
    return re.compile(rf'(?:[^\s="]+=[^\s"]+[ \t\n]+)*?(?i:{re.escape(key)})=([^\s"]+)(?![^ \t\n])', re.A)


def keyed(data: str, key: str) -> str | None:
    """The value of `key` in `key=value key="quoted value" ...`. # Exim spec 11.5 (extract)"""
    found = finder(key).match(data)
    if found is not None:
        return like(found[1], data)
    wanted, text = str(key).lower(), str(data)
    pos, end = 0, len(text.rstrip(" \t\n\v\f\r"))
    match = _PAIR.match
    while pos < end:
        pair = match(text, pos)
        if pair is None or pair.end() == pos:
            return None
        pos = pair.end()
        if pair[1].lower() == wanted:
            return like(dequote(pair[2], 0)[0], data)
    return None


def dequote(data: str, pos: int) -> tuple[str, int]:
    """A word, or a quoted string with its escapes undone, at `pos`; and where it ends."""
    end = len(data)
    if pos >= end or data[pos] != '"':
        start = pos
        while pos < end and data[pos] not in SPACE:
            pos += 1
        return str(data[start:pos]), pos
    parts: list[str] = []
    text = str(data)
    pos += 1
    while pos < end and text[pos] != '"':
        if text[pos] == "\\":
            part, pos = unescape(text, pos)
            parts.append(part)
        else:
            parts.append(text[pos])
            pos += 1
    return "".join(parts), min(pos + 1, end)


def numbered(data: str, number: int, separators: str) -> str | None:
    """Field `number` of `data`; 0 is all, negative from the right. # Exim spec 11.5 (extract)"""
    if number == 0:
        return data
    fields = _split(data, separators)
    if number < 0:
        number = len(fields) + number + 1
    return fields[number - 1] if 0 < number <= len(fields) else None


def _split(data: str, separators: str) -> list[str]:
    if not separators:
        return [data]
    first = separators[0]
    if len(separators) > 1:
        unified = str(data).translate({ord(ch): first for ch in separators[1:]})
        return [like(field, data) for field in unified.split(first)]
    return data.split(first)


# --- extract -----------------------------------------------------------------------------------------------------------


class Form:
    """One of the two meanings: the arguments after the first, and the strings to choose from."""

    __slots__ = ("branches", "nodes")

    def __init__(self, nodes: list[Node], branches: Branches) -> None:
        self.nodes = nodes
        self.branches = branches

    def depends(self) -> int:
        """What its text depends on."""
        return joint(self.nodes) | self.branches.depends


class Extract(Node):
    """`${extract{key}{data}...}` or `${extract{number}{separators}{data}...}`."""

    __slots__ = ("by_name", "by_number", "key", "name", "number")

    def __init__(self, key: Node, by_name: Form, by_number: Form) -> None:
        super().__init__()
        self.key = key
        self.by_name = by_name
        self.by_number = by_number
        self.name = text = key.text.strip(" \t\n\v\f\r") if isinstance(key, Literal) else ""
        self.number = to_number(text) if is_number(text) else None
        self.depends = key.depends
        if not text or self.number is None:
            self.depends |= by_name.depends()
        if not text or self.number is not None:
            self.depends |= by_number.depends()

    def eval(self, scope: Scope) -> str:
        number = self.number
        if number is None:
            key = self.name
            if not key:
                key = self.key.eval(scope).strip(" \t\n\v\f\r")
                if not key:
                    raise fail('first argument of "extract" must not be empty')
                if is_number(key):
                    number = to_number(key)
        if number is None:
            form = self.by_name
            data = form.nodes[0].eval(scope)
            return form.branches.with_value(keyed(data, key), scope)
        form = self.by_number
        texts = [node.eval(scope) for node in form.nodes]
        return form.branches.with_value(numbered(texts[1], number, texts[0]), scope)


class ExtractJson(Node):
    """`${extract json{key or number}{json}...}`."""

    __slots__ = ("branches", "nodes", "strings")

    def __init__(self, nodes: list[Node], strings: bool, branches: Branches) -> None:
        super().__init__()
        self.nodes = nodes
        self.strings = strings
        self.branches = branches
        self.depends = joint(nodes) | branches.depends

    def eval(self, scope: Scope) -> str:
        from angaros.expand import jsontext

        key = self.nodes[0].eval(scope).strip(" \t\n\v\f\r")
        if not key:
            raise fail('first argument of "extract" must not be empty')
        data = self.nodes[1].eval(scope)
        what = "extract json"
        if is_number(key):
            found = jsontext.array_item(data, to_number(key), what)
        else:
            found = jsontext.object_member(data, key, what)
        if found is not None and self.strings:
            found = jsontext.unquote(found, "extract jsons")
        return self.branches.with_value(found, scope)


class _Groups:
    """The groups of an `extract`, and where each ends."""

    __slots__ = ("ends", "nodes")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ends: list[int] = []


def parse_extract(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (extract)"""
    json = ""
    if p.skip_space() == "j" and p.text.startswith("json", p.pos):
        p.pos += 4
        json = "json"
        if p.peek() == "s":
            p.pos += 1
            json = "jsons"
    groups = _Groups()
    while p.skip_space() == "{" and len(groups.nodes) < MAX_GROUPS and not p.broken:
        groups.nodes.append(p.group())
        groups.ends.append(p.pos)
    if not groups.nodes and p.peek() != "}":
        node = p.fail_curly("missing '{' for arg 1 of extract")
        node.skip_error = p.curly("missing '}' closing extract")
        return node
    cut_short = p.broken
    end, skip_error = _skipping(p, groups)
    if json:
        form = _form(p, groups, 0, 2, cut_short)
        item: Node = ExtractJson(form.nodes, json == "jsons", form.branches)
    else:
        key = groups.nodes[0] if groups.nodes else _missing(p, 1)
        item = Extract(key, _form(p, groups, 1, 2, cut_short), _form(p, groups, 1, 3, cut_short))
    item.skip_error = skip_error
    p.broken = cut_short or skip_error is not None
    p.pos = end
    return item


def _missing(p: Parser, number: int) -> Node:
    return Broken(p.curly(f"missing '{{' for arg {number} of extract"), -1)


def _skipping(p: Parser, groups: _Groups) -> tuple[int, str | None]:
    """Where the item ends, and what skipping it finds wrong: it only wants braces, in any number up to five."""
    error = first_skip_error(groups.nodes)
    if error is not None:
        return p.pos, error
    if p.skip_space() == "f" and p.text.startswith("fail", p.pos):
        p.pos += 4
    if p.skip_space() == "}":
        return p.pos + 1, None
    return p.pos, "missing '}' closing extract"


def _form(p: Parser, groups: _Groups, first: int, count: int, cut_short: bool) -> Form:
    """The meaning in which arguments `first` to `count` come before the strings to choose from."""
    nodes = groups.nodes
    if len(nodes) < count:
        return Form([*nodes[first:], _missing(p, len(nodes) + 1)], Branches("extract"))
    given = nodes[count : count + 2]
    p.pos = groups.ends[count - 1 + len(given)]
    p.broken = cut_short and len(nodes) == count + len(given)
    if given:
        branches = finish_branches(p, "extract", given)
    else:
        branches = Branches("extract") if p.broken else parse_branches(p, "extract")
    return Form(nodes[first:count], branches)


# --- listextract -------------------------------------------------------------------------------------------------------


class Index(Node):
    """The first argument of `listextract`; it is looked at before the second is read."""

    __slots__ = ("inner",)

    def __init__(self, inner: Node) -> None:
        super().__init__()
        self.inner = inner
        self.depends = inner.depends
        self.skip_error = inner.skip_error or _number_error(inner.skip_text)

    def eval(self, scope: Scope) -> str:
        text = self.inner.eval(scope).strip(" \t\n\v\f\r")
        if not text:
            raise fail('first argument of "listextract" must not be empty')
        if not is_number(text):
            raise fail('first argument of "listextract" must be numeric')
        return text


class ListExtract(Node):
    """`${listextract{number}{list}...}`."""

    __slots__ = ("branches", "data", "number")

    def __init__(self, number: Node, data: Node, branches: Branches) -> None:
        super().__init__()
        self.number = number
        self.data = data
        self.branches = branches
        self.depends = number.depends | data.depends | branches.depends
        self.skip_error = number.skip_error or data.skip_error or branches.skip_error
        self.skip_text = branches.skip_text

    def eval(self, scope: Scope) -> str:
        from angaros.lists.parse import split_list

        text = self.number.eval(scope)
        number = max(int(text[:20]), -1000000) if text != "-" else 0
        items = split_list(self.data.eval(scope))
        while number < 0:  # as Exim: from before the first item it goes round to the last
            number += len(items) + 1
        return self.branches.with_value(items[number - 1] if 0 < number <= len(items) else None, scope)


def _number_error(text: str) -> str | None:
    """Literal text that is no number is found even where the item is skipped."""
    text = text.strip(" \t\n\v\f\r")
    return None if not text or is_number(text) else 'first argument of "listextract" must be numeric'


def parse_listextract(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (listextract)"""
    nodes: list[Node] = []
    for number in (1, 2):
        if p.skip_space() != "{":
            missing = p.fail_curly(f"missing '{{' for arg {number} of listextract")
            return ListExtract(nodes[0], missing, Branches(name)) if nodes else missing
        group = p.group()
        nodes.append(Index(group) if number == 1 and not p.broken else group)
        if p.broken:
            return p.unfinished(nodes)
    return ListExtract(nodes[0], nodes[1], parse_branches(p, name))
