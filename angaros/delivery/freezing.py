"""Frozen messages: whether to look at one, freezing, and telling about it. Exim spec 3.6, 14 (auto_thaw, freeze_tell, ...)."""

from __future__ import annotations

import os

from angaros.delivery import report
from angaros.delivery.attempt import Attempt, Fate
from angaros.logs.text import printing
from angaros.model.delivery import DeliveryResult
from angaros.model.errors import AngarosError
from angaros.model.text import octets

SKIP = "skip"


def consider(attempt: Attempt) -> str:
    """A frozen message: "" deliver it (it is thawed), `skip` leave it, else a text with which all its recipients fail."""
    message, main, options = attempt.message, attempt.services.config.main, attempt.options
    now = attempt.services.clock.now()
    if options.give_up:
        _thaw(attempt)
        return ""
    if 0 < main.timeout_frozen_after <= now - message.queued_since:
        _thaw(attempt)
        attempt.log_both("cancelled by timeout_frozen_after")
        return "delivery cancelled; message timed out"
    if message.is_bounce and 0 <= main.ignore_bounce_errors_after <= now - message.queued_since:
        reason = "errmsg timer"
    elif options.thaw:
        reason = "forced delivery"
    elif main.auto_thaw > 0 and now > message.frozen_time + main.auto_thaw:
        reason = "auto-thaw"
    else:
        attempt.log("Message is frozen", selector="skip_delivery")
        return SKIP
    _thaw(attempt)
    message.manually_thawed = message.manually_thawed or options.thaw
    attempt.log_both(f"Unfrozen by {reason}")
    return ""


def _thaw(attempt: Attempt) -> None:
    attempt.message.frozen = False
    attempt.update_spool = True


def freeze(attempt: Attempt) -> None:
    """At the end of the attempt: the message stays as it is until somebody thaws it."""
    message = attempt.message
    message.frozen = True
    message.frozen_time = attempt.services.clock.now()
    message.manually_thawed = False
    attempt.update_spool = True
    tell = attempt.services.config.main.freeze_tell
    if tell and not message.local_error_message and not attempt.extra.get("no_tell"):
        about = attempt.freeze_reason
        if attempt.extra.get("filter_frozen"):
            about = about.replace("\n", " \n").replace(": ", ".\n", 1)
        text = f"Message {message.id} has been frozen{about}.\nThe sender is <{message.sender_address}>.\n"
        tell_someone(attempt, tell, attempt.deferred, "Message frozen", text)
    text = f"Frozen{printing(attempt.freeze_reason)}"
    attempt.log(text)
    attempt.msglog.append(f"*** {text}", stamped=False)


def tell_someone(attempt: Attempt, who: str, fates: list[Fate], subject: str, text: str) -> None:
    """A short notice to an administrator."""
    out = [
        f"Auto-Submitted: auto-replied\nFrom: {report.sender_of_reports(attempt)}\nTo: {who}\n",
        report.references(attempt),
        f"Subject: {subject}\n\n{text}",
    ]
    if fates:
        out.append("\nThe following address(es) have yet to be delivered:\n")
        out += [_line(fate) for fate in fates]
    submitter = attempt.services.submitter
    if submitter is None:
        return
    try:
        submitter.submit(octets("".join(out)), attempt.scope, reference=attempt.message.id)
    except (AngarosError, OSError) as error:
        attempt.log(f"failed to send a notice to {who}: {error}", panic=True)


def _line(fate: Fate) -> str:
    delivery, result = fate.delivery, fate.result
    parent = f" <{delivery.parent.address}>" if delivery.parent is not None else ""
    reasons = [text for text in (errno_text(result), result.message) if text]
    return f"  {delivery.address}{parent}{': ' if reasons else ''}{': '.join(reasons)}\n"


def errno_text(result: DeliveryResult) -> str:
    """The system's text for the error; "" when it was none of the system's."""
    return os.strerror(result.basic_errno) if result.basic_errno > 0 else ""
