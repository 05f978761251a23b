"""The mechanisms that Exim gets from GNU SASL, by our own hand: a table of them (Exim spec 38).

OAUTHBEARER and XOAUTH2 are ours: `$auth1` is the user, `$auth2` the authorization identity, `$auth3` the token, which
`server_condition` judges; a client sends `client_password` as the token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from angaros.auths import gsasl_digest, gsasl_scram, kerberos
from angaros.auths.base import FAIL, OK, AuthResult, ClientDialogue, Dialogue, check_condition, expand_option, set_variables
from angaros.auths.cram_md5 import digest, new_challenge
from angaros.auths.gsasl_common import parse_failure, password_for, refused
from angaros.auths.sasl import bearer, gss
from angaros.model.errors import ExpansionError

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope

Server = Callable[["DriverInstance[Any]", "Scope", "str | None"], Dialogue]
Client = Callable[["DriverInstance[Any]", "Scope", str, str, str], ClientDialogue]
"""With user, password and authorization identity."""


def mechanism_of(instance: DriverInstance[Any]) -> str:
    """`server_mech`, else the public name."""
    return str(instance.options.server_mech or instance.options.public_name or "").upper()


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """Run the mechanism; what went wrong goes to the reject log in GNU SASL's words."""
    mechanism = mechanism_of(instance)
    result = yield from SERVERS[mechanism](instance, scope, initial)
    if result.status == "fail":
        refused(instance, mechanism, scope)
    return result


# --- Server: mechanisms that the condition decides -----------------------------------------------------------------------


def _plain(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """# RFC 4616"""
    if initial is None:
        initial = yield ""
    parts = initial.split("\0")
    if len(parts) != 3 or not parts[1]:
        return parse_failure()
    set_variables(scope, [parts[1], parts[0], parts[2]])
    return check_condition(instance, scope, unset=FAIL)


def _login(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    if initial is None:
        initial = yield "User Name"
    password = yield "Password"
    set_variables(scope, [initial, "", password])
    return check_condition(instance, scope, unset=FAIL)


def _one_word(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """EXTERNAL (RFC 4422 A), ANONYMOUS (RFC 4505): all that there is goes into `$auth1`."""
    if initial is None:
        initial = yield ""
    set_variables(scope, [initial])
    return check_condition(instance, scope, unset=FAIL)


def _bearer(parse: Callable[[str], bearer.Bearer], *, tell: bool) -> Server:
    """`tell`: say why in a challenge of its own before the failure, as RFC 7628 3.2.2 wants it."""

    def run(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
        if initial is None:
            initial = yield ""
        try:
            claim = parse(initial)
        except ValueError:
            return parse_failure()
        set_variables(scope, [claim.user, claim.authorization, claim.token])
        result = check_condition(instance, scope, unset=FAIL)
        if result.status == "fail" and tell:
            yield bearer.ERROR
        return result

    return run


# --- Server: mechanisms that need the password ---------------------------------------------------------------------------


def _cram_md5(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """# RFC 2195"""
    import hmac

    if initial:
        return parse_failure()
    challenge = new_challenge(scope)
    response = yield challenge
    user, space, answer = response.rpartition(" ")
    if not space:
        return parse_failure()
    secret = password_for(instance, scope, user, "", None)
    if isinstance(secret, AuthResult):
        return secret
    if not hmac.compare_digest(digest(secret, challenge).encode(), answer.lower().encode("latin-1")):
        return FAIL
    return check_condition(instance, scope, unset=OK)


# --- Server: Kerberos ----------------------------------------------------------------------------------------------------


def _kerberos(run: kerberos.Server) -> Server:
    """`$auth1` is the display name, `$auth2` the authorization identity; the condition must be there. # Exim spec 38.1"""

    def serve(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
        options = instance.options
        try:
            hostname = scope.expand(options.server_hostname or "$primary_hostname")
            names = yield from run(scope, kerberos.Key(options.server_service, hostname), initial)
        except (ExpansionError, gss.NoCredentials) as error:
            return AuthResult("defer", log_message=str(error))
        except ValueError:
            return FAIL
        set_variables(scope, [names.display, names.authorization])
        return check_condition(instance, scope, unset=FAIL)

    return serve


SERVERS: dict[str, Server] = {
    "ANONYMOUS": _one_word,
    "CRAM-MD5": _cram_md5,
    "DIGEST-MD5": gsasl_digest.server,
    "EXTERNAL": _one_word,
    "GS2-KRB5": _kerberos(kerberos.gs2_server),
    "GSSAPI": _kerberos(kerberos.server),
    "LOGIN": _login,
    "OAUTHBEARER": _bearer(bearer.parse_oauthbearer, tell=True),
    "PLAIN": _plain,
    "XOAUTH2": _bearer(bearer.parse_xoauth2, tell=False),
    **dict.fromkeys(gsasl_scram.NAMES, gsasl_scram.server),
}


# --- Client --------------------------------------------------------------------------------------------------------------


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """Run the mechanism that the server advertised. Raises ExpansionError, ForcedFailure."""
    options = instance.options
    user = expand_option(instance, options.client_username or "", scope)
    password = expand_option(instance, options.client_password or "", scope)
    authorization = expand_option(instance, options.client_authz or "", scope)
    mechanism = (options.public_name or "").upper()
    if mechanism not in CLIENTS:
        raise ExpansionError(f"{instance.name} authenticator: no client side of mechanism {mechanism}")
    return CLIENTS[mechanism](instance, scope, user, password, authorization)


def _client_plain(instance: DriverInstance[Any], scope: Scope, user: str, password: str, authorization: str) -> ClientDialogue:
    yield f"{authorization}\0{user}\0{password}"


def _client_login(instance: DriverInstance[Any], scope: Scope, user: str, password: str, authorization: str) -> ClientDialogue:
    yield ""
    yield user
    yield password


def _client_cram(instance: DriverInstance[Any], scope: Scope, user: str, password: str, authorization: str) -> ClientDialogue:
    challenge = yield ""
    yield f"{user} {digest(password, challenge)}"


def _client_external(instance: DriverInstance[Any], scope: Scope, user: str, password: str, authorization: str) -> ClientDialogue:
    if not authorization:
        yield ""
    yield authorization


def _client_anonymous(
    instance: DriverInstance[Any], scope: Scope, user: str, password: str, authorization: str
) -> ClientDialogue:
    yield user or "anonymous"


def _client_kerberos(run: kerberos.Client) -> Client:
    """With the ticket that the environment names, for service `smtp` at the host that we talk to."""

    def converse(instance: DriverInstance[Any], scope: Scope, user: str, password: str, authorization: str) -> ClientDialogue:
        return run(scope, kerberos.Key("smtp", scope.expand("$host")), authorization)

    return converse


def _client_bearer(message: Callable[[str, str], str], after_error: str) -> Client:
    """`after_error` answers the challenge that tells of a failure."""

    def run(instance: DriverInstance[Any], scope: Scope, user: str, password: str, authorization: str) -> ClientDialogue:
        yield message(user, password)
        yield after_error

    return run


CLIENTS: dict[str, Client] = {
    "ANONYMOUS": _client_anonymous,
    "CRAM-MD5": _client_cram,
    "DIGEST-MD5": gsasl_digest.client,
    "EXTERNAL": _client_external,
    "GS2-KRB5": _client_kerberos(kerberos.gs2_client),
    "GSSAPI": _client_kerberos(kerberos.client),
    "LOGIN": _client_login,
    "OAUTHBEARER": _client_bearer(bearer.oauthbearer, "\x01"),
    "PLAIN": _client_plain,
    "XOAUTH2": _client_bearer(bearer.xoauth2, ""),
    **dict.fromkeys(gsasl_scram.NAMES, gsasl_scram.client),
}
