"""What a verb makes of the outcome of its conditions. Exim spec 44.18, 44.20."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.acl.conditions.headers import collect_header
from angaros.acl.points import MESSAGE_POINTS
from angaros.logs.peer import host_and_ident
from angaros.logs.text import printing
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame
    from angaros.acl.parser import Item

_WORDS = {
    Outcome.ACCEPT: "condition test succeeded",
    Outcome.DENY: "condition test failed",
    Outcome.DEFER: "condition test deferred",
    Outcome.ERROR: "condition test error",
    Outcome.DROP: 'condition test yielded "drop"',
    Outcome.DISCARD: 'condition test yielded "discard"',
}

_PLAIN = {"defer": Outcome.DEFER, "deny": Outcome.DENY, "drop": Outcome.DROP}


def expand_messages(frame: Frame, outcome: Outcome, endpass: bool, user: Item | None, log: Item | None) -> None:
    """Expand `message` and `log_message` if the statement is to use them; `$acl_verify_message` has then what a condition said.
    Exim spec 44.21."""
    if not _uses_messages(frame.verb, outcome, endpass):
        return
    old_user = frame.user_message
    old_log = frame.log_message if frame.log_message is not None else old_user
    if frame.verb == "warn":
        frame.user_message = frame.log_message = None
    state = frame.scope.state
    if user is not None and not (endpass and _accepting(outcome)):
        state["acl_verify_message"] = old_user or ""
        frame.user_message = _expand(frame, user) or frame.user_message
    if log is not None:
        state["acl_verify_message"] = old_log or ""
        text = _expand(frame, log)
        if text:
            frame.log_message = text if frame.log_message is None else f"{text}: {frame.log_message}"
    if frame.log_message is None and frame.verb != "warn":
        frame.log_message = frame.user_message
    state.pop("acl_verify_message", None)


def _uses_messages(verb: str, outcome: Outcome, endpass: bool) -> bool:
    """For accept and discard a failure counts too: its text is used after `endpass`, and by the denial at the end of the ACL."""
    if verb == "require":
        return outcome in (Outcome.DENY, Outcome.DROP)
    if verb in ("accept", "discard"):
        if _accepting(outcome):
            return verb == "discard" or not endpass
        return outcome in (Outcome.DENY, Outcome.DROP)
    return outcome is Outcome.ACCEPT


def _accepting(outcome: Outcome) -> bool:
    return outcome in (Outcome.ACCEPT, Outcome.DISCARD)


def _expand(frame: Frame, item: Item) -> str | None:
    try:
        return frame.scope.expand(item.text)
    except ForcedFailure:
        return None
    except ExpansionError as error:
        frame.panic(f'failed to expand ACL message "{item.text}": {error}')
        return None


def decide(frame: Frame, outcome: Outcome, endpass: bool) -> Outcome | None:
    """Outcome of the ACL after this statement; None: the next statement is next."""
    verb = frame.verb
    frame.trace(f"{verb}: {_WORDS[outcome]} in {frame.name}")
    if outcome is Outcome.ERROR:
        return outcome
    if verb == "warn":
        _warn(frame, outcome)
        return None
    if outcome is Outcome.DEFER:
        return outcome
    if verb in ("accept", "discard"):
        if _accepting(outcome):
            frame.trace(f"end of {frame.name}: {verb.upper()}")
            return _refusing(frame, Outcome.DISCARD) if verb == "discard" else outcome
        if endpass:
            frame.trace(f"{verb}: endpass encountered - denying access")
            return outcome
        return None
    if verb == "require":
        if outcome is Outcome.ACCEPT:
            return None
        frame.trace(f"end of {frame.name}: not OK")
        return _refusing(frame, outcome)
    if outcome is Outcome.ACCEPT:
        frame.trace(f"end of {frame.name}: {verb.upper()}")
        return _refusing(frame, _PLAIN[verb])
    return None


def _refusing(frame: Frame, outcome: Outcome) -> Outcome:
    """`outcome`, but at the end of a session there is nothing to refuse. Exim spec 44.2 (the QUIT ACL)."""
    if frame.level == 0 and frame.where in ("quit", "notquit"):
        return frame.error(f"QUIT or not-QUIT toplevel ACL may not fail ('{frame.verb}' verb used incorrectly)")
    return outcome


def _warn(frame: Frame, outcome: Outcome) -> None:
    log = frame.scope.services.log
    peer = host_and_ident(frame.session, log)
    if outcome is Outcome.DEFER:
        place = ""
        position = frame.statement.position if frame.statement else None
        if position is not None and position.file:
            place = f" (in {frame.name} at line {position.line} of {position.file})"
        why = f": {frame.log_message}" if frame.log_message else ""
        text = f"{peer} Warning: ACL 'warn' statement skipped{place}: condition test deferred{why}"
        log.write(text, message_id=frame.message.id, selector="acl_warn_skipped")
    elif outcome is Outcome.ACCEPT:
        _log_warning(frame, peer)
        if frame.user_message:
            if frame.where in MESSAGE_POINTS:
                collect_header(frame, frame.user_message)
            else:
                frame.panic(
                    f'ACL "warn" with "message" setting found in a non-message ({frame.point}) ACL: '
                    "cannot specify header lines here: message ignored"
                )
    frame.user_message = frame.log_message = None
    frame.scope.state.pop("acl_verify_message", None)


def _log_warning(frame: Frame, peer: str) -> None:
    """The `log_message` of warn, once for each message."""
    if not frame.log_message:
        return
    text = f"{peer} Warning: {printing(frame.log_message)}"
    failed = frame.state.failed_sender
    if failed is not None and failed.result.log_message and frame.log_message.lower() == "sender verify failed":
        text += f": {failed.result.log_message}"
    if frame.where in MESSAGE_POINTS:
        if text in frame.effects.warned:
            return
        frame.effects.warned.add(text)
    frame.scope.services.log.write(text, message_id=frame.message.id)
