"""`control` and `queue`. Exim spec 44.22, 44.21. One row and one small function a control; they set `model.effects`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.acl.messages import split_message
from angaros.acl.points import ALL
from angaros.mime.addresses import fix_phrase
from angaros.model.message import Message
from angaros.model.outcome import Outcome
from angaros.model.text import is_tainted
from angaros.net.sockets import dscp_value

if TYPE_CHECKING:
    from angaros.acl.frame import Frame

Setter = Callable[["Frame", str], Outcome]
"""Gets what follows the control's name, with its slash."""

FAKE_TEXT = (
    "Your message has been rejected but is being kept for evaluation.\n"
    "If it was a legitimate message, it may still be delivered to the target recipient(s)."
)
MAX_WELLKNOWN = 1 << 20
"""Octets of a file served to XWELLKNOWN; they go out as SMTP reply lines."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control."""

    name: str
    set: Setter
    allowed: frozenset[str]
    options: bool = False


def control(frame: Frame, argument: str) -> Outcome:
    """Look the control up, check the point, set it."""
    name, slash, _ = argument.partition("/")
    row = CONTROLS.get(str(name))
    if row is None or (slash and not row.options):
        return _syntax_error(frame, argument)
    if frame.where not in row.allowed:
        return frame.error(f'cannot use "control={name}" in {frame.point} ACL')
    return row.set(frame, argument[len(name) :])


def queue(frame: Frame, argument: str) -> Outcome:
    """`queue = name`: the named queue that the message goes into."""
    name = argument.strip(" \t\n")
    if is_tainted(name):
        return frame.error(f"Tainted name '{name}' for queue not permitted")
    if "/" in name or name in (".", ".."):
        return frame.error(f"Directory separator not permitted in queue name: '{name}'")
    frame.message.queue_name = name
    return Outcome.ACCEPT


def _syntax_error(frame: Frame, argument: str) -> Outcome:
    return frame.error(f'syntax error in "control={argument}"')


def _connection(attribute: str, value: object = True) -> Setter:
    def set_it(frame: Frame, rest: str) -> Outcome:
        setattr(frame.connection, attribute, value)
        return Outcome.ACCEPT

    return set_it


def _message(attribute: str) -> Setter:
    def set_it(frame: Frame, rest: str) -> Outcome:
        setattr(frame.effects, attribute, True)
        return Outcome.ACCEPT

    return set_it


def _caseful(frame: Frame, rest: str) -> Outcome:
    frame.delivery.local_part = frame.delivery.cased_local_part
    return Outcome.ACCEPT


def _caselower(frame: Frame, rest: str) -> Outcome:
    frame.delivery.local_part = frame.delivery.lowered_local_part
    return Outcome.ACCEPT


def _fake(code: str) -> Setter:
    def set_it(frame: Frame, rest: str) -> Outcome:
        frame.effects.fake_response = code
        frame.effects.fake_response_text = split_message(rest[1:] or FAKE_TEXT)
        return Outcome.ACCEPT

    return set_it


def _bmi_run(frame: Frame, rest: str) -> Outcome:
    """For this recipient in the RCPT ACL, else for all of the message."""
    if frame.scope.services.config.main.bmi_config_file is None:
        return frame.error('"control=bmi_run" needs bmi_config_file and bmi_library to be set')
    if frame.where == "rcpt":
        frame.delivery.extra["bmi_run"] = True
    else:
        frame.effects.bmi_run = True
    return Outcome.ACCEPT


def _freeze(frame: Frame, rest: str) -> Outcome:
    if rest not in ("", "/no_tell"):
        return _syntax_error(frame, "freeze" + rest)
    effects = frame.effects
    no_tell = rest == "/no_tell"
    effects.freeze_no_tell = no_tell and (effects.freeze_no_tell or not effects.freeze)
    effects.freeze = True
    _cancel_cutthrough(frame, "item frozen")
    return Outcome.ACCEPT


def _queue_only(frame: Frame, rest: str) -> Outcome:
    """`queue`, `queue_only` with `/once` and `/first_pass_route`. Exim spec 44.22."""
    effects = frame.effects
    if "first_pass_route" in rest.split("/"):
        effects.queue_smtp = True
    else:
        effects.queue_only = True
    _cancel_cutthrough(frame, "queueing forced")
    return Outcome.ACCEPT


def _cancel_cutthrough(frame: Frame, why: str) -> None:
    held = frame.effects.cutthrough_connection
    if held is not None:
        held.cancel(why)
        frame.effects.cutthrough_connection = None


def _submission(frame: Frame, rest: str) -> Outcome:
    """Submission mode; `/sender_retain`, `/domain=`, `/name=` (the rest of the text, so it comes last). Exim spec 48.1."""
    effects = frame.effects
    effects.submission_domain = effects.submission_name = None
    text = rest
    while text.startswith("/"):
        if text.startswith("/sender_retain"):
            effects.submission_sender_retain = True
            text = text[14:]
        elif text.startswith("/domain="):
            domain, slash, after = text[8:].partition("/")
            effects.submission_domain = domain
            text = slash + after
        elif text.startswith("/name="):
            effects.submission_name = fix_phrase(text[6:])
            text = ""
        else:
            break
    if text:
        return _syntax_error(frame, "submission" + rest)
    effects.submission = True
    return Outcome.ACCEPT


def _debug(frame: Frame, rest: str) -> Outcome:
    """Options `tag=`, `opts=`, `stop`, `kill`, `pretrigger=`, `trigger=`."""
    options: dict[str, str] = {}
    for word in rest[1:].split("/"):
        name, _, value = word.partition("=")
        options[name] = value
    if is_tainted(rest) and options.get("tag"):
        frame.panic("Tainted data used for debug tag")
        options.pop("tag")
    start = getattr(frame.scope.services.log, "debug_control", None)
    if start is None:
        frame.panic("control=debug is not available here")
        return Outcome.ACCEPT
    start(
        tag=options.get("tag", ""),
        opts=options.get("opts", ""),
        stop="stop" in options,
        kill="kill" in options,
        pretrigger=int(options["pretrigger"]) if options.get("pretrigger", "").isdigit() else 0,
        trigger=options.get("trigger", ""),
    )
    frame.tracing = frame.scope.tracing("acl")  # at once
    if frame.scope.session is not None:
        frame.scope.session.effects.debug_log = True
    return Outcome.ACCEPT


def _dscp(frame: Frame, rest: str) -> Outcome:
    value = rest[1:].strip(" \t")
    if not value:
        return _syntax_error(frame, "dscp" + rest)
    octet = dscp_value(value)
    if octet is None:
        frame.panic(f'unrecognised DSCP value in "control=dscp/{value}"')
        return Outcome.ACCEPT
    frame.connection.dscp = octet
    frame.connection.dscp_name = value
    return Outcome.ACCEPT


_CUTTHROUGH_OPTIONS = {"defer": ("spool", "pass"), "sender": ("message", "transport")}


def _cutthrough(frame: Frame, rest: str) -> Outcome:
    """Ask for delivery while receiving; quietly no when it cannot be. Exim spec 44.22."""
    why = _no_cutthrough(frame)
    chosen = {"defer": "spool", "sender": "message"}
    for option in rest.split("/")[1:]:
        name, _, value = option.partition("=")
        if value not in _CUTTHROUGH_OPTIONS.get(name, ()):
            return Outcome.DENY
        chosen[name] = value
    if why:
        frame.scope.services.log.debug("acl", f" cutthrough request ignored: {why}")
        return Outcome.ACCEPT
    frame.effects.cutthrough = True
    frame.effects.cutthrough_defer_pass = chosen["defer"] == "pass"
    frame.effects.cutthrough_transport_sender = chosen["sender"] == "transport"
    return Outcome.ACCEPT


def _no_cutthrough(frame: Frame) -> str:
    """Why there can be no cutthrough delivery."""
    effects = frame.effects
    message: Message = frame.message
    if len(message.recipients) > 0 or int(frame.scope.state.get("rcpt_count") or 0) > 1:
        return "" if effects.cutthrough else "nonfirst rcpt"
    if frame.session.host_checking:
        return "host checking"
    if effects.queue_only or effects.queue_smtp:
        return "queue_only"
    if effects.freeze:
        return "freeze"
    if frame.scope.state.get("prdr_requested") == "yes":
        return "PRDR in use"
    return ""


def _utf8_downconvert(frame: Frame, rest: str) -> Outcome:
    value = rest[1:]
    if not value:
        frame.message.utf8_downgrade = 1
    elif value[:1] in ("0", "1"):
        frame.message.utf8_downgrade = int(value[0])
    elif value.startswith("-1"):
        frame.message.utf8_downgrade = -1
    else:
        return frame.error("bad option value for control=utf8_downconvert")
    return Outcome.ACCEPT


def _wellknown(frame: Frame, rest: str) -> Outcome:
    path = rest[1:]
    if not path:
        return Outcome.DENY
    if is_tainted(path):
        frame.panic(f"attempt to open tainted file '{path}' for WELLKNOWN")
        return Outcome.DENY
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_WELLKNOWN + 1)
    except OSError:
        return Outcome.DENY
    if len(content) > MAX_WELLKNOWN:
        return Outcome.DENY
    frame.connection.wellknown_response = content.decode("latin-1")
    return Outcome.ACCEPT


_ANY_SMTP = ALL - {"notsmtp", "notsmtp_start", "delivery", "unknown"}
_ENVELOPE_DATA = frozenset(("rcpt", "mail", "predata", "mime", "data"))
_NOT_DATA = _ANY_SMTP - {"data"}

CONTROLS: dict[str, Control] = {
    row.name: row
    for row in (
        Control("allow_auth_unadvertised", _connection("allow_auth_unadvertised"), frozenset(("connect", "helo"))),
        Control("bmi_run", _bmi_run, _ENVELOPE_DATA - {"mime"} | {"notsmtp"}),
        Control("caseful_local_part", _caseful, frozenset(("rcpt",))),
        Control("caselower_local_part", _caselower, frozenset(("rcpt",))),
        Control("cutthrough_delivery", _cutthrough, ALL, options=True),
        Control("debug", _debug, ALL, options=True),
        Control("dkim_disable_verify", _message("dkim_disable_verify"), _NOT_DATA - {"prdr"}),
        Control("dmarc_disable_verify", _message("dmarc_disable_verify"), _NOT_DATA),
        Control("dmarc_enable_forensic", _message("dmarc_enable_forensic"), _NOT_DATA),
        Control("dscp", _dscp, _ANY_SMTP - {"notquit"}, options=True),
        Control("enforce_sync", _connection("enforce_sync"), _ANY_SMTP),
        Control("fakedefer", _fake("450"), _ENVELOPE_DATA | {"prdr"}, options=True),
        Control("fakereject", _fake("550"), _ENVELOPE_DATA | {"prdr"}, options=True),
        Control("freeze", _freeze, _ENVELOPE_DATA | {"notsmtp"}, options=True),
        Control("no_callout_flush", _connection("no_callout_flush"), _ANY_SMTP),
        Control("no_delay_flush", _connection("no_delay_flush"), _ANY_SMTP),
        Control("no_enforce_sync", _connection("enforce_sync", False), _ANY_SMTP),
        Control("no_mbox_unspool", _message("no_mbox_unspool"), _ENVELOPE_DATA),
        Control("no_multiline_responses", _connection("no_multiline_responses"), _ANY_SMTP),
        Control("no_pipelining", _connection("no_pipelining"), _ANY_SMTP),
        Control("queue", _queue_only, _ENVELOPE_DATA | {"notsmtp"}, options=True),
        Control("queue_only", _queue_only, _ENVELOPE_DATA | {"notsmtp"}, options=True),
        Control("submission", _submission, frozenset(("rcpt", "mail", "predata")), options=True),
        Control(
            "suppress_local_fixups", _message("suppress_local_fixups"), frozenset(("rcpt", "mail", "predata", "notsmtp_start"))
        ),
        Control("utf8_downconvert", _utf8_downconvert, frozenset(("rcpt", "vrfy")), options=True),
        Control("wellknown", _wellknown, frozenset(("wellknown",)), options=True),
    )
}
"""All controls, by name (`error`, the 26th of Exim's table, cannot be written)."""
