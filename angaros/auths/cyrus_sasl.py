"""What Exim gets from the Cyrus SASL library: PLAIN and LOGIN by its daemon saslauthd, GSSAPI, ANONYMOUS (Exim spec 36).

Mechanisms that need the library's own password store (CRAM-MD5 and the like from sasldb2) are not among them: the gsasl driver
has those, with `server_password`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.auths.base import FAIL, OK, AuthResult, ClientDialogue, Dialogue, check_condition, no_client, set_variables
from angaros.expand.conditions.auth import ask_saslauthd
from angaros.model.errors import ExpansionError

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """Ask the client, then the daemon; `$auth1` is the user."""
    mechanism = str(instance.options.server_mech or instance.options.public_name or "").upper()
    if mechanism == "GSSAPI":
        return (yield from _kerberos(instance, scope, initial))
    if mechanism == "LOGIN":
        user = initial if initial is not None else (yield "Username:")
        password = yield "Password:"
    else:
        if initial is None:
            initial = yield ""
        if mechanism == "ANONYMOUS":  # RFC 4505
            set_variables(scope, ["anonymous"])
            return check_condition(instance, scope, unset=OK)
        parts = initial.split("\0")  # RFC 4616
        if len(parts) != 3:
            return _refused(instance, mechanism, scope, "bad protocol / cancel")
        user, password = parts[1], parts[2]
    set_variables(scope, [user])
    return _judge(instance, mechanism, scope, user, password)


def _kerberos(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """Not by saslauthd: by the system's GSS-API library; `$auth1` is the user, whose realm is cut off if it is `server_realm`."""
    from angaros.auths import kerberos
    from angaros.auths.sasl import gss

    options = instance.options
    try:
        hostname = scope.expand(options.server_hostname or "$primary_hostname")
        realm = scope.expand(options.server_realm or "")
        names = yield from kerberos.server(scope, kerberos.Key(options.server_service, hostname), initial)
    except (ExpansionError, gss.NoCredentials) as error:
        return AuthResult("defer", log_message=str(error))
    except ValueError:
        return _refused(instance, "GSSAPI", scope, "authentication failure")
    user, _, where = names.display.rpartition("@")
    user = user if realm and where == realm else names.display
    if names.authorization not in ("", user, names.display):
        return _refused(instance, "GSSAPI", scope, "Requested identity not authenticated identity")
    set_variables(scope, [user])
    return check_condition(instance, scope, unset=OK)


def _judge(instance: DriverInstance[Any], mechanism: str, scope: Scope, user: str, password: str) -> AuthResult:
    options = instance.options
    try:
        realm = scope.expand(options.server_realm) if options.server_realm else ""
    except ExpansionError as error:
        return AuthResult("defer", log_message=str(error))
    try:
        good = ask_saslauthd([user, password, options.server_service, realm], scope)
    except ExpansionError:
        return _refused(instance, mechanism, scope, "generic failure")
    if not good:
        return _refused(instance, mechanism, scope, "authentication failure")
    return check_condition(instance, scope, unset=OK)


def _refused(instance: DriverInstance[Any], mechanism: str, scope: Scope, why: str) -> AuthResult:
    """Tell the reject log, in the library's words."""
    scope.services.log.write(
        f"{instance.name} authenticator ({mechanism}): Cyrus SASL permanent failure: {why}", main=False, reject=True
    )
    return FAIL


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """Server only."""
    return no_client()
