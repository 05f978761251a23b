"""What the gsasl driver's mechanisms share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.auths.base import AuthResult, expand_secret, set_variables
from angaros.model.errors import ExpansionError, ForcedFailure

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope

DEFER = AuthResult("defer")


def parse_failure() -> AuthResult:
    """The client's message makes no sense."""
    return AuthResult("defer", log_message="GSASL_MECHANISM_PARSE_ERROR (SASL mechanism could not parse input)")


def refused(instance: DriverInstance[Any], mechanism: str, scope: Scope) -> None:
    """Tell the reject log."""
    scope.services.log.write(
        f"{instance.name} authenticator ({mechanism}):\n"
        "  GNU SASL permanent failure: GSASL_AUTHENTICATION_ERROR (Error authenticating user)",
        main=False,
        reject=True,
    )


def password_for(
    instance: DriverInstance[Any], scope: Scope, user: str, authorization: str, realm: str | None = ""
) -> str | AuthResult:
    """`server_password`; a forced failure defers. `realm` None: what `server_realm` says. # Exim spec 38 (server_password)"""
    text = instance.options.server_realm if realm is None else None
    try:
        set_variables(scope, [user, authorization, scope.expand(text) if text else realm or ""])
        if instance.options.server_password is None:
            return DEFER
        return scope.expand(instance.options.server_password)
    except ForcedFailure:
        return DEFER
    except ExpansionError as error:
        return AuthResult("defer", log_message=str(error))


def optional(text: str | None, scope: Scope) -> str:
    """An option that may be unset or come to nothing. Raises ExpansionError."""
    if text is None:
        return ""
    found = expand_secret(text, scope)
    if isinstance(found, AuthResult):
        if found.status == "fail":
            return ""
        raise ExpansionError(found.log_message)
    return found.strip()
