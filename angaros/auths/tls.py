"""Authentication by the TLS session alone: checked right after the handshake, without an AUTH command (Exim spec 41)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.auths.base import AuthResult, ClientDialogue, Dialogue, check_condition, set_variables
from angaros.lists.parse import split_list
from angaros.model.errors import ExpansionError, ForcedFailure

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope

MAX_STRINGS = 3


def _parameters(instance: DriverInstance[Any], scope: Scope) -> list[str]:
    options = instance.options
    found: list[str] = []
    for text in (options.server_param1 or options.server_param, options.server_param2, options.server_param3):
        if text is not None:
            found += split_list(scope.expand(text))
    return found[:MAX_STRINGS]


def check(instance: DriverInstance[Any], scope: Scope) -> AuthResult:
    """`server_param...` give `$auth1`, ...; then `server_condition` decides. `scope` keeps the variables for `server_set_id`."""
    try:
        set_variables(scope, _parameters(instance, scope))
    except ForcedFailure:
        return AuthResult("fail")
    except ExpansionError as error:
        return AuthResult("defer", log_message=str(error))
    return check_condition(instance, scope, unset=AuthResult("fail"))


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """Never by command: the driver has no mechanism name."""
    return AuthResult("fail")
    yield ""


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """Nothing to send."""
    return
    yield ""
