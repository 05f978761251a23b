"""Telling the sender of a local message what is wrong with it: by mail, or on standard error. Exim spec 5.3 (-oe...)"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from angaros.model.errors import AngarosError
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.inbound.options import Submission
    from angaros.model.interfaces import Services
    from angaros.model.message import Header, Message
    from angaros.model.scope import Scope

COPY_LIMIT = 100_000
"""Octets of the message that are sent back; `return_size_limit` may say less."""


@dataclass(slots=True)
class Fault:
    """What is wrong. `kind` is a key of `TEXTS`."""

    kind: str
    addresses: list[tuple[str, str]] = field(default_factory=list)
    """Malformed addresses, each with its error."""
    text: str = ""
    all_bad: bool = False
    """No good address was there."""


COPY = "------ This is a copy of your message, including all the headers. ------\n"


def _bad_address(fault: Fault) -> str:
    address, error = fault.addresses[0]
    return (
        "A message that you sent contained a recipient address that was incorrectly\nconstructed:\n\n"
        f"  {address}  {error}\n\nThe message has not been delivered to any recipients.\n"
    )


def _bad_in_header(fault: Fault) -> str:
    many = len(fault.addresses) > 1
    lines = "".join(f"  {address}: {error}\n" for address, error in fault.addresses)
    head = (
        f"A message that you sent contained one or more recipient addresses that were\nincorrectly constructed:\n\n{lines}\n"
        f"{'These addresses have' if many else 'This address has'} been ignored. "
    )
    if fault.all_bad:
        return head + "There were no other addresses in your\nmessage, and so no attempt at delivery was possible.\n"
    return head + (
        "The other addresses in the message were\nsyntactically valid and have been passed on for an attempt at delivery.\n"
    )


# kind -> (subject, text, words for "Error while reading message with no usable sender address")
SUBJECTS = {
    "bad-address": "malformed recipient address",
    "bad-in-header": "malformed recipient address",
    "no-address": "no recipient addresses",
    "ignored-address": "no recipient addresses",
    "too-many": "too many recipients",
    "size": "message too big",
    "header-long": "overlong header section",
    "header-line": "overlong header line",
    "local-scan": "rejected by local scanning code",
    "spool": "system failure",
}
TEXTS = {
    "no-address": "A message that you sent contained no recipient addresses, and therefore no\ndelivery could be attempted.\n",
    "ignored-address": (
        "A message that you sent using the -t command line option contained no\n"
        "addresses that were not also on the command line, and were therefore\n"
        "suppressed. This left no recipient addresses, and so no delivery could\nbe attempted.\n"
    ),
    "too-many": (
        "A message that you sent contained more recipients than allowed on this\n"
        "system. It was not delivered to any recipients.\n"
    ),
    "size": (
        "A message that you sent was longer than the maximum size allowed on this\n"
        "system. It was not delivered to any recipients.\n"
    ),
    "header-long": (
        "A message that you sent contained a header section that was excessively\n"
        "long and could not be handled by the mail transmission software. The\n"
        "message has not been delivered to any recipients.\n"
    ),
    "header-line": (
        "A message that you sent contained a header line that was excessively\n"
        "long and could not be handled by the mail transmission software. The\n"
        "message has not been delivered to any recipients.\n"
    ),
    "spool": "A message that you sent could not be stored because of a local system error.\nPlease try again later.\n",
}


def body_text(fault: Fault) -> str:
    """What the sender is told."""
    if fault.kind == "bad-address":
        return _bad_address(fault)
    if fault.kind == "bad-in-header":
        return _bad_in_header(fault)
    if fault.kind == "local-scan":
        return (
            "A message that you sent was rejected by the local scanning code that\n"
            f"checks incoming messages on this system. The following error was given:\n\n  {fault.text}\n"
        )
    return TEXTS[fault.kind]


def log_words(fault: Fault, limit: int) -> str:
    """The fault in a few words for the log."""
    if fault.kind == "size":
        return f"message too big (limit set to {limit})"
    if fault.kind == "local-scan":
        return f"rejected by non-SMTP ACL: {fault.text}"
    if fault.kind in ("no-address", "ignored-address"):
        return "no recipient addresses"
    if fault.kind in ("bad-address", "bad-in-header"):
        return "at least one malformed recipient address: " + "; ".join(f"{a}: {e}" for a, e in fault.addresses[:1])
    return SUBJECTS[fault.kind]


def moan_by_mail(scope: Scope, fault: Fault, headers: list[Header], rest: bytes, limit: int) -> bool:
    """Mail the sender; False when there is no sender to tell (logged)."""
    message = scope.message
    assert message is not None
    services = scope.services
    sender = message.sender_address
    if not sender or message.local_error_message:
        log_no_sender(services, message.id, scope.local.get("message_reference", ""), log_words(fault, limit))
        return False
    text = build(scope, fault, sender, headers, rest)
    assert services.submitter is not None
    try:
        services.submitter.submit(text.encode("latin-1"), scope, sender="", reference=message.id)
    except AngarosError:  # logged with the other message
        services.log.write("Child mail process returned status 1", message_id=message.id)
    return True


def log_no_sender(services: Services, message_id: str, reference: str, why: str) -> None:
    """Nobody can be told about what is wrong with a message."""
    shown = f" (R={reference})" if reference else ""
    services.log.write(f"Error while reading message with no usable sender address{shown}: {why}", message_id=message_id)


def build(scope: Scope, fault: Fault, sender: str, headers: list[Header], rest: bytes) -> str:
    """The whole error message, with a copy of the faulty one."""
    main = scope.services.config.main
    message = scope.message
    assert message is not None
    parts = ["Auto-Submitted: auto-replied\n", f"From: {scope.expand(main.dsn_from)}\n", f"To: {sender}\n"]
    if message.id:
        parts.append(f"References: <E{message.id}@{main.primary_hostname}>\n")
    parts += [f"Subject: Mail failure - {SUBJECTS[fault.kind]}\n", "\n", body_text(fault), "\n", COPY, "\n"]
    if headers:
        parts += [header.text for header in headers if header.kind != "*" or header.text.lower().startswith("bcc")]
    parts.append("\n")
    parts.append(rest[: min(COPY_LIMIT, main.bounce_return_size_limit or COPY_LIMIT)].decode("latin-1"))
    return concat(parts)


def moan_on_stderr(text: str) -> None:
    """-oep."""
    sys.stderr.write(f"exim: {text}\n")
    sys.stderr.flush()


def exit_status(submission: Submission) -> int:
    """Exit status after an error was reported. Exim spec 5.3: -oee gives 0, the others 1."""
    return 0 if submission.error_handling == "mail-zero" else 1


def told_status(message: Message, submission: Submission, told: bool) -> int:
    """Likewise, when the sender may not have been told."""
    return exit_status(submission) if told else 2
