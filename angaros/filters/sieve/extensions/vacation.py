"""vacation and vacation-seconds: automatic answers. # RFC 5230, RFC 6131; README.SIEVE

The reply goes to the envelope sender through `reply_transport`; whom it has gone to stands in a database of
`sieve_vacation_directory`, under Exim's name for the set of parameters.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from angaros.filters import personal
from angaros.filters.outcome import Item
from angaros.filters.sieve.automatic import UTF8_TEXT, header_text, quoted_printable
from angaros.filters.sieve.fields import decoded, raw_values
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag
from angaros.mime.addresses import AddressRules, extract_address
from angaros.model.reply import Reply
from angaros.model.text import concat, like

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

DAY = 86400
DEFAULT_DAYS = 7
MAX_DAYS = 31
"""Longer periods are cut, and databases that nobody has written to for so long are removed. # README.SIEVE"""

_RECIPIENT_FIELDS = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")


def check_vacation(checker: Any, node: Node) -> None:
    """`:from` has to be an address. # RFC 5230 4.3"""
    sender = node.tags.get("from")
    if sender is None or not checker.constant(sender):
        return
    found = extract_address(sender, allow_null=False)
    if found.error == "empty address":
        raise checker.fail("empty address")
    if found.error:
        raise checker.fail(f'malformed address "{sender}" ({found.error})')


def do_vacation(run: Run, node: Node) -> None:
    """# RFC 5230 4"""
    if run.memory.get("vacation"):
        raise run.fail("trying to execute vacation more than once")
    run.memory["vacation"] = True
    if run.outcome.action:
        raise run.fail("vacation is incompatible with reject")
    directory = run.setting.vacation_directory
    if run.setting.testing:
        return
    if directory is None:
        raise run.fail("vacation disabled")
    if _answers(run, node):
        run.add(Item("reply", run.message.sender_address, reply=_reply(run, node, directory)))


def _answers(run: Run, node: Node) -> bool:
    """Whether this message gets an answer at all. # RFC 5230 4.5, 4.6"""
    sender = run.message.sender_address
    own = set(run.setting.own_addresses) | {address.lower() for address in node.tags.get("addresses", [])}
    if not sender or sender.lower() in own or sender.lower().startswith("mailer-daemon@"):
        return False
    rules = AddressRules.of(run.scope.services.config.main)
    headers = run.message.headers
    return bool(own.intersection(personal.addresses(headers, _RECIPIENT_FIELDS, rules))) and personal.from_a_person(
        headers, own, rules
    )


def _reply(run: Run, node: Node, directory: str) -> Reply:
    tags, reason = node.tags, node.args[0]
    subject = tags.get("subject")
    if subject is None:
        old = [decoded(value) for value in raw_values(run, "subject")]
        subject = concat(["Auto: ", old[0]]) if old else "Automated reply"
    reply = Reply(to=run.message.sender_address, from_=_one_line(tags.get("from") or run.user), subject=header_text(subject))
    if "mime" in tags:
        reply.headers, reply.text = _entity(reason)
    else:
        reply.headers, reply.text = UTF8_TEXT, quoted_printable(reason)
    reply.oncelog = concat([directory, "/", _database(node)])
    reply.once_repeat, reply.once_keep_days = _period(node), MAX_DAYS
    return reply


def _one_line(text: str) -> str:
    """A newline in a script's string must not begin another header field."""
    return like(" ".join(text.split()), text)


def _entity(reason: str) -> tuple[str, str]:
    """Header and body of a MIME entity. # RFC 5230 4.1 (:mime), README.SIEVE"""
    head, _, body = reason.replace("\r\n", "\n").partition("\n\n")
    lines = head.strip("\n")
    if not any(line.lower().startswith("mime-version:") for line in lines.split("\n")):
        lines = concat(["MIME-Version: 1.0\n", lines])
    return lines, body


def _period(node: Node) -> int:
    """Seconds in which nobody gets a second answer. # RFC 5230 4.1, RFC 6131 2"""
    if "seconds" in node.tags:
        return int(min(node.tags["seconds"], MAX_DAYS * DAY)) or 1
    return int(min(max(node.tags.get("days", DEFAULT_DAYS), 1), MAX_DAYS)) * DAY


def _database(node: Node) -> str:
    """Name of the database: from the handle, or from what makes up the answer. # README.SIEVE"""
    tags = node.tags
    if "handle" in tags:
        key = str(tags["handle"])
    else:
        key = f"{tags.get('subject', '')}{tags.get('from', '')}{'1' if 'mime' in tags else '0'}{node.args[0]}"
    return hashlib.md5(key.encode("latin-1"), usedforsecurity=False).hexdigest().upper()


EXTENSION = Extension(
    ("vacation", "vacation-seconds"),
    commands=(
        Spec(
            "vacation",
            do_vacation,
            "vacation",
            (
                Tag(":days", argument=Argument("number", "missing number")),
                Tag(":seconds", argument=Argument("number", "missing number"), capability="vacation-seconds"),
                Tag(":subject", argument=Argument("string", "subject string expected")),
                Tag(":from", argument=Argument("string", "from string expected")),
                Tag(":addresses", argument=Argument("list", "addresses string list expected")),
                Tag(":mime"),
                Tag(":handle", argument=Argument("string", "handle string expected")),
            ),
            (Argument("string", "missing reason string"),),
            check_vacation,
        ),
    ),
)
