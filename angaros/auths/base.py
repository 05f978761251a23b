"""What all authenticators share: which driver, what the server side decides, when one is advertised (Exim spec 33)."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.text import taint

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope

DRIVERS = ("cram_md5", "cyrus_sasl", "dovecot", "external", "gsasl", "heimdal_gssapi", "plaintext", "spa", "tls")
"""Drivers that are built: `angaros.auths.<name>`."""
MAX_VARIABLES = 9
"""Strings from the peer that `$1` to `$9` show; further ones are dropped."""
AUTH_VARIABLES = 3
"""`$auth1` to `$auth3`. # Exim spec 34.3"""


class Raw(str):
    """A challenge or response that goes over the wire without base64; so does the answer to it."""

    __slots__ = ()


FALSE_WORDS = frozenset({"", "0", "no", "false"})
TRUE_WORDS = frozenset({"1", "yes", "true"})


def is_true(text: str) -> bool:
    """Whether an expanded condition says yes: anything but empty, `0`, `no`, `false`. # Exim spec 33.1"""
    return text.strip().lower() not in FALSE_WORDS


@dataclass(frozen=True, slots=True)
class AuthResult:
    """How an exchange ended. `defer` is the default: when in doubt, try again later."""

    status: str = "defer"
    """`ok`, `fail`, `defer`."""
    user_message: str = ""
    """For `defer`: text that the configuration gave (`435 Unable to authenticate at present: ...` in the log)."""
    log_message: str = ""


Dialogue = Generator[str, str, AuthResult]
"""Server side: yields challenges, is sent responses, returns the result. After a `Raw` challenge the response comes undecoded."""
ClientDialogue = Generator[str, str, None]
"""Client side: yields the initial response ("" for none), then one response for each challenge that it is sent; ends early when
it has no answer. After `Raw` it is sent the text of the reply undecoded."""


def module(instance: DriverInstance[Any]) -> Any:
    """The driver's module."""
    return importlib.import_module(f"angaros.auths.{instance.driver}")


def set_variables(scope: Scope, values: list[str]) -> None:
    """`$auth1`, ... and `$1`, ...: what came from the peer is tainted."""
    for number in range(1, AUTH_VARIABLES + 1):
        scope.local[f"auth{number}"] = taint(values[number - 1]) if number <= len(values) else ""
    scope.numeric = ("", *map(taint, values[:MAX_VARIABLES]))


class Authentication:
    """One AUTH command under way on the server side."""

    __slots__ = ("dialogue", "instance", "raw", "scope")

    def __init__(self, instance: DriverInstance[Any], scope: Scope, initial: str | None) -> None:
        self.instance = instance
        self.scope = scope.child()
        self.raw = False
        """The last challenge was `Raw`."""
        set_variables(self.scope, [])
        self.dialogue: Dialogue = module(instance).server(instance, self.scope, initial)

    def set_id(self) -> str:
        """`server_set_id` as far as it can be said now; "" when it cannot."""
        text = self.instance.options.server_set_id
        if text is None:
            return ""
        try:
            return self.scope.expand(text)
        except ExpansionError:
            return ""


def authenticate(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Authentication:
    """Begin. `initial` is the decoded initial response: None when there was none, "" for `=`."""
    return Authentication(instance, scope, initial)


def advertised(instance: DriverInstance[Any], scope: Scope) -> bool:
    """`server_advertise_condition`; a failing expansion means no. # Exim spec 33.1"""
    text = instance.options.server_advertise_condition
    if text is None:
        return True
    try:
        return is_true(scope.expand(text))
    except ForcedFailure:
        return False
    except ExpansionError as error:
        scope.services.log.write(f'expansion of "{text}" failed in the {instance.name} authenticator: {error}', panic=True)
        return False


def check_condition(instance: DriverInstance[Any], scope: Scope, *, unset: AuthResult) -> AuthResult:
    """`server_condition`. # Exim spec 33.1, 34.3"""
    text = instance.options.server_condition
    if scope.tracing("auth"):
        _trace_condition(instance, scope)
    if text is None:
        return unset
    try:
        word = scope.expand(text).strip()
    except ForcedFailure:
        scope.trace("auth", "expansion failed: <forced>")
        return AuthResult("fail")
    except ExpansionError as error:
        scope.trace("auth", f"expansion failed: {error}")
        return AuthResult("defer", log_message=str(error))
    scope.trace("auth", f"expanded string: {word}")
    lowered = word.lower()
    if lowered in FALSE_WORDS:
        return AuthResult("fail")
    if lowered in TRUE_WORDS:
        return AuthResult("ok")
    return AuthResult("defer", user_message=word, log_message=word)


def _trace_condition(instance: DriverInstance[Any], scope: Scope) -> None:
    """The variables, and `server_debug_print`. Exim spec 33.1"""
    scope.trace("auth", f"{instance.name} authenticator server_condition:")
    for number in range(1, 4):
        if f"auth{number}" in scope.local and number < max(len(scope.numeric), 2):
            scope.trace("auth", f"  $auth{number} = {scope.local[f'auth{number}']}")
    for number, value in enumerate(scope.numeric[1:], 1):
        scope.trace("auth", f"  ${number} = {value}")
    if instance.options.server_debug_print:
        try:
            scope.trace("auth", scope.expand(instance.options.server_debug_print))
        except (ForcedFailure, ExpansionError) as error:
            scope.trace("auth", f"expansion of server_debug_print failed: {error}")


OK = AuthResult("ok")
FAIL = AuthResult("fail")


def expand_secret(text: str, scope: Scope) -> str | AuthResult:
    """A password or secret; a forced failure is a failure, any other one defers."""
    try:
        return scope.expand(text)
    except ForcedFailure:
        return FAIL
    except ExpansionError as error:
        return AuthResult("defer", log_message=str(error))


def refuse_to_serve() -> Dialogue:
    """For drivers that are clients only."""
    return FAIL
    yield ""


# --- Client ---------------------------------------------------------------------------------------------------------------


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """The client side. Raises ForcedFailure when the authenticator is not to be used, ExpansionError when it cannot be."""
    found: ClientDialogue = module(instance).client(instance, scope)
    return found


def client_wanted(instance: DriverInstance[Any], scope: Scope) -> bool:
    """`client_condition`. # Exim spec 33.1"""
    text = instance.options.client_condition
    if text is None:
        return True
    try:
        return is_true(scope.expand(text))
    except ExpansionError:
        return False


def expand_option(instance: DriverInstance[Any], text: str, scope: Scope) -> str:
    """A client option, errors in Exim's words."""
    try:
        return scope.expand(text)
    except ForcedFailure:
        raise
    except ExpansionError as error:
        raise ExpansionError(f'expansion of "{text}" failed in {instance.name} authenticator: {error}') from None


def no_client() -> ClientDialogue:
    """For drivers that are servers only."""
    return
    yield ""
