"""Comparisons: strings, numbers, truth values, `def:`, `and`, `or`, `isip`, `exists` and the other simple tests.

Law: what compares is a function of texts; the table says how many arguments it reads.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from angaros.expand.ip import ip_version
from angaros.expand.limits import permitted
from angaros.expand.nodes import BrokenCond, Cond, Literal, Node, SingleTest, Test, fail, joint
from angaros.expand.parser import Parser
from angaros.model.errors import ExpansionError

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_INTEGER = (1 << 63) - 1
MAX_DIGITS = 19
"""Numbers with fewer digits than this cannot be too large."""
_SUFFIXES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_WHITE = " \t\n\v\f\r"


# --- Reading arguments -------------------------------------------------------------------------------------------------


def read_arguments(p: Parser, name: str, count: int) -> list[Node]:
    """`{a}{b}` of a condition. Look at `broken` afterwards."""
    nodes: list[Node] = []
    for number in range(count):
        if p.skip_space() != "{":
            second = number and count > 1
            nodes.append(p.fail_curly(f'missing 2nd string in {{}} after "{name}"' if second else f'missing {{ after "{name}"'))
            return nodes
        nodes.append(p.group())
        if p.broken:
            return nodes
    return nodes


def tests(count: int, function: Callable[[list[str], Scope], bool], pure: bool = False) -> Callable[[Parser, str], Cond]:
    """Parser of a condition with `count` arguments."""
    kind = SingleTest if count == 1 else Test

    def parse(p: Parser, name: str) -> Cond:
        nodes = read_arguments(p, name, count)
        return BrokenCond(nodes) if p.broken else kind(function, nodes, pure)

    return parse


# --- Strings and numbers -----------------------------------------------------------------------------------------------


def ascii_lower(text: str) -> str:
    """Lower case of A to Z only: octets above 127 have no case."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


_LOWER = {code: code + 32 for code in range(65, 91)}


def integer(text: str) -> int:
    """A number with its K, M or G. # Exim spec 11.7 (=)"""
    if len(text) < MAX_DIGITS:
        return int(text) if text.isdigit() and text.isascii() else _short_integer(text)
    return _integer(text)


def _integer(text: str) -> int:
    text = text.lstrip(_WHITE)
    stripped = text.rstrip(_WHITE)
    if not stripped:
        return 0
    digits = stripped[1:] if stripped[0] in "+-" else stripped
    length = 0
    while length < len(digits) and "0" <= digits[length] <= "9":
        length += 1
    if not length:
        raise fail(f'integer expected but "{text}" found')
    rest = digits[length:].lower()
    factor = _SUFFIXES.get(rest[:1], 1)
    if rest and (len(rest) > 1 or factor == 1):
        raise fail(f'invalid integer "{text}"')
    value = int(digits[:length]) * factor if length < 25 else MAX_INTEGER + 1
    if value > MAX_INTEGER:
        raise fail(f'absolute value of integer "{text}" is too large (overflow)')
    return -value if stripped[0] == "-" else value


_short_integer = lru_cache(256)(_integer)
"""Values of options (`100M`) are asked for again and again."""
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def comparison(name: str) -> Callable[[str, str], bool]:
    """The comparison that a condition's name stands for."""
    if name[0] in "<>=":
        by_number = _ORDERS[name]
        return lambda a, b: by_number(integer(a), integer(b))
    if len(name) == 3:
        caseless = _ORDERS[name[:2]]
        return lambda a, b: caseless(ascii_lower(a), ascii_lower(b))
    return _ORDERS[name]


class Compare(Cond):
    """`eq{a}{b}` and its like."""

    __slots__ = ("before", "left", "right")

    def __init__(self, before: Callable[[Any, Any], bool], left: Node, right: Node) -> None:
        super().__init__()
        self.before = before
        self.left = left
        self.right = right
        self.depends = left.depends | right.depends
        self.skip_error = left.skip_error or right.skip_error

    def eval(self, scope: Scope) -> bool:
        return self.before(self.left.eval(scope), self.right.eval(scope))


class Equal(Compare):
    """`eq{a}{constant}`."""

    __slots__ = ("text",)

    def __init__(self, left: Node, right: Literal) -> None:
        super().__init__(operator.eq, left, right)
        self.text = right.text

    def eval(self, scope: Scope) -> bool:
        return self.left.eval(scope) == self.text


class Integer(Node):
    """An argument that must be a number; it is looked at before the next is read."""

    __slots__ = ("inner",)

    def __init__(self, inner: Node) -> None:
        super().__init__()
        self.inner = inner
        self.skip_error = inner.skip_error

    def eval(self, scope: Scope) -> str:
        return str(integer(self.inner.eval(scope)))


class CompareNumbers(Compare):
    """`<{a}{b}` and its like: the first is taken as a number before the second is expanded."""

    __slots__ = ("number",)

    def __init__(self, before: Callable[[Any, Any], bool], left: Node, right: Node) -> None:
        super().__init__(before, left, right)
        self.number: int | None = None
        """The second, when it is a constant that is right."""
        if isinstance(right, Literal):
            with suppress(ExpansionError):
                self.number = integer(right.text)

    def eval(self, scope: Scope) -> bool:
        left = integer(self.left.eval(scope))
        number = self.number
        return self.before(left, integer(self.right.eval(scope)) if number is None else number)


def parse_compare(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (eq, lt, =, ...)"""
    nodes = read_arguments(p, name, 2)
    if p.broken:
        return BrokenCond([Integer(nodes[0]), *nodes[1:]] if name[0] in "<>=" and len(nodes) == 2 else nodes)
    if name[0] in "<>=":
        return CompareNumbers(_ORDERS[name], nodes[0], nodes[1])
    left, right = nodes
    return Equal(left, right) if name == "eq" and isinstance(right, Literal) else Compare(comparison(name), left, right)


# --- Truth -------------------------------------------------------------------------------------------------------------

_TRUE = frozenset({"true", "yes"})
_FALSE = frozenset({"false", "no", ""})


def strict_bool(text: str) -> bool:
    """`bool{}`: true, false, yes, no, or a number. # Exim spec 11.7 (bool)"""
    stripped = text.strip(_WHITE)
    word = ascii_lower(stripped)
    if word in _FALSE:
        return False
    if word in _TRUE:
        return True
    digits = word[1:] if word[0] == "-" else word
    if not digits.strip("0123456789"):
        return any(ch != "0" for ch in digits)
    raise fail(f'unrecognised boolean value "{stripped}"')


def lax_bool(text: str) -> bool:
    """`bool_lax{}`: as the `condition` option of routers. # Exim spec 11.7 (bool_lax)"""
    return ascii_lower(text.strip(_WHITE)) not in ("", "0", "no", "false")


class Bool(Test):
    """`bool{}` looks at its text even where it is skipped."""

    __slots__ = ()

    def __init__(self, arguments: Sequence[Node]) -> None:
        super().__init__(lambda texts, _scope: strict_bool(texts[0]), arguments, pure=True)
        if self.skip_error is None:
            try:
                strict_bool(arguments[0].skip_text)
            except ExpansionError as error:
                self.skip_error = str(error)


def parse_bool(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (bool)"""
    nodes = read_arguments(p, name, 1)
    return BrokenCond(nodes) if p.broken else Bool(nodes)


parse_bool_lax = tests(1, lambda texts, scope: lax_bool(texts[0]), pure=True)


# --- and, or -----------------------------------------------------------------------------------------------------------


class Combined(Cond):
    """`and{{a}{b}...}`, `or{{a}{b}...}`. What is not needed is skipped."""

    __slots__ = ("conditions", "name", "rest_errors", "stop", "tail_error")

    def __init__(self, name: str, conditions: list[Cond], tail_error: str | None) -> None:
        super().__init__()
        self.name = name
        self.conditions = conditions
        self.stop = name == "or"
        self.tail_error = tail_error
        """What is wrong after the last one."""
        self.sets_value = any(condition.sets_value for condition in conditions)
        self.depends = joint(conditions)
        errors = [self._inner(condition.skip_error) for condition in conditions]
        self.rest_errors = [next((e for e in errors[index + 1 :] if e), tail_error) for index in range(len(errors))]
        self.skip_error = next((e for e in errors if e), tail_error)

    def _inner(self, error: str | None) -> str | None:
        return None if error is None else f'{error} inside "{self.name}{{...}}" condition'

    def eval(self, scope: Scope) -> bool:
        stop = self.stop
        for index, condition in enumerate(self.conditions):
            try:
                holds = condition.eval(scope)
            except ExpansionError as error:
                raise _inside(error, str(self._inner(str(error)))) from None
            if holds is stop:
                if self.rest_errors[index] is not None:
                    raise fail(self.rest_errors[index] or "")
                return stop
        if self.tail_error is not None:
            raise fail(self.tail_error)
        return not stop


def _inside(error: ExpansionError, text: str) -> ExpansionError:
    new = type(error)(text)
    new.position = error.position
    new.temporary = error.temporary
    return new


def parse_combined(p: Parser, name: str) -> Cond:
    """# Exim spec 11.8"""
    if p.skip_space() != "{":
        return p.fail_cond(f'missing {{ after "{name}"')
    p.pos += 1
    conditions: list[Cond] = []
    error: str | None = None
    while p.skip_space() != "}":
        if p.peek() != "{":
            error = p.fail(f'each subcondition inside an "{name}{{...}}" condition must be in its own {{}}').message
            break
        p.pos += 1
        conditions.append(p.condition())
        if p.broken:
            break
        if p.skip_space() != "}":
            error = p.fail(f'missing }} at end of condition inside "{name}" group').message
            break
        p.pos += 1
    else:
        p.pos += 1
    return Combined(name, conditions, error)


# --- def ---------------------------------------------------------------------------------------------------------------


class Defined(Cond):
    """`def:name`: not empty."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def eval(self, scope: Scope) -> bool:
        return self.node.eval(scope) != ""


def parse_def(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (def)"""
    if p.peek() != ":":
        return p.fail_cond('":" expected after "def"')
    p.pos += 1
    word = p.name()
    if not word:
        return p.fail_cond('variable name omitted after "def:"')
    for prefix in ("h_", "rh_", "bh_", "lh_", "header_", "rheader_", "bheader_", "lheader_"):
        if word.startswith(prefix):
            p.pos -= len(word) - len(prefix)
            return Defined(HeaderThere(p.header_name()))
    function = p.language.variable(word)
    if function is None:
        return p.fail_cond(f'unknown variable "{word}" after "def:"{p.language.why_unknown(word)}')
    from angaros.expand.variables import lenient

    return Defined(lenient(word, function))


class HeaderThere(Node):
    """Not empty when a header of this name exists."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name.lower()

    def eval(self, scope: Scope) -> str:
        from angaros.expand.headers import headers_of

        return "y" if headers_of(scope, self.name) else ""


# --- Small ones --------------------------------------------------------------------------------------------------------


def _is_ip(texts: list[str], versions: tuple[int, ...]) -> bool:
    return ip_version(texts[0]) in versions


parse_isip = tests(1, lambda texts, scope: _is_ip(texts, (4, 6)), pure=True)
parse_isip4 = tests(1, lambda texts, scope: _is_ip(texts, (4,)), pure=True)
parse_isip6 = tests(1, lambda texts, scope: _is_ip(texts, (6,)), pure=True)


def _exists(texts: list[str], scope: Scope) -> bool:
    if "expand_forbid" in scope.local:
        permitted(scope, "existstest")
    try:
        return os.access(texts[0].encode("latin-1"), os.F_OK, effective_ids=True)
    except ValueError:  # a zero octet
        return False


parse_exists = tests(1, _exists)


class Flag(Cond):
    """`queue_running`, `first_delivery`: a fact that has no argument."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[Scope], bool]) -> None:
        super().__init__()
        self.function = function

    def eval(self, scope: Scope) -> bool:
        return self.function(scope)


def parse_first_delivery(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (first_delivery)"""
    return Flag(lambda scope: scope.message is not None and scope.message.first_delivery)


def parse_queue_running(p: Parser, name: str) -> Cond:
    """True in deliveries that a queue runner started. # Exim spec 11.7 (queue_running)"""
    return Flag(lambda scope: scope.message is not None and scope.message.queue_running)
