"""PLAIN, LOGIN and whatever sends its data as it is (Exim spec 34)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.auths.base import (
    AuthResult,
    ClientDialogue,
    Dialogue,
    check_condition,
    expand_option,
    set_variables,
)
from angaros.lists.parse import split_list
from angaros.model.errors import ExpansionError
from angaros.model.text import taint

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """Collect NUL-separated strings until there are as many as prompts, then ask `server_condition`. # Exim spec 34.3"""
    options = instance.options
    try:
        prompts = split_list(scope.expand(options.server_prompts)) if options.server_prompts is not None else []
    except ExpansionError as error:
        return AuthResult("defer", log_message=str(error))
    data = initial.split("\0") if initial else []
    while len(data) < len(prompts):
        response = yield prompts[len(data)]
        data += response.split("\0")
    set_variables(scope, data)
    return check_condition(instance, scope, unset=AuthResult("fail"))


def _unescape(text: str) -> str:
    """`^` stands for NUL, `^^` for itself. # Exim spec 34.6"""
    return "^".join(part.replace("^", "\0") for part in text.split("^^"))


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """Send the strings of `client_send`, one for each challenge; the first goes with the AUTH command when it is not empty."""
    challenges: list[str] = []
    for item in split_list(instance.options.client_send or ""):  # split first, then expanded item by item
        challenge = yield _unescape(expand_option(instance, item, scope))
        challenges.append(challenge)
        scope.local[f"auth{len(challenges)}"] = taint(challenge)
