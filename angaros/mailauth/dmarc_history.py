"""OpenDMARC's history file: one block of lines for each message; `opendmarc-import` reads it. # opendmarc-import(8)"""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING

from angaros.mailauth.dmarc import Verdict

if TYPE_CHECKING:
    from angaros.model.mailauth import ArcResult
    from angaros.model.scope import Scope

FILE_MODE = 0o640

_RESULTS = {
    "pass": 0, "softfail": 2, "neutral": 3, "temperror": 4, "permerror": 5, "none": 6, "fail": 7, "policy": 8,
}  # fmt: skip
_UNKNOWN = 11
_DKIM = {"pass": "pass", "fail": "fail", "invalid": "permerror", "none": "none"}
"""Where a signature has no word for Authentication-Results."""
_POLICIES = {"accept": 15, "reject": 16, "quarantine": 17, "none": 18}
_ACTIONS = {"reject": 0, "accept": 2, "none": 2, "quarantine": 4}
_ALIGNED = {True: 4, False: 5}


def entry(scope: Scope, verdict: Verdict) -> str:
    """The lines about one message."""
    message, session, policy = scope.message, scope.session, verdict.policy
    assert message is not None and session is not None and policy is not None
    auth, record = message.effects.mailauth, policy.record
    spf = auth.spf.result if auth.spf is not None else "none"
    lines = [
        f"job {message.id}",
        f"reporter {scope.services.config.main.primary_hostname}",
        f"received {int(scope.services.clock.now())}",
        f"ipaddr {session.sender_host_address}",
        f"from {verdict.domain}",
        f"mfrom {message.sender_address.rpartition('@')[2]}",
        f"spf {_RESULTS.get(spf, _UNKNOWN)}",
    ]
    for found in auth.dkim:
        word = found.result or _DKIM.get(found.status, "")
        lines.append(f"dkim {found.domain} {found.selector} {_RESULTS.get(word, _UNKNOWN)}")
    lines += [f"pdomain {policy.domain}", f"policy {_POLICIES[verdict.status]}"]
    lines += [f"rua {uri}" for uri in record.rua] or ["rua -"]
    lines += [
        f"pct {record.pct}",
        f"adkim {ord(record.adkim)}",
        f"aspf {ord(record.aspf)}",
        f"p {ord(record.p[0])}",
        f"sp {ord(record.sp[0]) if record.sp else 0}",
        f"align_dkim {_ALIGNED[verdict.dkim_aligned]}",
        f"align_spf {_ALIGNED[verdict.spf_aligned]}",
        f"action {_ACTIONS[verdict.status]}",
        *_arc(auth.arc, as_json=scope.services.config.main.dmarc_history_json),
    ]
    return "".join(f"{_one_line(line)}\n" for line in lines)


def _arc(arc: ArcResult | None, *, as_json: bool) -> list[str]:
    """In the form of Exim 4.99, or (`dmarc_history_json`) in JSON: what Exim writes makes opendmarc-import 1.4 stop."""
    state = arc.state if arc is not None else ""
    result = {"pass": 0, "fail": 7}.get(state, _UNKNOWN)
    sets = arc.sets if arc is not None and state == "pass" else []
    policy = 0 if state == "pass" else 1
    if as_json:
        fields = [{"i": s.instance, "d": str(s.domain), "s": str(s.selector), "ip": str(s.remote_ip)} for s in sets]
        return [f"arc {result}", f"arc_policy {policy} json:{json.dumps(fields)}"]
    shown = ", ".join(f'("i":{s.instance}, "d":"{s.domain}", "s":"{s.selector}", "ip":"{s.remote_ip}")' for s in sets)
    return [f"arc {result}", f"arc_policy {policy} json[ {shown}{' ' if shown else ''}]"]


def _one_line(text: str) -> str:
    """Nothing from outside makes a line of its own."""
    return "".join(char for char in str(text) if char >= " ")


def append(path: str, text: str) -> None:
    """Add to the file, which an importer may be reading. OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, text.encode("latin-1"))
    finally:
        os.close(fd)
