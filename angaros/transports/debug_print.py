"""`debug_print` of a transport. Exim spec 24."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.model.errors import ExpansionError

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope


def show_debug_print(instance: DriverInstance[Any], scope: Scope) -> None:
    """With -v or -d: when the transport starts; that of smtp for each host."""
    text, log = instance.options.debug_print, scope.services.log
    if text is None or not log.debugging("v"):
        return
    try:
        shown = scope.expand(text)
    except ExpansionError as error:
        shown = f'failed to expand debug_output "{text}": {error}'
    log.debug("v", shown.rstrip("\n"))
