"""The parser: a script becomes a tree. # RFC 5228 8.2

The grammar of each command and test is its row in the tables; errors are Exim's words. What comes before an error is kept, for a
script may stop before it gets there (README.SIEVE: "strict error checking ... until stop is executed").
"""

from __future__ import annotations

from typing import Any

from angaros.filters.sieve.characters import decode_characters
from angaros.filters.sieve.language import LANGUAGE
from angaros.filters.sieve.lexer import Lexer, SieveError
from angaros.filters.sieve.tree import Argument, Node, Script, Spec, Tag

MAX_NESTING = 64
"""Blocks and tests inside each other; RFC 5228 2.10.5 wants 15 at least."""


def parse(source: str) -> Script:
    """Read a script; an error is in `Script.error`."""
    return _Parser(source).script


class _Parser:
    def __init__(self, source: str) -> None:
        self.lexer = Lexer(source)
        self.script = Script()
        self.depth = 0
        try:
            self._requires()
            self._commands(self.script.commands)
            if self.lexer.peek().kind != "end":
                raise self.lexer.fail("syntax error")
        except SieveError as error:
            self.script.error = error

    # --- require ---------------------------------------------------------------------------------------------------------

    def _requires(self) -> None:
        """# RFC 5228 3.2"""
        lexer = self.lexer
        while lexer.peek().kind == "identifier" and lexer.peek().text == "require":
            lexer.next()
            names = self._value(Argument("list", "capability string list expected"))
            for name in names:
                if name not in LANGUAGE.capabilities:
                    raise lexer.fail("unknown capability")
                self.script.required.add(name)
            self._semicolon()

    def _semicolon(self) -> None:
        if not self.lexer.accept(";"):
            raise self.lexer.fail("missing semicolon")

    def need(self, capability: str) -> None:
        """Raises unless it was required; with ihave only running can tell."""
        if capability and capability not in self.script.required and not self.lenient:
            raise self.lexer.fail(f'missing previous require "{capability}";')

    # --- commands --------------------------------------------------------------------------------------------------------

    def _commands(self, into: list[Node]) -> None:
        """Commands until something else comes."""
        lexer = self.lexer
        while (token := lexer.peek()).kind == "identifier":
            spec = LANGUAGE.commands.get(token.text)
            if spec is None and token.text not in ("elsif", "else", "require") and self.lenient:
                spec = _UNKNOWN
            if spec is None:
                return
            lexer.next()
            self.need(spec.capability)
            node = Node(spec, lexer.line)
            if spec.shape == "if":
                into.append(node)
                self._if(node)
                continue
            if spec is _UNKNOWN:
                self._anything(node)
            else:
                self._arguments(node)
                self._semicolon()
            into.append(node)

    def _if(self, node: Node) -> None:
        """# RFC 5228 3.1"""
        lexer = self.lexer
        self._branch(node, self._test())
        while lexer.peek().kind == "identifier" and lexer.peek().text in ("elsif", "else"):
            if lexer.next().text == "else":
                self._branch(node, None)
                return
            self._branch(node, self._test())

    def _branch(self, node: Node, test: Node | None) -> None:
        block: list[Node] = []
        lexer = self.lexer
        if not lexer.accept("{"):
            raise lexer.fail("missing block")
        node.branches.append((test, block))
        self._enter()
        self._commands(block)
        self.depth -= 1
        if not lexer.accept("}"):
            raise lexer.fail("expecting command or closing brace")

    def _enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.lexer.fail("nested too deeply")

    # --- tests -----------------------------------------------------------------------------------------------------------

    def _test(self) -> Node:
        lexer = self.lexer
        token = lexer.peek()
        spec = LANGUAGE.tests.get(token.text) if token.kind == "identifier" else None
        if spec is None and token.kind == "identifier" and self.lenient:
            spec = _UNKNOWN
        if spec is None:
            raise lexer.fail("missing test")
        lexer.next()
        self.need(spec.capability)
        node = Node(spec, lexer.line)
        self._enter()
        if spec.shape == "test":
            node.tests.append(self._test())
        elif spec.shape == "list":
            self._test_list(node)
        elif spec is _UNKNOWN:
            self._anything_but_end(node)
        else:
            self._arguments(node)
        self.depth -= 1
        return node

    def _test_list(self, node: Node) -> None:
        lexer = self.lexer
        if not lexer.accept("("):
            raise lexer.fail("missing test list")
        node.tests.append(self._test())
        while lexer.accept(","):
            node.tests.append(self._test())
        if not lexer.accept(")"):
            raise lexer.fail("missing closing paren")

    # --- what only ihave can excuse --------------------------------------------------------------------------------------

    @property
    def lenient(self) -> bool:
        """Unknown commands are an error only when they run. # RFC 5463 4"""
        return "ihave" in self.script.required

    def _anything(self, node: Node) -> None:
        """An unknown command by the general grammar. # RFC 5228 8.2"""
        self._anything_but_end(node)
        if self.lexer.peek().kind == "{":
            self._branch(node, None)
            node.branches.clear()
            return
        self._semicolon()

    def _anything_but_end(self, node: Node) -> None:
        lexer = self.lexer
        while lexer.peek().kind in ("tag", "string", "number", "["):
            if lexer.peek().kind == "tag":
                lexer.next()
            else:
                self._value(Argument("any", ""))
        if lexer.peek().kind == "(":
            self._test_list(node)
        elif lexer.peek().kind == "identifier":
            node.tests.append(self._test())

    # --- arguments -------------------------------------------------------------------------------------------------------

    def _arguments(self, node: Node) -> None:
        """Tagged arguments in any order, then the others. # RFC 5228 2.6"""
        lexer = self.lexer
        allowed = {tag.name: tag for tag in LANGUAGE.tags_of(node.spec)}
        while lexer.peek().kind == "tag" and (tag := allowed.get(lexer.peek().text)) is not None:
            lexer.next()
            self._tag(node, tag)
        for key, error in node.spec.needs:
            if key not in node.tags:
                raise lexer.fail(error)
        if any(argument.optional for argument in node.spec.arguments):
            self._flexible(node)
        else:
            node.args = [self._value(argument) for argument in node.spec.arguments]
        if node.spec.check is not None:
            node.spec.check(Checker(self.lexer.line, self.script.required), node)

    def _tag(self, node: Node, tag: Tag) -> None:
        self.need(tag.capability)
        if tag.twice and tag.place in node.tags:
            raise self.lexer.fail(tag.twice)
        node.tags[tag.place] = tag.name if tag.argument is None else self._value(tag.argument)
        if tag.argument is not None and tag.key:
            node.tags[f"{tag.place} tag"] = tag.name

    def _flexible(self, node: Node) -> None:
        """Positional arguments some of which may be left out: as many as there are are given to the needed ones first."""
        given: list[Any] = []
        while len(given) < len(node.spec.arguments) and self.lexer.peek().kind in ("string", "[", "number"):
            given.append(self._value(Argument("any", "")))
        spare = len(given) - sum(not argument.optional for argument in node.spec.arguments)
        for argument in node.spec.arguments:
            if argument.optional and spare <= 0:
                node.args.append(None)
                continue
            spare -= argument.optional
            if not given:
                raise self.lexer.fail(argument.error)
            node.args.append(self._fitting(argument, given.pop(0)))

    def _fitting(self, argument: Argument, value: Any) -> Any:
        """A value that was read before it was known for what."""
        kinds = {"string": str, "list": list, "number": int}
        if argument.kind == "list" and isinstance(value, str):
            return [value]
        if not isinstance(value, kinds[argument.kind]):
            raise self.lexer.fail(argument.error)
        return value

    def _value(self, argument: Argument) -> Any:
        """One argument of the wanted kind."""
        lexer, kind = self.lexer, argument.kind
        token = lexer.peek()
        if token.kind == "string" and kind in ("string", "list", "any"):
            lexer.next()
            text = self._string(token.text)
            return [text] if kind == "list" else text
        if token.kind == "[" and kind in ("list", "any"):
            lexer.next()
            return self._list()
        if token.kind == "number" and kind in ("number", "any"):
            return lexer.next().number
        raise lexer.fail(argument.error)

    def _list(self) -> list[str]:
        """Behind the opening bracket. # RFC 5228 2.4.2.1"""
        lexer = self.lexer
        out: list[str] = []
        if lexer.accept("]"):
            return out
        while lexer.peek().kind == "string":
            out.append(self._string(lexer.next().text))
            if lexer.accept("]"):
                return out
            if not lexer.accept(","):
                break
        raise lexer.fail("missing string list")

    def _string(self, text: str) -> str:
        if "${" in text and "encoded-character" in self.script.required:
            return decode_characters(text, self.lexer)
        return text


def _unknown(run: Any, node: Node) -> None:
    raise run.fail("unknown command or test")


_UNKNOWN = Spec("", _unknown)


class Checker:
    """What a `Spec.check` asks and how it complains."""

    __slots__ = ("line", "required", "substituted")

    def __init__(self, line: int, required: set[str], *, substituted: bool = False) -> None:
        self.line = line
        self.required = required
        self.substituted = substituted
        """The script runs: all strings are constants now."""

    def fail(self, text: str) -> SieveError:
        """The error, with its line."""
        return SieveError(text, self.line)

    def constant(self, text: str) -> bool:
        """Whether the string has no variables in it: only then can it be judged before the script runs. # RFC 5229 3"""
        return self.substituted or "variables" not in self.required or "${" not in text
