"""DIGEST-MD5 for the gsasl driver: where password, realm and host name come from (Exim spec 38; RFC 2831)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from angaros.auths.base import FAIL, OK, AuthResult, ClientDialogue, Dialogue, check_condition
from angaros.auths.gsasl_common import optional, parse_failure, password_for
from angaros.auths.sasl import digest_md5
from angaros.model.errors import ExpansionError

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope

NONCE_OCTETS = 18


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """Challenge, response, and our own proof. `server_hostname` and `server_service` are what the client must have meant."""
    if initial:
        return parse_failure()  # the server speaks first
    options = instance.options
    try:
        realm = optional(options.server_realm, scope)
        hostname = optional(options.server_hostname, scope)
    except ExpansionError as error:
        return AuthResult("defer", log_message=str(error))
    nonce = scope.services.random.token(NONCE_OCTETS).hex()
    message = yield digest_md5.challenge(realm, nonce)
    try:
        response = digest_md5.parse_response(message, nonce, realm)
    except digest_md5.DigestError:
        return parse_failure()
    secret = password_for(instance, scope, response.user, response.authorization, response.realm)
    if isinstance(secret, AuthResult):
        return secret
    if not hmac.compare_digest(response.digest(secret).encode(), response.directives["response"].encode("latin-1")):
        return FAIL
    kind, host = response.uri
    if kind != options.server_service.lower() or (hostname and host != hostname.lower()):
        return FAIL  # RFC 2831 2.1.2: meant for somebody else
    result = check_condition(instance, scope, unset=OK)
    if result.status == "ok":
        yield f"rspauth={response.digest(secret, server=True)}"
    return result


def client(instance: DriverInstance[Any], scope: Scope, user: str, password: str, authorization: str) -> ClientDialogue:
    """Answer the challenge, then check that the server knows the password too."""
    challenge = yield ""
    account = digest_md5.Account(user, password, authorization)
    cnonce = scope.services.random.token(NONCE_OCTETS).hex()
    answer, proof = digest_md5.respond(challenge, account, f"smtp/{scope.expand('$host').lower()}", cnonce)
    try:
        last = yield answer
    except GeneratorExit:  # RFC 2831 2.1.3: without its rspauth the server is nobody
        raise digest_md5.DigestError("the server did not prove that it knows the password") from None
    told = digest_md5.parse(last, digest_md5.MAX_CHALLENGE).get("rspauth", "")
    if not hmac.compare_digest(told.encode("latin-1"), proof.encode()):
        raise digest_md5.DigestError("the server does not know the password")
    yield ""
