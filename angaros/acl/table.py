"""Verbs, conditions, modifiers: one row each. Exim spec 44.18, 44.21, 44.26.

Parser, engine, `-bP` and the built-in macros read this table. A handler is a function `(frame, argument) -> Outcome` in the
file that `handler` names; files are imported when an ACL that uses them is parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from angaros.acl.points import ALL
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame

Handler = Callable[["Frame", str], Outcome]

VERBS = ("accept", "defer", "deny", "discard", "drop", "require", "warn")


def _points(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _except(text: str) -> frozenset[str]:
    return ALL - _points(text)


@dataclass(frozen=True, slots=True)
class Row:
    """One condition or modifier."""

    name: str
    handler: str = ""
    """`file:function` under `acl/conditions`; "" for those that the engine does itself."""
    allowed: frozenset[str] = ALL
    modifier: bool = False
    expand: bool = True
    """The argument is expanded before the handler sees it."""
    negatable: bool = True

    def resolve(self) -> Handler | None:
        """The function; imports its file."""
        if not self.handler:
            return None
        file, _, function = self.handler.partition(":")
        found: Handler = getattr(import_module(f"angaros.acl.conditions.{file}"), function)
        return found


_RECEIVING = _points("rcpt mail predata mime dkim data prdr notsmtp notsmtp_start")
_SENDER = _points("rcpt mail predata mime dkim data prdr notsmtp atrn notsmtp_start notquit wellknown")
_SMTP = _except("notsmtp notsmtp_start delivery unknown")
_AUTHENTICATED = _except("notsmtp notsmtp_start connect helo delivery unknown")
_ENCRYPTED = _except("notsmtp notsmtp_start connect delivery unknown")
_BODY = _points("data prdr notsmtp")
_SPF = _points("rcpt mail predata mime dkim data prdr atrn notquit quit wellknown")


def _modifier(name: str, handler: str = "", allowed: frozenset[str] = ALL, *, expand: bool = True) -> Row:
    return Row(name, handler, allowed, modifier=True, expand=expand, negatable=False)


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row("acl", "nested:acl", expand=False),
        _modifier("add_header", "headers:add_header", _RECEIVING),
        Row("arc", "mailauth:unavailable", _points("data")),
        Row("atrn_domains", "atrn:atrn_domains", _points("atrn")),
        Row("authenticated", "session:authenticated", _AUTHENTICATED, expand=False),
        Row("condition", "condition:condition"),
        _modifier("continue", "condition:continue_"),
        _modifier("control", "control:control"),
        Row("dcc", "content:dcc", _BODY),
        Row("decode", "content:decode", _points("mime")),
        _modifier("delay", "delay:delay", _except("notquit")),
        Row("dkim_signers", "mailauth:dkim_signers", _points("dkim")),
        Row("dkim_status", "mailauth:dkim_status", _points("mime dkim data prdr")),
        Row("dmarc_status", "mailauth:dmarc_status", _points("data")),
        Row("dnslists", "dnslists:dnslists", expand=False),
        Row("domains", "addresses:domains", _points("rcpt prdr vrfy"), expand=False),
        Row("encrypted", "session:encrypted", _ENCRYPTED, expand=False),
        _modifier("endpass"),
        Row("hosts", "session:hosts", _SMTP, expand=False),
        Row("local_parts", "addresses:local_parts", _points("rcpt prdr vrfy"), expand=False),
        _modifier("log_message", expand=False),
        _modifier("log_reject_target", "logging:log_reject_target"),
        _modifier("logwrite", "logging:logwrite"),
        Row("malware", "content:malware", _BODY),
        _modifier("message", expand=False),
        Row("mime_regex", "content:mime_regex", _points("mime")),
        _modifier("queue", "control:queue", _except("data prdr notsmtp delivery unknown")),
        Row("ratelimit", "ratelimit:ratelimit"),
        Row("recipients", "addresses:recipients", _points("rcpt"), expand=False),
        Row("regex", "content:regex", _points("mime data prdr notsmtp")),
        _modifier("remove_header", "headers:remove_header", _RECEIVING),
        Row("seen", "seen:seen"),
        Row("sender_domains", "addresses:sender_domains", _SENDER, expand=False),
        Row("senders", "addresses:senders", _SENDER, expand=False),
        _modifier("set", "condition:set_variable"),
        Row("spam", "content:spam", _BODY),
        Row("spf", "mailauth:spf", _SPF),
        Row("spf_guess", "mailauth:spf_guess", _SPF),
        _modifier("udpsend", "udpsend:udpsend"),
        Row("verify", "verify:verify"),
    )
}
"""By name. Which points `verify` and `control` are allowed at depends on their argument (checked when they run)."""

del ROWS["arc"]  # `verify = arc` is the spelling (experimental-spec); there is no condition of that name
