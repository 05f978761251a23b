"""CRAM-MD5 (RFC 2195; Exim spec 35)."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Any

from angaros.auths.base import (
    FAIL,
    OK,
    AuthResult,
    ClientDialogue,
    Dialogue,
    check_condition,
    expand_option,
    expand_secret,
    set_variables,
)
from angaros.model.text import octets

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope


def digest(secret: str, challenge: str) -> str:
    """HMAC-MD5 in hexadecimal. # RFC 2195 2"""
    return hmac.new(octets(secret), octets(challenge), "md5").hexdigest()


def new_challenge(scope: Scope) -> str:
    """A challenge that was never sent before. # RFC 2195 2"""
    services = scope.services
    if services.harness is not None:
        return str(services.harness.cram_challenge)
    stamp = f"{os.getpid()}.{int(services.clock.now())}.{services.random.token(8).hex()}"
    return f"<{stamp}@{services.config.main.primary_hostname}>"


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """Challenge, compare; `server_condition` may say no afterwards."""
    if initial:
        return FAIL  # RFC 2195: the server speaks first
    challenge = new_challenge(scope)
    response = yield challenge
    user, space, answer = response.rpartition(" ")
    set_variables(scope, [user] if space else [])
    if not space:
        return FAIL
    secret = expand_secret(instance.options.server_secret or "", scope)
    if isinstance(secret, AuthResult):
        return secret
    if not hmac.compare_digest(octets(digest(secret, challenge)), octets(answer.lower())):
        return FAIL
    return check_condition(instance, scope, unset=OK)


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """Answer the challenge with name and digest."""
    options = instance.options
    name = expand_option(instance, options.client_name or scope.services.config.main.primary_hostname, scope)
    secret = expand_option(instance, options.client_secret or "", scope)
    challenge = yield ""
    yield f"{name} {digest(secret, challenge)}"
