"""NTLM as Microsoft's mail programs speak it, "secure password authentication" (Exim spec 40; MS-NLMP, MS-SMTPNTLM)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from angaros.auths.base import (
    FAIL,
    OK,
    AuthResult,
    ClientDialogue,
    Dialogue,
    Raw,
    check_condition,
    expand_option,
    expand_secret,
    set_variables,
)
from angaros.auths.sasl import ntlm
from angaros.model.text import octets, text

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope

NONCE_OCTETS = 8


def _decoded(line: str) -> bytes:
    """ValueError when it is no base64."""
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """Negotiate, challenge, judge; whatever makes no sense is a failure."""
    nonce = scope.services.random.token(NONCE_OCTETS)
    try:
        if not initial:
            _decoded((yield Raw("NTLM supported")))  # MS-SMTPNTLM 2.2.1.2: in the clear
        answer = yield Raw(text(base64.b64encode(ntlm.challenge_message(nonce))))
        response = ntlm.parse_authenticate(_decoded(answer))
    except ValueError:
        return FAIL
    set_variables(scope, [response.user])
    password = expand_secret(instance.options.server_password or "", scope)
    if isinstance(password, AuthResult):
        return password
    if not ntlm.verify(response, password, nonce):
        return FAIL
    return check_condition(instance, scope, unset=OK)


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """Begin without data: the server says that it knows NTLM, then come three messages."""
    options = instance.options
    password = expand_option(instance, options.client_password or "", scope)
    user = expand_option(instance, options.client_username or "", scope)
    domain = expand_option(instance, options.client_domain or "", scope)
    yield Raw("")
    challenge = yield text(ntlm.negotiate())
    services = scope.services
    account = ntlm.Account(user, password, domain)
    message = ntlm.authenticate(account, octets(challenge), services.clock.now(), services.random.token(NONCE_OCTETS))
    yield text(message)
