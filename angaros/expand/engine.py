"""`Engine`: strings are compiled once into trees and evaluated as often as wanted.

Laws:
- The cache is bounded: strings that are made at run time (`${expand:`, `-be`) cannot fill the memory.
- Text from outside is never expanded.
- Nothing but `ExpansionError` (and `ForcedFailure`) leaves here, however hostile the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.language import Tables
from angaros.expand.nodes import Cond, Node, fail
from angaros.expand.parser import Parser
from angaros.model.errors import AngarosError, ExpansionError, LookupDefer, PanicError
from angaros.model.text import Tainted

if TYPE_CHECKING:
    from angaros.model.scope import Scope

CACHE_SIZE = 4096
"""Trees kept. A large panel configuration has some 1,500 strings."""
MAX_SOURCE = 8 << 20
"""Longest string that is compiled, in octets."""


def refuse_to_expand(text: str, scope: Scope) -> ExpansionError:
    """The error for outside data that somebody wants to expand; it goes to the panic log, too."""
    message = f"attempt to expand tainted string '{text}'"
    scope.services.log.write(message, panic=True)
    return fail(message)


class Engine:
    """`interfaces.Expander`."""

    __slots__ = ("_conditions", "_tables", "_trees")

    def __init__(self) -> None:
        self._tables = Tables()
        self._trees: dict[str, Node] = {}
        self._conditions: dict[str, Cond] = {}

    def tree(self, text: str) -> Node:
        """The compiled form of a string."""
        node = self._trees.get(text)
        if node is None:
            node = self._compile(text)
            if len(self._trees) >= CACHE_SIZE:
                self._drop_old(self._trees)
            self._trees[text] = node
        return node

    @staticmethod
    def _drop_old(cache: dict[str, Node]) -> None:
        for key in list(cache)[: CACHE_SIZE // 4]:
            del cache[key]

    def _compile(self, text: str) -> Node:
        if len(text) > MAX_SOURCE:
            raise fail(f"string to be expanded is longer than {MAX_SOURCE} octets")
        try:
            return Parser(text, self._tables).whole()
        except RecursionError:
            raise fail("expansion is nested too deeply") from None

    def expand(self, text: str, scope: Scope) -> str:
        """Expand a string. Raises ExpansionError."""
        if type(text) is Tainted and ("$" in text or "\\" in text):
            raise refuse_to_expand(text, scope)
        try:
            return (self._trees.get(text) or self.tree(text)).eval(scope)
        except (ExpansionError, PanicError):
            raise
        except RecursionError:
            raise fail("expansion is nested too deeply") from None
        except AngarosError as error:
            wrapped = fail(str(error))
            wrapped.temporary = isinstance(error, LookupDefer)
            raise wrapped from None

    def condition(self, text: str, scope: Scope) -> bool:
        """Evaluate one condition, `eq{a}{b}`. Raises ExpansionError."""
        if type(text) is Tainted:
            raise refuse_to_expand(text, scope)
        condition = self._conditions.get(text)
        if condition is None:
            parser = Parser(text, self._tables)
            condition = parser.condition()
            if not parser.broken and parser.skip_space():
                condition = parser.fail_cond(f"unexpected text after condition: {parser.rest()}")
            if len(self._conditions) >= CACHE_SIZE:
                self._conditions.clear()
            self._conditions[text] = condition
        try:
            return condition.eval(scope)
        except (ExpansionError, PanicError):
            raise
        except RecursionError:
            raise fail("expansion is nested too deeply") from None
        except AngarosError as error:
            raise fail(str(error)) from None

    def check(self, text: str) -> str | None:
        """What is wrong with the syntax of a string, without values; None when nothing is."""
        return self.tree(text).skip_error
