"""`${certextract{field}{$certificate}{yes}{no}}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.certificates import CERTIFICATES, certificate, extract_field
from angaros.expand.items.branches import Branches, parse_branches
from angaros.expand.nodes import Node, fail
from angaros.expand.parser import Parser

if TYPE_CHECKING:
    from angaros.model.scope import Scope


class CertExtract(Node):
    """The field's value is `$value` in the first string."""

    __slots__ = ("branches", "field", "variable", "wrong")

    def __init__(self, field: Node, variable: str, branches: Branches, wrong: str) -> None:
        super().__init__()
        self.wrong = wrong
        self.field = field
        self.variable = variable
        self.branches = branches
        self.skip_error = field.skip_error or branches.skip_error
        self.skip_text = branches.skip_text

    def eval(self, scope: Scope) -> str:
        selector = self.field.eval(scope).strip()
        if self.wrong:
            raise fail(self.wrong)
        pem = certificate(scope, self.variable)
        value = extract_field(pem, str(selector), self.variable.endswith("peercert")) if pem else None
        return self.branches.with_value(value, scope)


def parse_certextract(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (certextract)"""
    if p.skip_space() != "{":
        return p.fail_curly("missing '{' for field arg of certextract")
    field = p.group()
    if p.broken:
        return p.unfinished([field])
    if p.skip_space() != "{":
        return p.unfinished([field, p.fail_curly("missing '{' for cert variable arg of certextract")])
    p.pos += 1
    if p.skip_space() != "$":
        return p.unfinished([field, p.fail('second argument of "certextract" must be a certificate variable')])
    p.pos += 1
    variable = p.string(dollar=False).skip_text
    wrong = "" if variable in CERTIFICATES else _why_wrong(p, variable)
    if wrong and p.peek() != "}":
        return p.unfinished([field, p.fail(wrong)])
    if p.skip_space() != "}":
        return p.unfinished([field, p.fail_end()])
    p.pos += 1
    return CertExtract(field, variable, parse_branches(p, name), wrong)


def _why_wrong(p: Parser, variable: str) -> str:
    """A name that is no certificate: found when the item is evaluated."""
    known = p.language.variable(variable) is not None
    return f'"{variable}" is not a certificate' if known else f'no variable named "{variable}"'
