"""Asking the caller's host who it is (RFC 1413; Exim spec 14, rfc1413_hosts)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from angaros.model.text import Tainted

if TYPE_CHECKING:
    from angaros.model.scope import Scope

IDENT_PORT = 113
ANSWER_LIMIT = 1000
"""Octets of an answer. RFC 1413 4."""
NAME_LIMIT = 127
"""Octets of the name that we keep: it goes into every log line."""
_ANSWER = re.compile(r"\s*(\d+)\s*,\s*(\d+)\s*:\s*USERID\s*:\s*([^:]*):\s*(.*?)\s*\Z", re.DOTALL)


def query_ident(scope: Scope) -> str:
    """The peer's user name; "" when there is none. A time-out is logged under `ident_timeout`."""
    session, services = scope.session, scope.services
    assert session is not None
    timeout = services.config.main.rfc1413_query_timeout
    if not timeout or not session.sender_host_address or not session.sender_host_port:
        return ""
    port = services.config.main.rfc1413_port or IDENT_PORT
    source = (session.interface_address, 0) if session.interface_address else None
    ports = f"{session.sender_host_port} , {session.interface_port}"
    try:
        stream = services.waiter.connect(session.sender_host_address, port, timeout=timeout, source=source)
    except TimeoutError:
        services.log.write(f"ident connection to {session.sender_host_address} timed out", selector="ident_timeout")
        return ""
    except OSError:
        return ""
    try:
        stream.write(f"{ports}\r\n".encode("ascii"), timeout)
        answer = stream.readline(ANSWER_LIMIT, timeout).decode("latin-1")
    except OSError:
        return ""
    finally:
        stream.close()
    return parse_answer(answer, session.sender_host_port, session.interface_port)


def parse_answer(answer: str, theirs: int, ours: int) -> str:
    """The user name of a `USERID` answer for these ports; "" else. Control characters and such are taken out."""
    found = _ANSWER.match(answer)
    if found is None or (int(found[1]), int(found[2])) != (theirs, ours):
        return ""
    return Tainted("".join(c for c in found[4] if " " < c < "\x7f")[:NAME_LIMIT])
