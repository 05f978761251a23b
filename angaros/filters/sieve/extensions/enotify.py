"""enotify: notifications, by mail only. # RFC 5435, RFC 5436"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from angaros.filters.sieve.automatic import UTF8_TEXT, header_text, quoted_printable
from angaros.filters.sieve.fields import decoded, raw_values
from angaros.filters.sieve.lexer import SieveError
from angaros.filters.sieve.match import MATCH_TAGS, check_comparator, compare
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag
from angaros.mime.addresses import extract_address

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

MAX_NOTIFICATIONS = 8
"""Messages that one script may send."""

_OURS = frozenset({"from", "to", "subject", "auto-submitted", "date", "message-id", "received", "return-path", "sender"})
_UNSAFE = ("resent-", "list-", "dkim-", "arc-", "authentication-results", "apparently-to", "content-", "mime-")
"""Header fields that a URI may not set. # RFC 6068 4, RFC 5436 2.7"""


@dataclass(slots=True)
class Mailto:
    """A mailto URI. # RFC 6068"""

    recipients: list[str] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    subject: str = ""


def parse_mailto(uri: str) -> Mailto:
    """Raises ValueError with Exim's words."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "mailto":
        raise ValueError("Unknown URI scheme")
    to, question, query = rest.partition("?")
    result = Mailto([_decode(part) for part in to.split(",") if part])
    for item in query.split("&") if question else []:
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError("Missing equal after hname")
        _set(result, _decode(name), _decode(value))
    result.recipients = [" ".join(address.split()) for address in result.recipients]
    for address in result.recipients:
        if not extract_address(address, allow_null=False).domain:
            raise ValueError("Syntactically invalid URI")
    return result


def _decode(text: str) -> str:
    """Percent-encoding undone; control characters cannot come into a header by it."""
    return unquote_to_bytes(text.encode("latin-1")).decode("latin-1")


def _set(result: Mailto, name: str, value: str) -> None:
    lowered = name.lower()
    if lowered == "to":
        result.recipients += [part.strip() for part in value.split(",") if part.strip()]
    elif lowered == "body":
        result.body = value
    elif lowered == "subject":
        result.subject = value
    elif lowered in ("cc", "bcc") or (lowered not in _OURS and not lowered.startswith(_UNSAFE)):
        if not name or any(not "!" <= char <= "~" or char == ":" for char in name):
            raise ValueError("Syntactically invalid URI")
        result.headers.append((name, " ".join(value.split())))


def check_notify(checker: Any, node: Node) -> None:
    """Importance and method. # RFC 5435 3"""
    importance = node.tags.get("importance")
    if importance is not None and checker.constant(importance) and importance not in ("1", "2", "3"):
        raise checker.fail("invalid importance")
    if checker.constant(node.args[0]):
        try:
            parse_mailto(node.args[0])
        except ValueError as error:
            raise checker.fail(str(error)) from None


def _owner(run: Run) -> str:
    owner = run.setting.enotify_owner
    if owner is None:
        raise SieveError("enotify disabled", run.line)
    return owner


def do_notify(run: Run, node: Node) -> None:
    """# RFC 5435 3, RFC 5436 2"""
    owner = _owner(run)
    if any(value.lower().startswith("auto-") for value in raw_values(run, "auto-submitted")):
        return  # RFC 5436 2.7.1: no notifications about automatic messages
    uri = parse_mailto(node.args[0])
    text = _message(run, node, uri, owner)
    notices = run.outcome.notifications
    if text in notices or not uri.recipients:
        return
    if len(notices) >= MAX_NOTIFICATIONS:
        raise run.fail("too many notifications")
    notices.append(text)


def _message(run: Run, node: Node, uri: Mailto, owner: str) -> str:
    """# RFC 5436 2.7"""
    old = raw_values(run, "subject")
    subject = node.tags.get("message") or uri.subject or (decoded(old[0]) if old else "Notification")
    sender = " ".join((node.tags.get("from") or run.user).split())
    lines = [f"From: {sender}", f"To: {', '.join(uri.recipients)}"]
    lines += [f"{name}: {value}" for name, value in uri.headers]
    lines += [f"Auto-Submitted: auto-notified; {owner}", f"Subject: {header_text(subject)}"]
    if "importance" in node.tags:
        lines.append(f"Importance: {dict(zip('123', ('High', 'Normal', 'Low'), strict=True))[node.tags['importance']]}")
    if uri.body and not uri.body.isascii():
        lines.append(UTF8_TEXT)
        return "\n".join([*lines, "", quoted_printable(uri.body)]) + "\n"
    return "\n".join([*lines, "", uri.body.replace("\r\n", "\n")]) + "\n"


def is_valid_notify_method(run: Run, node: Node) -> bool:
    """# RFC 5435 4"""
    _owner(run)
    for uri in node.args[0]:
        try:
            parse_mailto(uri)
        except ValueError:
            return False
    return True


def is_notify_method_capability(run: Run, node: Node) -> bool:
    """Only `online` is known, and we never know. # RFC 5435 5, RFC 5436 2.3"""
    _owner(run)
    try:
        parse_mailto(node.args[0])
    except ValueError:
        return False
    return node.args[1].lower() == "online" and compare(run, node, ["maybe"], node.args[2])


EXTENSION = Extension(
    ("enotify",),
    commands=(
        Spec(
            "notify",
            do_notify,
            "enotify",
            (
                Tag(":from", argument=Argument("string", "from string expected")),
                Tag(":importance", argument=Argument("string", "importance string expected")),
                Tag(":options", argument=Argument("list", "options string list expected")),
                Tag(":message", argument=Argument("string", "message string expected")),
            ),
            (Argument("string", "missing method string"),),
            check_notify,
        ),
    ),
    tests=(
        Spec(
            "valid_notify_method",
            is_valid_notify_method,
            "enotify",
            arguments=(Argument("list", "URI string list expected"),),
        ),
        Spec(
            "notify_method_capability",
            is_notify_method_capability,
            "enotify",
            MATCH_TAGS,
            (
                Argument("string", "missing notification URI string"),
                Argument("string", "missing notification capability string"),
                Argument("list", "missing key string list"),
            ),
            check_comparator,
        ),
    ),
)
