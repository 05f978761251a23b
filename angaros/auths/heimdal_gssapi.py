"""Kerberos by the system's GSS-API library: mechanism GSSAPI, server only (Exim spec 39)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.auths import kerberos
from angaros.auths.base import FAIL, OK, AuthResult, ClientDialogue, Dialogue, check_condition, no_client, set_variables
from angaros.auths.sasl import gss
from angaros.model.errors import ExpansionError

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """`$auth1` is the display name, `$auth2` the authorization identity or, when that is empty, the display name again."""
    options = instance.options
    try:
        hostname = scope.expand(options.server_hostname or "$primary_hostname")
        service = scope.expand(options.server_service)
        keytab = scope.expand(options.server_keytab or "")
    except ExpansionError as error:
        return AuthResult("defer", log_message=str(error))
    try:
        names = yield from kerberos.server(scope, kerberos.Key(service, hostname, keytab), initial)
    except gss.NoCredentials as error:
        return AuthResult("defer", log_message=str(error))
    except (gss.GssError, ValueError) as error:
        return refused(instance, scope, error)
    set_variables(scope, [names.display, names.authorization or names.display])
    return check_condition(instance, scope, unset=OK)


def refused(instance: DriverInstance[Any], scope: Scope, error: Exception) -> AuthResult:
    """Tell the reject log why."""
    scope.services.log.write(f"{instance.name} authenticator (GSSAPI): {error}", main=False, reject=True)
    return FAIL


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """Server only."""
    return no_client()
