"""`${eval:`: 64-bit integers with C's operators and precedence. # Exim spec 11.6 (eval)"""

from __future__ import annotations

import re
from collections.abc import Callable

from angaros.expand.nodes import fail

MAX_DEPTH = 100
"""Parentheses and signs inside each other."""
_TOP = 1 << 63
_SUFFIX = {"k": 10, "K": 10, "m": 20, "M": 20, "g": 30, "G": 30}
_SPACE = " \t\n\v\f\r"
_STRENGTH = {"|": 0, "^": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5}
"""How tightly an operator binds."""
_DOUBLED = ("<", ">")


def wrap(value: int) -> int:
    """The value as 64 signed bits."""
    return (value + _TOP) % (2 * _TOP) - _TOP


def _quotient(a: int, b: int) -> int:
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


class _Evaluator:
    """Precedence climbing."""

    __slots__ = ("decimal", "depth", "pos", "text")

    def __init__(self, text: str, decimal: bool) -> None:
        self.text = text
        self.pos = 0
        self.decimal = decimal
        self.depth = 0

    def error(self, what: str) -> Exception:
        return fail(f'error in expression evaluation: {what} (after processing "{self.text[: self.pos]}")')

    def space(self) -> str:
        while self.pos < len(self.text) and self.text[self.pos] in _SPACE:
            self.pos += 1
        return self.text[self.pos : self.pos + 1]

    def whole(self) -> int:
        value = self.level(0)
        if self.space():
            raise self.error("expecting operator")
        return value

    def level(self, least: int) -> int:
        """An expression of operators that bind at least so tightly."""
        value = self.unary()
        while True:
            ch = self.space()
            symbol = ch if ch not in _DOUBLED else self.text[self.pos : self.pos + 2]
            strength = _STRENGTH.get(symbol, -1)
            if strength < least:
                return value
            self.pos += len(symbol)
            value = self.apply(symbol, value, self.level(strength + 1))

    def apply(self, symbol: str, a: int, b: int) -> int:
        if symbol in "/%" and b == 0:
            raise self.error("divide by zero" if symbol == "/" else "modulo by zero")
        if symbol == "+" and not -_TOP <= a + b < _TOP:
            raise self.error("overflow in sum")
        return wrap(_APPLY[symbol](a, b))

    def unary(self) -> int:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error("expression is nested too deeply")
        ch = self.space()
        if ch and ch in "+-~":
            self.pos += 1
            value = self.unary()
            value = value if ch == "+" else wrap(-value) if ch == "-" else ~value
        elif ch == "(":
            self.pos += 1
            value = self.level(0)
            if self.space() != ")":
                raise self.error("expecting closing parenthesis")
            self.pos += 1
        else:
            value = self.number()
        self.depth -= 1
        return value

    def number(self) -> int:
        start = pos = self.pos
        text, digits, base = self.text, "0123456789", 10
        if not self.decimal and text[pos : pos + 1] == "0":
            if text[pos + 1 : pos + 2] in ("x", "X"):
                pos, digits, base = pos + 2, "0123456789abcdefABCDEF", 16
            else:
                digits, base = "01234567", 8
        first = pos
        while pos < len(text) and text[pos] in digits:
            pos += 1
        if pos == start:
            raise self.error("expecting number or opening parenthesis")
        value = min(int(text[first : min(pos, first + 64)] or "0", base), _TOP - 1)
        if text[pos : pos + 1] in _SUFFIX and pos < len(text):
            value <<= _SUFFIX[text[pos]]
            pos += 1
        self.pos = pos
        return wrap(value)


_APPLY: dict[str, Callable[[int, int], int]] = {
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "&": lambda a, b: a & b,
    "<<": lambda a, b: a << (b & 63),
    ">>": lambda a, b: a >> (b & 63),
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
    "%": lambda a, b: a - b * _quotient(a, b),
}


_PLAIN = re.compile(r"(?:0|[1-9][0-9]*)(?:[-+*](?:0|[1-9][0-9]*))+", re.A)
MAX_PLAIN = 18
"""Longest text in whose sums of products nothing can overflow, in octets."""


def evaluate(text: str, decimal: bool = False) -> int:
    """The value of an expression. `decimal`: a leading 0 means nothing (`eval10`). Raises ExpansionError."""
    if len(text) <= MAX_PLAIN and _PLAIN.fullmatch(text):  # the usual `$n+1` and `20*1024` without the machinery
        total = 0
        for added in text.split("+"):
            first, *taken = added.split("-")
            total += _product(first)
            for part in taken:
                total -= _product(part)
        return total
    return _Evaluator(str(text), decimal).whole()


def evaluate_decimal(text: str) -> int:
    """The same where a leading 0 means nothing."""
    return evaluate(text, decimal=True)


def _product(text: str) -> int:
    if "*" not in text:
        return int(text)
    value = 1
    for factor in text.split("*"):
        value *= int(factor)
    return value
