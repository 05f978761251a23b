"""Parser of expansion strings: text in, tree out. It never raises for a wrong string; the error becomes a node.

Laws:
- The grammar of each item stands beside its meaning, in `items/`, `operators/`, `conditions/`; here is what they share.
- After a syntax error `broken` is set, nothing more is read, and every construct that is open closes itself with what it has.
- The words of errors are Exim's. # Exim spec 11
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from angaros.expand.nodes import (
    Broken,
    BrokenCond,
    Cond,
    CutAtNul,
    Direct,
    Literal,
    Node,
    Not,
    Numeric,
    Unfinished,
    Variable,
    folded,
    sequence,
)

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_NESTING = 100
"""Braces inside braces. Hand-written configurations stay below 30; deeper text is an attack on the stack."""
MAX_NAME = 255
"""Longest name that is looked at, in octets."""

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
DIGITS = frozenset("0123456789")
NAME = LETTERS | DIGITS | {"_"}
SPACE = frozenset(" \t\n\v\f\r")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "b": "\b", "v": "\v"}
_HEADER_PREFIXES = ("h_", "rh_", "bh_", "lh_", "header_", "rheader_", "bheader_", "lheader_")
_HEX = frozenset("0123456789abcdefABCDEF")
COLON_HINT = " - could be header name not terminated by colon"

ItemParser = Callable[["Parser", str], Node]
CondParser = Callable[["Parser", str], Cond]


class Language(Protocol):
    """The tables, as the parser uses them (`expand.language`)."""

    direct: frozenset[str]
    """Variables that nobody sets in a scope."""

    def item(self, name: str) -> ItemParser | None: ...

    def operator(self, parser: Parser, name: str) -> Node: ...

    def condition(self, name: str) -> CondParser | None: ...

    def variable(self, name: str) -> Callable[[Scope], str] | None: ...

    def why_unknown(self, name: str) -> str: ...

    def header(self, kind: str, name: str) -> Node: ...


class Parser:
    """One pass over one text."""

    __slots__ = ("broken", "depth", "end", "language", "malformed_header", "pos", "text")

    def __init__(self, text: str, language: Language) -> None:
        self.text = text
        self.end = len(text)
        self.pos = 0
        self.language = language
        self.broken = False
        self.malformed_header = False
        """A header name ran over a closing brace: its colon was forgotten."""
        self.depth = 0

    # --- Errors --------------------------------------------------------------------------------------------------------

    def fail(self, message: str) -> Broken:
        """A syntax error here: nothing more is read."""
        self.broken = True
        return Broken(message, self.pos)

    def fail_curly(self, message: str) -> Broken:
        """A syntax error about braces; a header name without colon is the likelier reason."""
        return self.fail(self.curly(message))

    def curly(self, message: str) -> str:
        """The message, or the likelier reason."""
        return "missing or misplaced { or }" + COLON_HINT if self.malformed_header else message

    def fail_end(self) -> Broken:
        """The text ended inside braces."""
        return self.fail("missing } at end of string" + (COLON_HINT if self.malformed_header else ""))

    def fail_cond(self, message: str) -> Cond:
        """A condition that is wrong here."""
        return BrokenCond([self.fail(message)])

    # --- Characters ----------------------------------------------------------------------------------------------------

    def peek(self) -> str:
        """The character here; "" at the end."""
        return self.text[self.pos] if self.pos < self.end else ""

    def skip_space(self) -> str:
        """The next character that is not white space."""
        text, pos, end = self.text, self.pos, self.end
        while pos < end and text[pos] in SPACE:
            pos += 1
        self.pos = pos
        return text[pos] if pos < end else ""

    def rest(self) -> str:
        """What is not read yet."""
        return self.text[self.pos :]

    def name(self, extra: str = "_") -> str:
        """Letters, digits and `extra` from here; cut at `MAX_NAME`."""
        text, start, pos, end = self.text, self.pos, self.pos, self.end
        while pos < end and (text[pos] in NAME or text[pos] in extra):
            pos += 1
        self.pos = pos
        return text[start : min(pos, start + MAX_NAME)]

    # --- Strings -------------------------------------------------------------------------------------------------------

    def whole(self) -> Node:
        """All of the text."""
        return self.string(braces=False)

    def string(self, braces: bool = True, dollar: bool = True) -> Node:
        """Text up to the closing brace (which is not read), or to the end of the text. Without `dollar`, a `$` is itself."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            return self.fail(f"expansion is nested too deeply (limit {MAX_NESTING})")
        nodes: list[Node] = []
        plain: list[str] = []
        text, end = self.text, self.end
        while self.pos < end:
            ch = text[self.pos]
            if ch == "\\" or (ch == "$" and dollar):
                node = self.dollar() if ch == "$" else self.backslash()
                if isinstance(node, str):
                    plain.append(node)
                    continue
                if plain:
                    nodes.append(Literal("".join(plain)))
                    plain = []
                nodes.append(node)
                if self.broken:
                    break
            elif ch == "}" and braces:
                break
            else:
                plain.append(self._run_of_text())
        if plain:
            nodes.append(Literal("".join(plain)))
        self.depth -= 1
        if any(isinstance(node, Literal) and "\0" in node.text for node in nodes):
            return CutAtNul(sequence(nodes))
        return sequence(nodes)

    def _run_of_text(self) -> str:
        start, pos = self.pos, self.pos + 1
        text, end = self.text, self.end
        while pos < end and text[pos] not in "$\\}":
            pos += 1
        self.pos = pos
        return text[start:pos]

    def group(self, dollar: bool = True) -> Node:
        """`{text}`; we stand on the opening brace. The node is broken when the end is missing."""
        self.pos += 1
        node = self.string(dollar=dollar)
        if self.broken:
            return node
        if self.pos >= self.end:
            return sequence([node, self.fail_end()])
        self.pos += 1
        return node

    def backslash(self) -> Node | str:
        """An escape, or text between two `\\N`."""
        pos = self.pos + 1
        if pos >= self.end:
            return self.fail("\\ at end of string")
        ch = self.text[pos]
        if ch == "N":
            stop = self.text.find("\\N", pos + 1)
            if stop < 0:
                self.pos = self.end
                return self.text[pos + 1 :]
            self.pos = stop + 2
            return self.text[pos + 1 : stop]
        value, self.pos = unescape(self.text, self.pos)
        return value

    def dollar(self) -> Node:
        """What a `$` begins."""
        start = self.pos
        self.pos += 1
        ch = self.peek()
        if ch in LETTERS and ch:
            node = self._plain_variable()
        elif ch == "{":
            self.pos += 1
            node = folded(self._braced())
        elif ch in DIGITS and ch:
            node = Numeric(self._number())
        else:
            return self.fail("$ not followed by letter, digit, or {")
        if node.position < 0:
            node.position = start
        return node

    def _number(self) -> int:
        start = self.pos
        while self.peek() in DIGITS and self.pos < self.end:
            self.pos += 1
        digits = self.text[start : self.pos]
        return int(digits) if len(digits) < 8 else 1 << 30

    def _plain_variable(self) -> Node:
        name = self.name()
        for prefix in _HEADER_PREFIXES:
            if name.startswith(prefix):
                self.pos -= len(name) - len(prefix)
                return self.language.header(prefix[0], self.header_name())
        return self.variable(name, f'unknown variable name "{name}"')

    def header_name(self) -> str:
        """A header's name: up to a colon, which is read, or white space."""
        text, start, pos, end = self.text, self.pos, self.pos, self.end
        while pos < end and text[pos] > " " and text[pos] not in ":\x7f":
            pos += 1
        self.pos = pos + (1 if pos < end and text[pos] == ":" else 0)
        name = text[start : min(pos, start + MAX_NAME)]
        if "}" in name:
            self.malformed_header = True
        return name

    def variable(self, name: str, error: str) -> Node:
        """`$name`, `${name}`."""
        function = self.language.variable(name)
        if function is None:
            return UnknownVariable(name, error + self.language.why_unknown(name))
        return Direct(name, function) if name in self.language.direct else Variable(name, function)

    def _braced(self) -> Node:
        ch = self.peek()
        if ch in DIGITS and ch:
            node = Numeric(self._number())
            if self.peek() != "}":
                return self.fail("} expected after number")
            self.pos += 1
            return node
        if not ch or ch not in LETTERS:
            return self.fail("letter or digit expected after ${")
        name = self.name("_-")
        parse = self.language.item(name)
        if parse is not None:
            return parse(self, name)
        ch = self.peek()
        if ch == ":":
            self.pos += 1
            return self.language.operator(self, name)
        if ch == "}":
            self.pos += 1
            return self.variable(name, f'unknown variable in "${{{name}}}"')
        return self.fail_curly(f'"${{{name}" is not a known operator (or a }} is missing in a variable reference)')

    # --- What items share ----------------------------------------------------------------------------------------------

    def arguments(self, name: str, low: int, high: int) -> list[Node]:
        """`{a}{b}...}`: from `low` to `high` groups and the item's closing brace. Look at `broken` afterwards."""
        nodes = self.groups(name, low, high)
        if not self.broken:
            if self.skip_space() == "}":
                self.pos += 1
            elif self.peek() == "{":
                nodes.append(self.fail(f"Too many arguments for '{name}' (max is {high})"))
            else:
                nodes.append(self.fail_curly(f"missing '}}' after '{name}'"))
        return nodes

    def groups(self, name: str, low: int, high: int) -> list[Node]:
        """`{a}{b}...`: from `low` to `high` groups."""
        nodes: list[Node] = []
        while len(nodes) < high:
            if self.skip_space() != "{":
                if len(nodes) < low:
                    nodes.append(self.fail_curly(f"Not enough arguments for '{name}' (min is {low})"))
                break
            nodes.append(self.group())
            if self.broken:
                break
        return nodes

    def unfinished(self, nodes: list[Node]) -> Node:
        """An item that ends in a syntax error."""
        return Unfinished(nodes)

    def close(self, message: str) -> Broken | None:
        """The closing brace of an item."""
        if self.skip_space() == "}":
            self.pos += 1
            return None
        return self.fail_curly(message)

    # --- Conditions ----------------------------------------------------------------------------------------------------

    def condition(self) -> Cond:
        """One condition with its `!`s."""
        negated = False
        while self.skip_space() == "!":
            self.pos += 1
            negated = not negated
        self.depth += 1
        if self.depth > MAX_NESTING:
            return self.fail_cond(f"expansion is nested too deeply (limit {MAX_NESTING})")
        name = self._condition_name()
        if not name:
            cond = self.fail_cond(f'condition name expected, but found "{self.text[self.pos : self.pos + 16]}"')
        else:
            parse = self.language.condition(name)
            cond = parse(self, name) if parse else self.fail_cond(f'unknown condition "{name}"')
        self.depth -= 1
        return Not(cond) if negated and not self.broken else cond

    def _condition_name(self) -> str:
        ch = self.peek()
        if ch and ch in "<>=":
            self.pos += 1
            if self.peek() == "=":
                self.pos += 1
                return ch + "="
            return ch
        return self.name()


ONLY_IN_FILTERS = frozenset({f"{prefix}{digit}" for prefix in ("n", "sn") for digit in range(10)})
"""The counters of Exim filters."""


class UnknownVariable(Broken):
    """A name that means nothing, in a text that is otherwise right."""

    __slots__ = ("name",)

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message, -1)
        self.name = name
        if name in ONLY_IN_FILTERS:
            self.skip_error = None  # they exist, somewhere

    def eval(self, scope: Scope) -> str:
        value = scope.local.get(self.name)  # names that exist only somewhere ($n0 in filters)
        return value if value is not None else super().eval(scope)


def unescape(text: str, pos: int) -> tuple[str, int]:
    """The meaning of the escape whose backslash is at `pos`, and where it ends. # Exim spec 11.2"""
    pos += 1
    ch = text[pos] if pos < len(text) else "\\"
    if ch in "01234567":
        stop = pos
        while stop < pos + 3 and stop < len(text) and text[stop] in "01234567":
            stop += 1
        return chr(int(text[pos:stop], 8) & 0xFF), stop
    if ch == "x":
        stop = pos + 1
        while stop < pos + 3 and stop < len(text) and text[stop] in _HEX:
            stop += 1
        return chr(int(text[pos + 1 : stop] or "0", 16)), stop
    return _ESCAPES.get(ch, ch), pos + 1
