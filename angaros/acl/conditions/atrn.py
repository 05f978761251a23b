"""`atrn_domains`. Exim spec 44.26: at ATRN, the domains that the client asked for are in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.acl.frame import test
from angaros.lists.parse import split_list
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


def atrn_domains(frame: Frame, argument: str) -> Outcome:
    """Every domain of the ATRN command (all that are allowed when it had none) is in the list; `inbound` has put them into
    `scope.state["atrn_domains"]`. The list that was matched is kept there for a command without domains."""
    wanted = split_list(frame.scope.state.get("atrn_domains", ""), ",")
    if not wanted:
        frame.scope.state["atrn_domains"] = argument
        return Outcome.ACCEPT
    lists = frame.scope.services.lists
    return test(all(lists.match_domain(domain, argument, frame.scope).matched for domain in wanted))
