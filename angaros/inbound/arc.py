"""`verify = arc` and what follows from it: variables, the log tag, Authentication-Results. # experimental-spec, ARC"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from angaros.inbound.dkim import key_texts, limits_of, watch_of
from angaros.model.mailauth import ArcResult, ArcSet
from angaros.model.text import Tainted

if TYPE_CHECKING:
    from angaros.mailauth.arc.chain import Chain
    from angaros.mailauth.arc.verify import Judgement
    from angaros.model.scope import Scope


def arc_state(scope: Scope) -> str:
    """For `services.extra["arc"]`: none, pass or fail; sets the variables. Judged once a message."""
    message = scope.message
    assert message is not None
    found: Judgement | None = message.effects.caches.get("arc")
    if found is None:
        found = message.effects.caches["arc"] = _judge(scope)
    return found.state


def _judge(scope: Scope) -> Judgement:
    from angaros.mailauth.arc.verify import NONE, PASS, Judgement, judge

    watch = watch_of(scope)
    chain = watch.chain if watch is not None and not watch.failed else None
    message = scope.message
    assert message is not None
    if chain is None or watch is None:
        found = Judgement(NONE)
    else:

        def fetch(name: str) -> Sequence[str] | None:
            return key_texts(name, scope)

        found = judge(chain, watch.digests, limits_of(scope), fetch)
    state = scope.state
    state["arc_state"] = found.state
    state["arc_state_reason"] = found.reason
    state["arc_oldest_pass"] = str(found.oldest_pass)
    state["arc_domains"] = Tainted(chain.domains()) if chain is not None else ""
    message.effects.caches["arc_log"] = found.state == PASS
    message.effects.mailauth.arc = ArcResult(found.state, found.reason, _sets(chain), found.oldest_pass)
    return found


_REMOTE_IP = re.compile(r"[;\s]smtp\.remote-ip=([0-9A-Fa-f:.]+)")


def _sets(chain: Chain | None) -> list[ArcSet]:
    found = []
    for one in chain.in_order() if chain is not None else ():
        address = _REMOTE_IP.search(one.results or "")
        selector = one.seal.selector if one.seal is not None else ""
        found.append(ArcSet(one.instance, one.domain, selector, address[1] if address is not None else ""))
    return found


def arc_part(scope: Scope) -> str:
    """For `services.extra["authresults"]`. # RFC 8617 10.1"""
    message = scope.message
    found: Judgement | None = message.effects.caches.get("arc") if message is not None else None
    if found is None:
        return ""
    text = f";\n\tarc={found.state}"
    received = found.received
    if received is None or received.message is None:
        return text + (f" ({found.reason})" if found.reason else "")
    text += f" (i={received.instance})" + (f"({found.reason})" if found.reason else "")
    address = scope.session.sender_host_address if scope.session is not None else ""
    text += f" header.s={received.message.selector} arc.oldest-pass={found.oldest_pass}"
    return Tainted(text + (f" smtp.remote-ip={address}" if address else ""))
