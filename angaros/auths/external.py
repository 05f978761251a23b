"""EXTERNAL: who the client is was settled elsewhere, by its certificate (RFC 4422 A; Exim spec 40)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.auths.base import AuthResult, ClientDialogue, Dialogue, check_condition, expand_option, set_variables
from angaros.model.errors import ExpansionError, ForcedFailure

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """`$auth1` is what the client says, `$auth2` and `$auth3` come from the configuration; `server_condition` decides."""
    if initial is None:
        initial = yield ""
    data = initial.split("\0")
    set_variables(scope, data[:1])
    for number in (2, 3):
        text = getattr(instance.options, f"server_param{number}")
        if text is None:
            continue
        try:
            scope.local[f"auth{number}"] = scope.expand(text)
        except ForcedFailure:
            return AuthResult("fail")
        except ExpansionError as error:
            return AuthResult("defer", log_message=str(error))
    return check_condition(instance, scope, unset=AuthResult("fail"))


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """Send the identity with the command (`=` when it is empty)."""
    text = expand_option(instance, instance.options.client_send or "", scope)
    yield text
