"""Bounces: what failed for good is told to the sender, or to `errors_to`. Exim spec 3.16, 3.17, 50; RFC 3461, RFC 3464.

A bounce that cannot be told freezes the message; when it has been told, or need not be, the addresses are done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby

from angaros.delivery import report
from angaros.delivery.attempt import Attempt, Fate
from angaros.delivery.done import mark_done
from angaros.delivery.errors_copy import copies_of
from angaros.delivery.settle import quiet
from angaros.delivery.templates import Template, read_template
from angaros.delivery.wording import describe, explain, is_hidden, is_special
from angaros.model.delivery import Delivery
from angaros.model.errors import AngarosError
from angaros.model.message import DSN_NOTIFY_DELAY, DSN_NOTIFY_FAILURE, DSN_NOTIFY_NEVER, DSN_NOTIFY_SUCCESS
from angaros.model.text import octets

_ANY_DSN = DSN_NOTIFY_NEVER | DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY

RETURN_GENERATED = "return message generated"
MAX_FAILED_HEADER = 50
"""Addresses in one X-Failed-Recipients line."""


def send_bounces(attempt: Attempt) -> None:
    """Deal with all of `attempt.failed`."""
    texts = {fate.result.return_file for fate in attempt.failed} - {""}
    while attempt.failed:
        fate = attempt.failed[0]
        recipient = errors_address(attempt, fate.delivery)
        if not recipient:
            attempt.failed.pop(0)
            _without_recipient(attempt, fate)
        elif _not_wanted(fate.delivery):
            attempt.failed.pop(0)
            _ignore(attempt, fate, "RFC 3461 DSN, failure notify not requested")
        else:
            group = [one for one in attempt.failed if errors_address(attempt, one.delivery) == recipient]
            group = [one for one in group if not _not_wanted(one.delivery)]
            attempt.failed = [one for one in attempt.failed if one not in group]
            _send(attempt, recipient, group)
    for path in texts:
        with suppress(FileNotFoundError):
            os.unlink(path)


def errors_address(attempt: Attempt, delivery: Delivery) -> str:
    """Who is told; "" for nobody."""
    if delivery.props.ignore_error:
        return ""
    errors_to = delivery.props.errors_to
    return attempt.message.sender_address if errors_to is None else errors_to


def _not_wanted(delivery: Delivery) -> bool:
    """NOTIFY without FAILURE. RFC 3461 4.1."""
    return bool(delivery.dsn_flags & _ANY_DSN) and not delivery.dsn_flags & DSN_NOTIFY_FAILURE


def _without_recipient(attempt: Attempt, fate: Fate) -> None:
    """An error that concerns a bounce, or that `errors_to` wants nobody told: ignored, or the message is frozen."""
    message, main = attempt.message, attempt.services.config.main
    if fate.delivery.props.errors_to is None and not fate.delivery.props.ignore_error and not fate.delivery.timed_out:
        age = attempt.services.clock.now() - message.queued_since
        if not attempt.options.give_up and (main.ignore_bounce_errors_after < 0 or age < main.ignore_bounce_errors_after):
            attempt.deferred.insert(0, fate)
            attempt.frozen_now = True
            made_here = message.sender_set_untrusted and not message.local_error_message
            attempt.freeze_reason = " (message created with -f <>)" if made_here else " (delivery error message)"
            attempt.extra["bounce_frozen"] = True
            return
    _ignore(attempt, fate, "")


def _ignore(attempt: Attempt, fate: Fate, why: str) -> None:
    delivery = fate.delivery
    parent = f" <{delivery.parent.address}>" if delivery.parent is not None else ""
    if not quiet(attempt, delivery):
        attempt.log_both(f"{delivery.address}{parent}: error ignored{f': {why}' if why else ''}")
    mark_done(attempt, delivery)


def _send(attempt: Attempt, recipient: str, group: list[Fate]) -> None:
    submitter = attempt.services.submitter
    try:
        if submitter is None:
            raise AngarosError("nobody to submit to")
        text = b"".join(_bounce(attempt, recipient, group))
        copies = copies_of(attempt, recipient)
        submitter.submit(text, attempt.scope, recipients=[recipient, *copies] if copies else None, reference=attempt.message.id)
    except (AngarosError, OSError) as error:
        attempt.log(f"Process failed (1) when writing error message to {recipient}: {error}")
        attempt.deferred[:0] = group
        return
    for fate in group:
        mark_done(attempt, fate.delivery)


def _bounce(attempt: Attempt, recipient: str, group: list[Fate]) -> Iterator[bytes]:
    """The bounce, in pieces."""
    main = attempt.services.config.main
    scope = attempt.scope.child(bounce_recipient=recipient, bounce_return_size_limit=str(main.bounce_return_size_limit))
    template = read_template(attempt, "bounce_message_file", scope)
    boundary = report.new_boundary(attempt)
    with_text = _with_same_text(group)
    without = [fate for fate in group if not fate.result.return_file]
    yield octets(_headers(attempt, recipient, group, boundary, template))
    yield octets(f"--{boundary}\nContent-type: text/plain; charset=us-ascii\n\n")
    yield octets(_introduction(attempt, recipient, template))
    yield octets("".join(_entry(fate) for fate in group) + "\n")
    yield from _generated_texts(attempt, with_text, template)
    handled = [fate for same in reversed(with_text) for fate in same] + without[::-1]
    yield octets(report.status_part(attempt, handled, boundary, action="failed", status="5.0.0"))
    yield from report.returned_message(attempt, boundary)


def _headers(attempt: Attempt, recipient: str, group: list[Fate], boundary: str, template: Template) -> str:
    main = attempt.services.config.main
    out = [_failed_recipients(group)]
    if main.errors_reply_to is not None:
        out.append(f"Reply-To: {main.errors_reply_to}\n")
    out.append(f"Auto-Submitted: auto-replied\nFrom: {report.sender_of_reports(attempt)}\nTo: {recipient}\n")
    out.append(report.references(attempt))
    out.append(report.mime_headers(boundary))
    own = recipient == attempt.message.sender_address
    default = f"Subject: Mail delivery failed{': returning message to sender' if own else ''}\n"
    return "".join(out) + (template.item(1) or default) + "\n"


def _failed_recipients(group: list[Fate]) -> str:
    shown = []
    for fate in group:
        delivery = fate.delivery
        if not is_hidden(delivery):
            parent = delivery.parent if is_special(delivery) else None
            shown.append(parent.address if parent is not None else delivery.address)
    lines = [shown[i : i + MAX_FAILED_HEADER] for i in range(0, len(shown), MAX_FAILED_HEADER)]
    return "".join(f"X-Failed-Recipients: {(',' + chr(10) + '  ').join(line)}\n" for line in lines)


def _introduction(attempt: Attempt, recipient: str, template: Template) -> str:
    text = template.item(2)
    if text:
        return text + "\n"
    main, sender = attempt.services.config.main, attempt.message.sender_address
    out = ["This message was created automatically by mail delivery software.\n"]
    if main.bounce_message_text is not None:
        text = main.bounce_message_text
        out.append(text if text.endswith("\n") else text + "\n")
    else:
        out.append("\n")
    if recipient == sender:
        out.append(
            "A message that you sent could not be delivered to one or more of its\n"
            "recipients. This is a permanent error. The following address(es) failed:\n\n"
        )
    else:
        out.append(
            f"A message sent by\n\n  <{sender}>\n\n"
            "could not be delivered to one or more of its recipients. The following\n"
            "address(es) failed:\n\n"
        )
    return "".join(out)


def _entry(fate: Fate) -> str:
    """One failed address with its reason; when it only failed because there is text to return, that text is the reason."""
    line = describe(fate.delivery, "  ", "\n    ", "\n")
    return line if fate.result.message == RETURN_GENERATED else line + explain(fate.delivery, fate.result)


def _with_same_text(group: list[Fate]) -> list[list[Fate]]:
    with_text = (fate for fate in group if fate.result.return_file)
    return [list(same) for _, same in groupby(with_text, lambda fate: fate.result.return_file)]


def _generated_texts(attempt: Attempt, groups: list[list[Fate]], template: Template) -> Iterator[bytes]:
    """What pipes and the like wrote (`return_output`), once for all addresses of a batch."""
    if not groups:
        return
    plural = "s" if sum(map(len, groups)) > 1 else ""
    intro = template.item(3) or f"The following text was generated during the delivery attempt{plural}:\n"
    yield octets(intro)
    for same in groups:
        yield octets("\n" + "".join(describe(fate.delivery, "------ ", "\n       ", " ------\n") for fate in same) + "\n")
        try:
            with open(same[0].result.return_file, "rb") as file:
                contents = file.read()
        except OSError as error:
            contents = octets(f"    +++ Exim error... failed to open text file: {error.strerror}\n")
        yield contents if contents.endswith(b"\n") else contents + b"\n"
    yield b"\n"
