"""SCRAM for the gsasl driver: where salt, keys and channel binding come from (Exim spec 38)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any

from angaros.auths.base import FAIL, OK, AuthResult, ClientDialogue, Dialogue, check_condition, expand_option, set_variables
from angaros.auths.gsasl_common import optional, parse_failure, password_for
from angaros.auths.sasl import scram
from angaros.model.text import taint

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope
    from angaros.model.tls import TlsFacts

NAMES = tuple(f"{name}{plus}" for name in scram.HASHES for plus in ("", "-PLUS"))
SALT_OCTETS = 12
NONCE_OCTETS = 18


def _binding(tls: TlsFacts | None) -> tuple[str, bytes]:
    """Name and data of the channel binding that the session has. # RFC 9266, RFC 5929 3"""
    if tls is None or not tls.channel_binding:
        return "", b""
    name = "tls-exporter" if tls.version == "TLS1.3" else "tls-unique"
    return name, base64.b64decode(tls.channel_binding)


# --- Server --------------------------------------------------------------------------------------------------------------


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """The exchange. # RFC 5802 5"""
    mechanism = str(instance.options.server_mech or instance.options.public_name).upper()
    algorithm = scram.hash_of(mechanism)
    if not initial:
        initial = yield ""
    try:
        first = scram.parse_client_first(initial)
        name, binding = _binding(scope.session.tls if scope.session is not None else None)
        if not _binding_agrees(mechanism, first, name):
            return FAIL
    except scram.ScramError:
        return parse_failure()
    prepared = _secrets(instance, scope, first, algorithm)
    if isinstance(prepared, AuthResult):
        return prepared
    salt, iterations, keys = prepared
    nonce = first.nonce + scram.encode(scope.services.random.token(NONCE_OCTETS))
    server_first = f"r={nonce},s={scram.encode(salt)},i={iterations}"
    final = yield server_first
    try:
        used = binding if first.binding not in ("n", "y") else b""
        proof = scram.check_proof(first, server_first, final, keys, used, algorithm)
    except scram.ScramError:
        return FAIL
    yield proof
    return check_condition(instance, scope, unset=OK)


def _binding_agrees(mechanism: str, first: scram.ClientFirst, name: str) -> bool:
    """# RFC 5802 6: with -PLUS a binding that we have, without it none."""
    if mechanism.endswith("-PLUS"):
        return bool(name) and first.binding == name
    return first.binding in ("n", "y")


def _secrets(
    instance: DriverInstance[Any], scope: Scope, first: scram.ClientFirst, algorithm: str
) -> tuple[bytes, int, scram.Keys] | AuthResult:
    """Salt, iterations and keys for the client's name."""
    from angaros.model.errors import ExpansionError

    options = instance.options
    set_variables(scope, [first.user, first.authorization, ""])
    try:
        count = optional(options.server_scram_iter, scope)
        iterations = int(count) if count.isdigit() else scram.MIN_ITERATIONS
        salt = _salt(optional(options.server_scram_salt, scope), scope)
        keys = _stored_keys(optional(options.server_skey, scope), optional(options.server_key, scope), algorithm)
        if keys is None:
            password = password_for(instance, scope, first.user, first.authorization)
            if isinstance(password, AuthResult):
                return password
            keys = scram.keys_of(scram.salted_password(password, salt, iterations, algorithm), algorithm)
    except ExpansionError as error:
        return AuthResult("defer", log_message=str(error))
    except ValueError as error:
        return AuthResult("defer", log_message=f"{instance.name} authenticator: {error}")
    return salt, iterations, keys


def _salt(text: str, scope: Scope) -> bytes:
    if not text:
        return scope.services.random.token(SALT_OCTETS)
    return scram.decode(text)


def _stored_keys(stored: str, server_key: str, algorithm: str) -> scram.Keys | None:
    """Both as base64 of the right length, else None: then the password counts."""
    size = hashlib.new(algorithm).digest_size
    try:
        keys = scram.Keys(scram.decode(stored), scram.decode(server_key))
    except scram.ScramError:
        return None
    return keys if len(keys.stored) == len(keys.server) == size else None


# --- Client --------------------------------------------------------------------------------------------------------------


def client(instance: DriverInstance[Any], scope: Scope, user: str, password: str, authorization: str) -> ClientDialogue:
    """The exchange; afterwards `$auth1` to `$auth4` are user, iterations, salt and salted password."""
    mechanism = str(instance.options.public_name).upper()
    algorithm = scram.hash_of(mechanism)
    one = scram.Client(algorithm, user, authorization, scram.encode(scope.services.random.token(NONCE_OCTETS)))
    if mechanism.endswith("-PLUS"):
        tls = scope.delivery.extra.get("tls_out") if scope.delivery is not None else None
        one.binding_name, one.binding = _binding(tls)
        if not one.binding_name:
            raise scram.ScramError("channel binding needs TLS")
    server_first = yield one.header + one.bare
    salt, iterations = one.parameters(server_first)
    scope.local |= {"auth1": user, "auth2": str(iterations), "auth3": taint(scram.encode(salt))}
    salted = _prepared(instance, scope, algorithm) or scram.salted_password(password, salt, iterations, algorithm)
    scope.local["auth4"] = salted.hex()
    try:
        server_final = yield one.final(server_first, salted)
    except GeneratorExit:  # RFC 5802 5: without its signature the server is nobody
        raise scram.ScramError("the server did not prove that it knows the password") from None
    one.check_server(server_final)
    yield ""


def _prepared(instance: DriverInstance[Any], scope: Scope, algorithm: str) -> bytes:
    """`client_spassword`, hexadecimal; b"" unless it has the right size."""
    text = instance.options.client_spassword
    if text is None:
        return b""
    try:
        salted = binascii.unhexlify(expand_option(instance, text, scope).strip())
    except (binascii.Error, ValueError):
        return b""
    return salted if len(salted) == hashlib.new(algorithm).digest_size else b""
