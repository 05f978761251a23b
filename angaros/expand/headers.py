"""`$h_name:` and its three sisters, `$message_headers`, `$reply_address`.

Laws:
- Several headers of one name: each without white space around, joined by newlines, in address headers by comma and newline;
  `$rh_` joins raw lines, `$lh_` makes a colon-separated list.
- `$rh_` is untouched, `$bh_` undoes RFC 2047 but not the character set, `$h_` and `$lh_` translate to `headers_charset`.
- All of it is from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.nodes import Node, fail
from angaros.model.text import Tainted

if TYPE_CHECKING:
    from angaros.model.message import Header, Message
    from angaros.model.scope import Scope

MAX_INSERT = 1 << 16
"""Octets that an insertion of header lines makes at most. Exim spec 11.5"""

ADDRESS_HEADERS = frozenset(
    {
        "from", "to", "cc", "bcc", "reply-to", "sender",
        "resent-from", "resent-to", "resent-cc", "resent-bcc", "resent-reply-to", "resent-sender",
    }
)  # fmt: skip
"""Headers whose several lines make one address list. # Exim spec 11.5 (header)"""

_WHITE = " \t\n\v\f\r"


def headers_of(scope: Scope, name: str) -> list[Header]:
    """The message's headers with this lower-case name, deleted ones left out."""
    message = scope.message
    if message is None:
        return []
    found: list[Header] = []
    size = len(name)
    for header in message.headers:
        text = header.text
        if text[:size].lower() == name and header.kind != "*":
            if text[size : size + 1] == ":" or text[size:].lstrip(" \t").startswith(":"):
                found.append(header)
    return found


def decoded(text: str, scope: Scope, translate: bool) -> str:
    """RFC 2047 undone."""
    if "=?" not in text:
        return text
    from angaros.mime.encoded import CharsetError, decode_2047

    main = scope.services.config.main
    charset = (scope.local.get("headers_charset") or main.headers_charset or "UTF-8") if translate else ""
    try:
        return decode_2047(text, charset, check_length=main.check_rfc2047_length)
    except CharsetError:
        return text


class HeaderNode(Node):
    """One of the four forms: kind `r` raw, `b` basic, `h` translated, `l` list."""

    __slots__ = ("address", "kind", "name")

    def __init__(self, kind: str, name: str) -> None:
        super().__init__()
        self.kind = kind
        self.name = name.lower()
        self.address = self.name in ADDRESS_HEADERS

    def eval(self, scope: Scope) -> str:
        headers = headers_of(scope, self.name)
        if not headers:
            return ""
        values = [header.text.partition(":")[2] for header in headers]
        kind = self.kind
        if kind == "r":
            text = "".join(values)
        elif kind == "l":
            text = ":".join([value.removesuffix("\n").replace(":", "::") for value in values])
        else:
            stripped = [value.strip(_WHITE) for value in values]
            if self.address and len(stripped) > 1:
                stripped = [value for value in stripped if value] or [""]
            text = stripped[0] if len(stripped) == 1 else (",\n" if self.address else "\n").join(stripped)
        if len(text) > MAX_INSERT:
            text = text[:MAX_INSERT]
        return Tainted(text if kind == "r" else decoded(text, scope, kind != "b"))


def header_node(kind: str, name: str) -> Node:
    """The node of `$h_name:`; `kind` is the first letter of what stands before the underscore."""
    return HeaderNode(kind, name)


def message_headers(scope: Scope) -> str:
    """`$message_headers`: all, decoded. # Exim spec 11.9"""
    if scope.message is None:
        return ""
    lines = [header.text.rstrip(_WHITE) for header in scope.message.headers if header.kind != "*"]
    return Tainted(decoded("\n".join(lines)[:MAX_INSERT], scope, True)) if lines else ""


def message_headers_raw(scope: Scope) -> str:
    """`$message_headers_raw`."""
    if scope.message is None:
        return ""
    lines = [header.text for header in scope.message.headers if header.kind != "*"]
    return Tainted("".join(lines)[:MAX_INSERT]) if lines else ""


def reply_address(scope: Scope) -> str:
    """`$reply_address`: Reply-To when it has something in it, else From."""
    for name in ("reply-to", "from"):
        text = HeaderNode("h", name).eval(scope)
        if text:
            return text
    return ""


def body_text(scope: Scope, end: bool) -> str:
    """`$message_body`, `$message_body_end`."""
    message = scope.message
    if message is None or not message.body_path:
        return ""
    main = scope.services.config.main
    visible = main.message_body_visible
    key = "body_end" if end else "body"
    cached: str | None = message.effects.caches.get(f"expand.{key}")
    if cached is None:
        cached = _read_body(message, visible, end)
        cached = cached.replace("\0", " ")
        if not main.message_body_newlines:
            cached = cached.replace("\n", " ")
        cached = Tainted(cached)
        message.effects.caches[f"expand.{key}"] = cached
    return cached


def _read_body(message: Message, visible: int, end: bool) -> str:
    from angaros.spool.body import body_piece

    try:
        return body_piece(message, visible, end=end).decode("latin-1")
    except OSError as error:
        raise fail(f"failed to read message body: {error.strerror}") from None
