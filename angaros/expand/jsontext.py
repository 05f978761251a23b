"""JSON as `${extract json` and `forany_json` take it apart: by octets, results as they stand in the text.

Law: nothing is decoded; a string keeps its escapes, a number its spelling. # Exim spec 11.5 (extract json)
"""

from __future__ import annotations

from angaros.expand.nodes import fail
from angaros.expand.parser import SPACE

_OPEN = "{["
_CLOSE = "}]"


def split_items(text: str) -> tuple[list[str], bool]:
    """The comma-separated items at the top level of `text` (the inside of an object or array), leading space removed; and whether
    a closing bracket ends it."""
    items: list[str] = []
    depth, start, quoted, pos, end = 0, 0, False, 0, len(text)
    while pos < end:
        ch = text[pos]
        if quoted:
            if ch == "\\":
                pos += 1
            elif ch == '"':
                quoted = False
        elif ch == '"':
            quoted = True
        elif ch in _OPEN:
            depth += 1
        elif ch in _CLOSE:
            depth -= 1
            if depth < 0:
                break
        elif ch == "," and depth == 0:
            items.append(text[start:pos].lstrip())
            start = pos + 1
        pos += 1
    last = text[start:pos].lstrip()
    if last or items:
        items.append(last)
    return items, depth < 0


def array_items(text: str, what: str) -> list[str]:
    """Items of an array. `what` names the construct in errors."""
    text = text.lstrip()
    if not text.startswith("["):
        raise fail(f"missing '[' wrapping array for {what}")
    items, closed = split_items(text[1:])
    if not closed:
        raise fail(f"missing ']' wrapping array for {what}")
    return items


def array_item(text: str, number: int, what: str) -> str | None:
    """Item `number` (from 1) of an array; None when there is no such."""
    items = array_items(text, what)
    if number <= 0:
        raise fail('first argument of "extract" must be greater than zero')
    found = items[number - 1] if number <= len(items) else ""
    return found.rstrip() or None


def object_member(text: str, key: str, what: str) -> str | None:
    """The value of `key` in an object; None when it is not there."""
    text = text.lstrip()
    if not text.startswith("{"):
        raise fail(f"missing '{{' wrapping object for {what}")
    if not text.rstrip().endswith("}"):
        raise fail(f"missing '}}' wrapping object for {what}")
    for item in split_items(text[1:])[0]:
        if not item:
            continue
        name, value = _member(item, what)
        if name == key:
            return value
    return None


def _member(item: str, what: str) -> tuple[str, str]:
    if not item.startswith('"'):
        raise fail(f"missing '\"' wrapping string key for {what}")
    pos = 1
    while pos < len(item) and item[pos] != '"':
        pos += 2 if item[pos] == "\\" else 1
    rest = item[pos + 1 :].lstrip()
    if not rest.startswith(":"):
        raise fail(f"missing object value-separator for {what}")
    return item[1:pos], rest[1:].lstrip()


def unquote(value: str, what: str) -> str:
    """The inside of a JSON string, escapes as they are."""
    value = value.rstrip()
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        raise fail(f"missing '\"' wrapping string result for {what}")
    return value[1:-1]


def is_space(text: str) -> bool:
    """Nothing but white space."""
    return all(ch in SPACE for ch in text)
