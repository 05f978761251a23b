"""The tree that an expansion string is compiled into.

Laws:
- A node evaluates itself in a Scope and keeps no state: one tree serves all connections.
- A branch that is not taken is "skipped": Exim still looks at it, and finds in it what it would find without values. What
  skipping yields is known when the tree is built: `skip_error` (the first error, or None) and `skip_text` (literal text only).
- `depends` tells what a node's text can depend on. What depends on nothing is evaluated once (`Folded`), when it is first wanted.
- A syntax error is a node (`Broken`) at the place where it was found: what stands before it is evaluated first, as in Exim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from angaros.model.errors import ExpansionError
from angaros.model.text import Tainted, common_quoter, quoted_for

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_RESULT = 64 << 20
"""Longest text that one concatenation may make, in octets: nested `map` and `sg` can grow a text without bound."""


MAX_FOLDED = 1 << 16
"""Longest text that a folded node keeps, in octets."""

ITEM, VALUE, NUMERIC, WORLD = 1, 2, 4, 8
"""Bits of `depends`: `$item`, `$value`, `$0`..., anything else. An item that binds a name takes its bit off."""


def fail(message: str, position: int = -1) -> ExpansionError:
    """An error to raise."""
    error = ExpansionError(message)
    error.position = position
    return error


def check_length(octets: int) -> None:
    """Raise when a text grows without bound."""
    if octets > MAX_RESULT:
        raise fail(f"expansion result is longer than {MAX_RESULT} octets")


class Node:
    """A piece of an expansion string."""

    __slots__ = ("depends", "position", "skip_error", "skip_text")

    def __init__(self) -> None:
        self.depends = WORLD
        self.position = -1
        """Where it begins in the source text."""
        self.skip_error: str | None = None
        self.skip_text = ""

    def eval(self, scope: Scope) -> str:
        """The text it stands for. Raises ExpansionError."""
        raise NotImplementedError


class Literal(Node):
    """Text that stands for itself."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.skip_text = text
        self.depends = 0

    def eval(self, scope: Scope) -> str:
        return self.text


class Constant(Node):
    """An item that was evaluated when the tree was built."""

    __slots__ = ("text",)

    def __init__(self, text: str, skip_text: str = "") -> None:
        super().__init__()
        self.text = text
        self.skip_text = skip_text
        self.depends = 0

    def eval(self, scope: Scope) -> str:
        return self.text


class Folded(Node):
    """An item that gives the same text wherever it is: evaluated when it is first wanted."""

    __slots__ = ("inner", "text")

    def __init__(self, inner: Node) -> None:
        super().__init__()
        self.depends = 0
        self.inner = inner
        self.position = inner.position
        self.skip_text = inner.skip_text
        self.text: str | None = None

    def eval(self, scope: Scope) -> str:
        text = self.text
        if text is None:
            text = self.inner.eval(scope)
            if len(text) <= MAX_FOLDED:
                self.text = text
        return text


def folded(node: Node) -> Node:
    """The node, evaluated once only if that is right."""
    if node.depends or node.skip_error is not None or isinstance(node, (Literal, Constant)):
        return node
    return Folded(node)


def joint(nodes: Iterable[Node | Cond]) -> int:
    """What several nodes depend on."""
    bits = 0
    for node in nodes:
        bits |= node.depends
    return bits


class Broken(Node):
    """A syntax error. Nothing after it was parsed."""

    __slots__ = ("message",)

    def __init__(self, message: str, position: int) -> None:
        super().__init__()
        self.message = message
        self.skip_error = message
        self.position = position

    def eval(self, scope: Scope) -> str:
        raise fail(self.message, self.position)


class Sequence_(Node):
    """Nodes one after the other."""

    __slots__ = ("moving", "nodes", "parts")

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__()
        self.nodes = list(nodes)
        self.parts = [node.text if isinstance(node, Literal) else "" for node in nodes]
        self.moving = [(index, node) for index, node in enumerate(nodes) if not isinstance(node, Literal)]
        """All but the literals, with their places."""
        self.depends = joint(nodes)
        self.skip_error = first_skip_error(nodes)
        self.skip_text = "".join([node.skip_text for node in nodes])

    def eval(self, scope: Scope) -> str:
        parts = self.parts.copy()
        index = 0
        try:
            for index, node in self.moving:
                parts[index] = node.eval(scope)
        except ExpansionError as error:
            locate(error, self.nodes[index])
            raise
        return joined(parts)


def locate(error: ExpansionError, node: Node) -> None:
    """Note that the error comes from this node."""
    if error.position < 0:
        error.position = node.position


def joined(parts: list[str]) -> str:
    """Texts one after the other; the administrator's own `<;` at the start of a list stays his."""
    text = "".join(parts)
    if len(text) > MAX_RESULT:
        check_length(len(text))
    if Tainted in map(type, parts):
        made = quoted_for(text, common_quoter(parts))
        first = parts[0]
        if first[:1] == "<" and type(first) is str:
            return made.starting_with_ours()
        return made
    return text


class Around(Sequence_):
    """A node with literal text before and behind it. As `Sequence_`, without a list."""

    __slots__ = ("after", "before", "inner")

    def __init__(self, nodes: Sequence[Node], texts: Sequence[str]) -> None:
        super().__init__(nodes)
        self.before, self.after = texts
        self.inner = self.moving[0][1]

    def eval(self, scope: Scope) -> str:
        try:
            text = self.inner.eval(scope)
        except ExpansionError as error:
            locate(error, self.inner)
            raise
        if type(text) is str:
            made = f"{self.before}{text}{self.after}"
            if len(made) > MAX_RESULT:
                check_length(len(made))
            return made
        return joined([self.before, text, self.after] if self.before else [text, self.after])


class Pair(Sequence_):
    """Two nodes with literal text around them."""

    __slots__ = ("after", "before", "between", "first", "second")

    def __init__(self, nodes: Sequence[Node], texts: Sequence[str]) -> None:
        super().__init__(nodes)
        self.before, self.between, self.after = texts
        self.first, self.second = (node for _, node in self.moving)

    def eval(self, scope: Scope) -> str:
        node = self.first
        try:
            first = node.eval(scope)
            node = self.second
            second = node.eval(scope)
        except ExpansionError as error:
            locate(error, node)
            raise
        if type(first) is str and type(second) is str:
            made = f"{self.before}{first}{self.between}{second}{self.after}"
            if len(made) > MAX_RESULT:
                check_length(len(made))
            return made
        parts = [first, self.between, second, self.after]
        return joined([self.before, *parts] if self.before else parts)


class CutAtNul(Node):
    """Text in which an escape makes a zero octet: as in Exim, nothing after it counts."""

    __slots__ = ("inner",)

    def __init__(self, inner: Node) -> None:
        super().__init__()
        self.inner = inner
        self.skip_error = inner.skip_error
        self.skip_text = inner.skip_text.partition("\0")[0]

    def eval(self, scope: Scope) -> str:
        return self.inner.eval(scope).partition("\0")[0]


def first_skip_error(nodes: Sequence[Node]) -> str | None:
    """The error that skipping over these nodes finds first."""
    for node in nodes:
        if node.skip_error is not None:
            return node.skip_error
    return None


def sequence(nodes: list[Node]) -> Node:
    """One node for many."""
    if not nodes:
        return Literal("")
    if len(nodes) == 1:
        return nodes[0]
    texts = [""]
    """Literal text before, between and behind the others."""
    for node in nodes:
        if isinstance(node, Literal):
            texts[-1] += node.text
        else:
            texts.append("")
    if len(texts) == 2:
        return Around(nodes, texts)
    return Pair(nodes, texts) if len(texts) == 3 else Sequence_(nodes)


class Unfinished(Node):
    """An item whose arguments end in a syntax error: they are evaluated up to it."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__()
        self.nodes = nodes
        self.skip_error = first_skip_error(nodes)

    def eval(self, scope: Scope) -> str:
        for node in self.nodes:
            node.eval(scope)
        raise fail("syntax error")  # not reached: the last node is broken


class Call(Node):
    """An item that is a function of its arguments' texts: `function(arguments, scope)`."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: Callable[[list[str], Scope], str], arguments: Sequence[Node], pure: bool = False) -> None:
        super().__init__()
        self.function = function
        self.arguments = arguments
        if pure:
            self.depends = joint(arguments)
        self.skip_error = first_skip_error(arguments)

    def eval(self, scope: Scope) -> str:
        return self.function([node.eval(scope) for node in self.arguments], scope)


class Numeric(Node):
    """`$0`, `$1`, ..."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.depends = NUMERIC

    def eval(self, scope: Scope) -> str:
        captured = scope.numeric
        return captured[self.number] if self.number < len(captured) else ""


_BITS = {"item": ITEM, "value": VALUE}


class Variable(Node):
    """`$name`. The scope's own names win over the table."""

    __slots__ = ("function", "name")

    def __init__(self, name: str, function: Callable[[Scope], str]) -> None:
        super().__init__()
        self.name = name
        self.function = function
        self.depends = _BITS.get(name, WORLD)

    def eval(self, scope: Scope) -> str:
        value = scope.local.get(self.name)
        if value is None:
            value = scope.state.get(self.name)
            if value is None:
                return self.function(scope)
        return value


class Direct(Variable):
    """A variable whose name nobody sets in a scope: to evaluate it is to call its function."""

    __slots__ = ("eval",)

    def __init__(self, name: str, function: Callable[[Scope], str]) -> None:
        super().__init__(name, function)
        self.eval = function  # type: ignore[method-assign, assignment]


class Cond:
    """A condition. `skip_error`: as for nodes."""

    __slots__ = ("captures", "depends", "sets_value", "skip_error")

    def __init__(self) -> None:
        self.depends = WORLD
        self.captures = False
        """When it holds, it has set all of `$0`, `$1`, ..."""
        self.skip_error: str | None = None
        self.sets_value = False
        """It may set `$value` for the `yes` string."""

    def eval(self, scope: Scope) -> bool:
        """Whether it holds. Raises ExpansionError."""
        raise NotImplementedError


class BrokenCond(Cond):
    """A condition that ends in a syntax error: its parts are evaluated up to it."""

    __slots__ = ("conditions", "nodes")

    def __init__(self, nodes: Sequence[Node], conditions: Sequence[Cond] = ()) -> None:
        super().__init__()
        self.nodes = nodes
        self.conditions = conditions
        errors = [c.skip_error for c in conditions if c.skip_error is not None]
        self.skip_error = errors[0] if errors else first_skip_error(nodes)

    def eval(self, scope: Scope) -> bool:
        for condition in self.conditions:
            condition.eval(scope)
        for node in self.nodes:
            node.eval(scope)
        raise fail("syntax error")  # not reached: the last part is broken


class Test(Cond):
    """A condition that is a function of its arguments' texts."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: Callable[[list[str], Scope], bool], arguments: Sequence[Node], pure: bool = False) -> None:
        super().__init__()
        self.function = function
        self.arguments = arguments
        if pure:
            self.depends = joint(arguments)
        self.skip_error = first_skip_error(arguments)

    def eval(self, scope: Scope) -> bool:
        return self.function([node.eval(scope) for node in self.arguments], scope)


class SingleTest(Test):
    """A condition with one argument."""

    __slots__ = ("argument",)

    def __init__(self, function: Callable[[list[str], Scope], bool], arguments: Sequence[Node], pure: bool = False) -> None:
        super().__init__(function, arguments, pure)
        self.argument = arguments[0]

    def eval(self, scope: Scope) -> bool:
        return self.function([self.argument.eval(scope)], scope)


class Not(Cond):
    """`!condition`."""

    __slots__ = ("inner",)

    def __init__(self, inner: Cond) -> None:
        super().__init__()
        self.inner = inner
        self.depends = inner.depends
        self.skip_error = inner.skip_error
        self.sets_value = inner.sets_value

    def eval(self, scope: Scope) -> bool:
        return not self.inner.eval(scope)
