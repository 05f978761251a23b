"""`spf`: `${lookup{user@domain} spf{1.2.3.4}}`, the verdict on a sender and an address. # Exim spec 58.2

The evaluator is the mailauth room's; who wires the program puts it into `services.extra["spf_lookup"]`, a callable
(sender, address, scope) -> result word.
"""

from __future__ import annotations

from collections.abc import Callable

from angaros.lists.ip import parse_ip
from angaros.lookups.base import PlainDriver, Request
from angaros.model.errors import LookupDefer, LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.scope import Scope
from angaros.model.text import untaint

Evaluator = Callable[[str, str, Scope], str]


class Spf(PlainDriver):
    """The "file" is an IP address."""

    def find(self, request: Request) -> LookupResult:
        """`pass`, `fail`, `softfail`, `none`, `neutral`, `permerror`, `temperror`."""
        evaluate: Evaluator | None = request.scope.services.extra.get("spf_lookup")
        if evaluate is None:
            text = 'lookup type "spf" is not available (not in the binary - check buildtime LOOKUP configuration)'
            raise LookupFailure(text)
        address = untaint(request.source)
        if parse_ip(address) is None:
            raise LookupDefer(f'"{address}" is not an IP address')
        return LookupResult(str(evaluate(untaint(request.key), address, request.scope)))
