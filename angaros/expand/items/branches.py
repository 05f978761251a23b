"""The `{yes}{no}` part that `if`, `extract`, `lookup`, `run`, `env`, `listextract` and `certextract` end in.

Law: both strings are looked at in their order; the one that does not apply is skipped, and what skipping finds wrong is
raised at its place: before the other is evaluated, or after. # Exim spec 11.5 (if)
"""

from __future__ import annotations

from angaros.expand.nodes import VALUE, Node, fail, sequence
from angaros.expand.parser import Parser
from angaros.model.errors import ForcedFailure
from angaros.model.scope import Scope

_PROBLEM = "curly-bracket problem in conditional yes/no parsing: "


class Branches:
    """`{yes}{no}`, `{yes}`, `{yes} fail`, or nothing."""

    __slots__ = ("after_no", "after_yes", "before_no", "forced", "item", "no", "skip_error", "skip_text", "yes")

    def __init__(self, item: str) -> None:
        self.item = item
        self.yes: Node | None = None
        self.no: Node | None = None
        self.forced = False
        """`fail` stands where the second string would."""
        self.after_yes: str | None = None
        self.before_no: str | None = None
        self.after_no: str | None = None
        self.skip_error: str | None = None
        self.skip_text = ""

    @property
    def yes_depends(self) -> int:
        """What the first string depends on."""
        return 0 if self.yes is None else self.yes.depends

    @property
    def no_depends(self) -> int:
        """What the second string depends on."""
        return 0 if self.no is None else self.no.depends

    @property
    def depends(self) -> int:
        """What both depend on, `$value` being set in the first."""
        return self.yes_depends & ~VALUE | self.no_depends

    def when_true(self, default: str, scope: Scope) -> str:
        """The first string; `default` when there is none."""
        text = default if self.yes is None else self.yes.eval(scope)
        if self.after_yes is not None:
            raise fail(self.after_yes)
        return text

    def when_false(self, scope: Scope) -> str:
        """The second string; "" when there is none. Raises ForcedFailure for `fail`."""
        if self.before_no is not None:
            raise fail(self.before_no)
        if self.forced:
            raise ForcedFailure(f'"{self.item}" failed and "fail" requested')
        text = "" if self.no is None else self.no.eval(scope)
        if self.after_no is not None:
            raise fail(self.after_no)
        return text

    def with_value(self, value: str | None, scope: Scope) -> str:
        """Choose by whether there is a value; it is `$value` in the first string."""
        if value is None:
            return self.when_false(scope)
        if self.yes is None and self.after_yes is None:
            return value
        local = scope.local
        saved = local.get("value")
        local["value"] = value
        try:
            return self.when_true(value, scope)
        finally:
            if saved is None:
                local.pop("value", None)
            else:
                local["value"] = saved


def parse_branches(p: Parser, item: str) -> Branches:
    """Read them with the item's closing brace."""
    if p.skip_space() == "}":
        p.pos += 1
        return Branches(item)
    if p.peek() != "{":
        return _stop(Branches(item), _problem(p, "'yes' part did not start with '{'"))
    given = [_part(p)]
    if not p.broken and p.skip_space() == "{":
        given.append(_part(p))
    return finish_branches(p, item, given)


def finish_branches(p: Parser, item: str, given: list[Node]) -> Branches:
    """The branches whose one or two strings are `given`; we stand after them."""
    found = Branches(item)
    found.yes = given[0]
    found.before_no = found.skip_error = given[0].skip_error
    if len(given) == 2:
        found.no = given[1]
        found.skip_text = given[1].skip_text
        found.after_yes = given[1].skip_error
        found.skip_error = found.skip_error or given[1].skip_error
    if p.broken or (len(given) == 1 and p.skip_space() != "}" and not _forced(p, found)):
        return found
    if p.skip_space() != "}":
        message = _problem(p, "did not close with '}'")
        found.after_yes = found.after_yes or message
        found.after_no = message
        found.skip_error = found.skip_error or message
        return found
    p.pos += 1
    return found


def _part(p: Parser) -> Node:
    p.pos += 1
    node = p.string()
    if p.broken:
        return node
    if p.peek() != "}":
        return sequence([node, p.fail_end()])
    p.pos += 1
    return node


def _forced(p: Parser, found: Branches) -> bool:
    """`fail` where the second string would be; False when it is wrong."""
    if p.name() != "fail":
        _stop(found, p.fail_curly(f'syntax error in "{found.item}" item - "fail" expected').message)
        return False
    found.forced = True
    if p.skip_space() != "}":
        after = _problem(p, "did not close with '}' after forcedfail")
        found.after_yes = _problem(p, "did not close with '}'")
        found.before_no = found.before_no or after
        found.skip_error = found.skip_error or found.after_yes
        return False
    return True


def _problem(p: Parser, what: str) -> str:
    return p.fail_curly(f"{_PROBLEM}{what}\n remaining string is '{p.rest()}'").message


def _stop(found: Branches, message: str) -> Branches:
    """Wrong from here on, whichever string would apply."""
    found.after_yes = found.after_yes or message
    found.before_no = found.before_no or message
    found.skip_error = found.skip_error or message
    return found
