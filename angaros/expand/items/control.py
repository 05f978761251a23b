"""`${if`, `${acl`, `${env`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.items.branches import Branches, parse_branches
from angaros.expand.nodes import NUMERIC, Call, Cond, Node, fail
from angaros.expand.parser import Parser

if TYPE_CHECKING:
    from angaros.model.scope import Scope

ACL_ARGUMENTS = 10
"""The ACL's name and nine arguments."""


class If(Node):
    """`${if condition {yes}{no}}`. `$1`... and `$value` that the condition sets hold inside only."""

    __slots__ = ("branches", "condition", "sets_value", "yes")

    def __init__(self, condition: Cond, branches: Branches) -> None:
        super().__init__()
        self.condition = condition
        self.branches = branches
        self.skip_error = condition.skip_error or branches.skip_error
        self.skip_text = branches.skip_text
        # A pattern that matched sets all numbers; when it did not, those from before hold.
        yes = branches.yes_depends & ~NUMERIC if condition.captures else branches.yes_depends
        self.depends = condition.depends | yes | branches.no_depends
        self.sets_value = condition.sets_value
        self.yes = branches.yes if branches.after_yes is None else None
        """The first string, when nothing can be wrong after it."""

    def eval(self, scope: Scope) -> str:
        numeric = scope.numeric
        sets_value = self.sets_value
        value = scope.local.get("value") if sets_value else None
        try:
            if self.condition.eval(scope):
                yes = self.yes
                return self.branches.when_true("true", scope) if yes is None else yes.eval(scope)
            return self.branches.when_false(scope)
        finally:
            scope.numeric = numeric
            if sets_value:
                restore_value(scope, value)


def restore_value(scope: Scope, saved: str | None) -> None:
    """Put `$value` back."""
    if saved is None:
        scope.local.pop("value", None)
    else:
        scope.local["value"] = saved


def parse_if(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (if)"""
    condition = p.condition()
    if p.broken:
        return If(condition, Branches(name))
    return If(condition, parse_branches(p, name))


def run_acl(arguments: list[str], scope: Scope) -> tuple[str, str]:
    """Run an ACL as a subroutine: outcome (`accept`, `deny`, ...) and its message."""
    from angaros.model.text import is_tainted

    if is_tainted(arguments[0]) and scope.services.harness is None:
        raise fail(f"attempt to use tainted string '{arguments[0]}' for acl")
    outcome, message = scope.services.acl.evaluate(arguments[0], arguments[1:], scope)
    return outcome.value, message


def do_acl(arguments: list[str], scope: Scope) -> str:
    """`${acl{name}{arg}...}`: the message of an ACL that accepts or denies. # Exim spec 11.5 (acl)"""
    outcome, message = run_acl(arguments, scope)
    if outcome in ("accept", "deny", "discard", "drop"):
        return message
    if outcome == "defer":
        from angaros.model.errors import ForcedFailure

        raise ForcedFailure(f'DEFER from acl "{arguments[0]}"')
    raise fail(f'ERROR from acl "{arguments[0]}"')


def parse_acl(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (acl)"""
    arguments = p.arguments(name, 1, ACL_ARGUMENTS)
    return p.unfinished(arguments) if p.broken else Call(do_acl, arguments)


class Env(Node):
    """`${env{name}{yes}{no}}`."""

    __slots__ = ("branches", "key")

    def __init__(self, key: Node, branches: Branches) -> None:
        super().__init__()
        self.key = key
        self.branches = branches
        self.skip_error = key.skip_error or branches.skip_error
        self.skip_text = branches.skip_text

    def eval(self, scope: Scope) -> str:
        import os

        key = self.key.eval(scope)
        value = os.environb.get(key.encode("latin-1")) if key else None
        return self.branches.with_value(None if value is None else value.decode("latin-1"), scope)


def parse_env(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (env)"""
    if p.skip_space() != "{":
        return p.fail_curly("missing '{' for name arg of env")
    key = p.group()
    return key if p.broken else Env(key, parse_branches(p, name))
