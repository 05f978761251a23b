"""`${eval:` of sums of products with variables in them (`$value+$item`, `1024*$n + 7`): the text is taken apart once, when the
tree is built.

Law: only what can neither overflow nor be read in two ways is done here; for everything else `arithmetic.evaluate` gets the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from angaros.expand.nodes import Literal, Node, Numeric, Sequence_, Variable, locate
from angaros.model.errors import ExpansionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from angaros.model.scope import Scope

HOLE = "\0"
"""Stands for a variable in the text of a sum."""
MAX_DIGITS = 8
"""Longest number that a variable may have here."""
MAX_FACTORS = 2
"""Most numbers in one product: together they stay within 64 bits."""
MAX_TERMS = 16
_NUMBER = rf"(?:{HOLE}|0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})"
_SUM = re.compile(rf" *{_NUMBER}(?: *[-+*] *{_NUMBER})* *")
_TOKEN = re.compile(rf"[-+*]|{_NUMBER}")

SMALL = {str(number): number for number in range(256)}
"""Most numbers that there are."""

Term = tuple[int, tuple[int, ...]]
"""A constant factor, and the places of the variables to multiply it with."""


class Sum(Node):
    """`${eval:` and `${eval10:` of such a text."""

    __slots__ = ("constant", "evaluate", "holes", "inner", "simple", "terms")

    def __init__(self, inner: Sequence_, terms: list[Term], evaluate: Callable[[str], int]) -> None:
        super().__init__()
        self.inner = inner
        self.holes = [node for _, node in inner.moving]
        self.constant = sum(factor for factor, places in terms if not places)
        self.terms = [term for term in terms if term[1]]
        self.simple: list[tuple[int, Node]] = []
        """A sum of variables with constant factors: nothing is changed when they are asked twice."""
        if all(isinstance(node, (Variable, Numeric)) for node in self.holes) and all(len(term[1]) == 1 for term in self.terms):
            self.simple = [(factor, self.holes[places[0]]) for factor, places in self.terms]
        self.evaluate = evaluate
        self.depends = inner.depends
        self.skip_error = inner.skip_error

    def eval(self, scope: Scope) -> str:
        if self.simple:
            total = self.constant
            try:
                for factor, node in self.simple:
                    total += factor * SMALL[node.eval(scope)]
                return str(total)
            except KeyError:
                pass
            except ExpansionError as error:
                locate(error, node)
                raise
        return self._general(scope)

    def _general(self, scope: Scope) -> str:
        texts: list[str] = []
        try:
            for node in self.holes:
                texts.append(node.eval(scope))
        except ExpansionError as error:
            locate(error, self.holes[len(texts)])
            raise
        total = self.constant
        for factor, places in self.terms:
            for place in places:
                text = texts[place]
                if not is_plain(text):
                    return str(self.evaluate(self._filled(texts)))
                factor *= int(text)
            total += factor
        return str(total)

    def _filled(self, texts: list[str]) -> str:
        parts: list[str] = list(self.inner.parts)
        for (index, _), text in zip(self.inner.moving, texts, strict=True):
            parts[index] = str(text)
        return "".join(parts)


def is_plain(text: str) -> bool:
    """A decimal number that is short and cannot be taken for an octal one."""
    return len(text) <= MAX_DIGITS and text.isdigit() and text.isascii() and (text[0] != "0" or text == "0")


def sum_node(inner: Node, evaluate: Callable[[str], int]) -> Sum | None:
    """The node for this argument of `${eval:`; None when it is not so simple."""
    if not isinstance(inner, Sequence_):
        return None
    text = "".join([node.text if isinstance(node, Literal) else HOLE for node in inner.nodes])
    if text.count(HOLE) != len(inner.moving) or not _SUM.fullmatch(text):
        return None
    terms = _terms(_TOKEN.findall(text))
    return Sum(inner, terms, evaluate) if terms else None


def _terms(tokens: list[str]) -> list[Term]:
    """The sum; empty when something could overflow."""
    terms: list[Term] = []
    places = factor = count = 0
    holes: list[int] = []
    sign = 1
    for token in ["+", *tokens, "+"]:
        if token in ("+", "-"):
            if count > MAX_FACTORS or len(terms) > MAX_TERMS:
                return []
            if count:
                terms.append((sign * factor, tuple(holes)))
            sign, factor, count, holes = (1 if token == "+" else -1), 1, 0, []
        elif token != "*":
            count += 1
            if token == HOLE:
                holes.append(places)
                places += 1
            else:
                factor *= int(token)
    return terms
