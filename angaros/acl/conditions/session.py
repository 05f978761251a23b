"""Conditions on the connection: `hosts`, `authenticated`, `encrypted`. Exim spec 44.26."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.acl.frame import test
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


def hosts(frame: Frame, argument: str) -> Outcome:
    """The calling host is in the list; `$host_data` gets the data of a lookup."""
    scope = frame.scope
    scope.state.pop("host_data", None)
    found = scope.services.lists.match_host(argument, scope)
    if found.data is not None:
        scope.state["host_data"] = found.data
    return test(found.matched)


def authenticated(frame: Frame, argument: str) -> Outcome:
    """The name of the authenticator that succeeded is in the list."""
    name = frame.session.sender_host_authenticated
    if not name:
        return Outcome.DENY
    return test(frame.scope.services.lists.match_string(name, argument, frame.scope).matched)


def encrypted(frame: Frame, argument: str) -> Outcome:
    """The cipher suite is in the list."""
    tls = frame.session.tls
    if tls is None or not tls.cipher:
        return Outcome.DENY
    return test(frame.scope.services.lists.match_string(tls.cipher, argument, frame.scope).matched)
