"""`dkim_signers`, `dkim_status`, `dmarc_status`, `spf`, `spf_guess`, `verify = arc`. Exim spec 58.

The evaluators belong to `mailauth` and `inbound`; they are plugged in under these names of `services.extra`:
`spf(scope, guess) -> result`, `dkim_results(scope) -> [(signer domain or identity, status)]`, `dmarc(scope) -> status`,
`arc(scope) -> state`. Each sets the variables of its room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.acl.frame import test
from angaros.lists.parse import split_list
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


def _evaluator(frame: Frame, name: str) -> Any:
    return frame.scope.services.extra.get(name)


def _missing(frame: Frame, what: str) -> Outcome:
    return frame.error(f"{what} is not available in this process")


def spf(frame: Frame, argument: str) -> Outcome:
    """The SPF result of the connection and sender is in the list."""
    return _spf(frame, argument, guess=False)


def spf_guess(frame: Frame, argument: str) -> Outcome:
    """The same with the record that `spf_guess` supplies when the domain has none."""
    return _spf(frame, argument, guess=True)


def _spf(frame: Frame, argument: str, *, guess: bool) -> Outcome:
    evaluate = _evaluator(frame, "spf")
    if evaluate is None:
        return _missing(frame, "SPF")
    result = evaluate(frame.scope, guess)
    return test(_listed(frame, result, argument))


_OLD_NAMES = {"err_perm": "permerror", "err_temp": "temperror", "invalid": "(invalid)"}


def _listed(frame: Frame, result: str, argument: str) -> bool:
    """Whether a list of result words has it; `!word` is true for any other result, and so ends the search. Exim spec 58.4

    A word may be a pattern (`*`) or a lookup, as in other string lists.
    """
    for item in split_list(argument):
        negated = item.startswith("!")
        word = item[negated:].strip()
        word = _OLD_NAMES.get(word, word)
        found = word == result if word.isalpha() else bool(frame.scope.services.lists.match_string(result, word, frame.scope))
        if found != negated:
            return True
    return False


def dkim_signers(frame: Frame, argument: str) -> Outcome:
    """In the DKIM ACL: the current signer is in the list."""
    signer = frame.scope.state.get("dkim_cur_signer", "")
    return test(frame.scope.services.lists.match_string(signer, argument, frame.scope).matched)


def dkim_status(frame: Frame, argument: str) -> Outcome:
    """In the DKIM ACL: the status of the current signature is in the list; later: that of any signature."""
    if frame.where == "dkim":
        statuses = [frame.scope.state.get("dkim_verify_status", "none")]
    else:
        evaluate = _evaluator(frame, "dkim_results")
        if evaluate is None:
            return _missing(frame, "DKIM")
        statuses = [status for _, status in evaluate(frame.scope)] or ["none"]
    lists = frame.scope.services.lists
    return test(any(lists.match_string(status, argument, frame.scope).matched for status in statuses))


def dmarc_status(frame: Frame, argument: str) -> Outcome:
    """The DMARC verdict is in the list."""
    evaluate = _evaluator(frame, "dmarc")
    if evaluate is None:
        return _missing(frame, "DMARC")
    return test(_listed(frame, evaluate(frame.scope), argument))


def arc(frame: Frame, words: tuple[str, ...]) -> Outcome:
    """`verify = arc/pass:fail`: the state of the ARC chain is in the list; without one it must be `pass` or `none`."""
    evaluate = _evaluator(frame, "arc")
    if evaluate is None:
        return _missing(frame, "ARC")
    state = evaluate(frame.scope)
    wanted = words[0] if words and words[0] else "none : pass"
    return test(frame.scope.services.lists.match_string(state, wanted, frame.scope).matched)
