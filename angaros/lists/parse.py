"""Splitting lists: separators, doubling, empty items. # Exim spec 6.20-6.22

Laws:
- `<x` at the start of a list names the separator, if x is a punctuation or control character. In a list that is tainted it is
  ordinary text unless it is the administrator's own: outside data must not choose how the administrator's list is read.
- A doubled printing separator is one character of data; a control character cannot be data.
- White space around items is dropped; an empty item at the end is no item.
"""

from __future__ import annotations

from angaros.model.text import Tainted, is_tainted, quoted_for

WHITE = " \t\n\v\f\r"
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_CONTROL = frozenset(map(chr, (*range(32), 127)))
_USUAL = frozenset(",;|:")
"""Separators that nearly all lists name that name one."""
_HOLE = "\uffff"
"""Stands for a doubled separator while splitting; mail text has no such character."""


def take_separator(text: str) -> tuple[str, str]:
    """The separator that `text` names (`<;`), "" when it names none, and the rest of the list."""
    head = text.lstrip(WHITE) if text[:1] in WHITE else text
    if head[:1] != "<" or (isinstance(text, Tainted) and not text.own_start):
        return "", text
    if head == "<":
        return "\0", ""
    if head[1:2] in _PUNCTUATION or head[1:2] in _CONTROL:
        return head[1], head[2:]
    return "", text


def split_list(text: str, separator: str = "") -> list[str]:
    """The items of an (expanded) list. `separator` "" means: as the list says, else a colon."""
    return _items(text, separator) if separator else split_as_told(text)[1]


def split_as_told(text: str) -> tuple[str, list[str]]:
    """The separator that the list names, else a colon; and the items."""
    separator = ":"
    if type(text) is str:
        rest = text
        if text[:1] == "<" and text[1:2] in _USUAL:
            separator, rest = text[1], text[2:].strip(WHITE)
        if rest[:1] != "<" and rest.split() == [rest]:  # the usual list: no white space
            doubled = separator + separator
            if doubled not in rest:
                items = rest.split(separator)
            else:
                items = [item.replace(_HOLE, separator) for item in rest.replace(doubled, _HOLE).split(separator)]
            if not items[-1]:
                items.pop()
            return separator, items
    separator, rest = take_separator(text)
    separator = separator or ":"
    return separator, _items(rest, separator)


def _items(text: str, separator: str) -> list[str]:
    tainted = is_tainted(text)
    items = _split(str(text), separator)
    return [quoted_for(item, _quoter(text)) for item in items] if tainted else items


def _quoter(text: str) -> str:
    return text.quoter if isinstance(text, Tainted) else ""


def _split(text: str, separator: str) -> list[str]:
    doubled = separator * 2
    holes = separator not in _CONTROL and doubled in text
    if holes:
        text = text.replace(doubled, _HOLE)
    items = text.split(separator)
    if " " in text or "\n" in text or "\t" in text or "\r" in text or "\v" in text or "\f" in text:
        strip = WHITE.replace(separator, "")
        items = [item.strip(strip) for item in items]
    if not items[-1]:
        items.pop()
    if holes:
        items = [item.replace(_HOLE, separator) for item in items]
    return items
