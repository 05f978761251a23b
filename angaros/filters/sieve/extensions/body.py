"""body: tests of the content. # RFC 5173"""

from __future__ import annotations

import email
import email.message
import email.policy
from typing import TYPE_CHECKING

from angaros.filters.sieve.match import MATCH_TAGS, check_comparator, compare
from angaros.filters.sieve.tests import KEYS
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag
from angaros.model.text import taint
from angaros.spool.body import body_piece

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

MAX_BODY = 1 << 20
"""Octets of a body that tests see: a test must not cost more than a delivery."""

MAX_PARTS = 256
"""MIME parts that are looked at."""

_TWICE = "body transform already specified"


def raw_body(run: Run) -> bytes:
    """The body as it came, its beginning only when it is very long."""
    message = run.message
    if not message.body_path:
        return b""
    held = run.memory.get("body raw")
    if held is None:
        try:
            held = body_piece(message, MAX_BODY)
        except OSError as error:
            raise run.fail(f"failed to read message body: {error.strerror}") from None
        if message.wireformat:
            held = held.replace(b"\r\n", b"\n")
        run.memory["body raw"] = held
    return bytes(held)


def is_body(run: Run, node: Node) -> bool:
    """# RFC 5173 4, 5"""
    kind = node.tags.get("transform tag") or node.tags.get("transform", ":text")
    if kind == ":raw":
        values = [raw_body(run).decode("latin-1")]
    else:
        wanted = node.tags["transform"] if kind == ":content" else ["text"]
        values = _contents(run, [name.lower() for name in wanted])
    return compare(run, node, [taint(value) for value in values], node.args[0])


def _parsed(run: Run) -> email.message.Message:
    held: email.message.Message | None = run.memory.get("body parsed")
    if held is None:
        header = "".join(field.text for field in run.fields if field.name.lower().startswith(("content-", "mime-")))
        held = email.message_from_bytes(header.encode("latin-1") + b"\n" + raw_body(run), policy=email.policy.compat32)
        run.memory["body parsed"] = held
    return held


def _contents(run: Run, wanted: list[str]) -> list[str]:
    """The parts of these types, decoded, as UTF-8. # RFC 5173 5.2"""
    out: list[str] = []
    for number, part in enumerate(_parsed(run).walk()):
        if number >= MAX_PARTS:
            break
        if any(_type_fits(part.get_content_type().lower(), name) for name in wanted):
            out.append(_content(part))
    return out


def _type_fits(content_type: str, wanted: str) -> bool:
    """# RFC 5173 5.2: `""` all, `text` a main type, `text/plain` one type"""
    if not wanted:
        return True
    if "/" not in wanted:
        return content_type.partition("/")[0] == wanted
    return wanted.count("/") == 1 and not wanted.startswith("/") and not wanted.endswith("/") and content_type == wanted


def _content(part: email.message.Message) -> str:
    if part.is_multipart():  # RFC 5173 5.2: prologue and epilogue; of message/rfc822 the header
        payload = part.get_payload()
        if part.get_content_maintype() == "message" and isinstance(payload, list) and payload:
            inner = payload[0]
            return (
                "".join(f"{name}: {value}\n" for name, value in inner.items()) if isinstance(inner, email.message.Message) else ""
            )
        return f"{part.preamble or ''}{part.epilogue or ''}"
    data = part.get_payload(decode=True)
    octets = data if isinstance(data, bytes) else b""
    if part.get_content_maintype() != "text":
        return octets.decode("latin-1")
    charset = part.get_content_charset() or "us-ascii"
    try:
        return octets.decode(charset).encode("utf-8").decode("latin-1")
    except (LookupError, UnicodeError):
        return octets.decode("latin-1")


EXTENSION = Extension(
    ("body",),
    tests=(
        Spec(
            "body",
            is_body,
            "body",
            (
                Tag(":raw", "transform", twice=_TWICE),
                Tag(":text", "transform", twice=_TWICE),
                Tag(":content", "transform", Argument("list", "content type string list expected"), twice=_TWICE),
                *MATCH_TAGS,
            ),
            (KEYS,),
            check_comparator,
        ),
    ),
)
