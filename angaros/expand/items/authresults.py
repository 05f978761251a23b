"""`${authresults{authserv-id}}`. The rooms that verify give their parts through `services.extra["authresults"]`: a dict of
functions from a scope to text, by method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.nodes import Call, Node
from angaros.expand.parser import Parser
from angaros.expand.variables_session import session_of
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.model.scope import Scope


def _iprev(scope: Scope) -> list[str]:
    """# RFC 8601 2.7.3"""
    session = session_of(scope)
    if not session.sender_host_address or not session.host_name_looked_up:
        return []
    if session.sender_host_name:
        verdict: list[str] = ["pass (", session.sender_host_name, ")"]
    elif session.host_lookup_deferred:
        verdict = ["temperror"]
    else:
        verdict = ["fail"]
    return [";\n\tiprev=", *verdict, " smtp.remote-ip=", session.sender_host_address]


def _auth(scope: Scope) -> list[str]:
    """# RFC 8601 2.7.4"""
    session = session_of(scope)
    if session.sender_host_authenticated:
        parts = [";\n\tauth=pass (", session.sender_host_authenticated, ")"]
        if session.authenticated_id:
            by_certificate = any(
                instance.driver == "tls" and instance.name == session.sender_host_authenticated
                for instance in scope.services.config.authenticators
            )
            parts += [" x509.auth=" if by_certificate else " smtp.auth=", session.authenticated_id]
        return parts
    if session.authentication_failed:
        return [";\n\tauth=fail"]
    return []


PARTS = ("spf", "dkim", "dmarc", "arc")
"""In this order; what each has to say begins with `;` or is empty."""


def do_authresults(arguments: list[str], scope: Scope) -> str:
    """The header line, without its newline. # Exim spec 11.5 (authresults)"""
    parts = _iprev(scope) + _auth(scope)
    hooks = scope.services.extra.get("authresults", {})
    parts += [hooks[name](scope) for name in PARTS if name in hooks]
    return concat(["Authentication-Results: ", arguments[0], *parts])


def parse_authresults(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (authresults)"""
    arguments = p.arguments(name, 1, 1)
    return p.unfinished(arguments) if p.broken else Call(do_authresults, arguments)
