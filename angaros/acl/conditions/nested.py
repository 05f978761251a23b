"""The `acl` condition. Exim spec 44.26."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.config.rules import dequote
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


def _words(argument: str) -> list[str]:
    """Separated by white space; one in double quotes may hold some, with escapes."""
    words = []
    while argument := argument.lstrip():
        word, argument = dequote(argument)
        words.append(word)
    return words


def acl(frame: Frame, argument: str) -> Outcome:
    """Run a named ACL with up to nine arguments, an ACL file, or the argument itself as ACL text."""
    words = _words(argument)
    scope = frame.scope
    arguments: list[str] = []
    word = words[0] if words else ""
    try:
        name = scope.expand(word)
        if name in scope.services.config.acls:
            for word in words[1:]:
                arguments.append(scope.expand(word))
        elif len(words) > 1:
            word = argument
            name = scope.expand(word)
    except ForcedFailure:
        return Outcome.ACCEPT
    except ExpansionError as error:
        frame.log_message = f'failed to expand ACL string "{word}": {error}'
        return Outcome.DEFER if error.temporary else Outcome.ERROR
    outcome = frame.engine.call(frame, name, arguments)
    if outcome is Outcome.DISCARD and frame.verb not in ("accept", "discard"):
        return frame.error(f'nested ACL returned "discard" for "{frame.verb}" command (only allowed with "accept" or "discard")')
    return outcome
