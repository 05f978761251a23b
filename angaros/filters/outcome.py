"""What a filter decides, whatever its language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from angaros.model.reply import Reply


class FilterError(Exception):
    """The filter cannot be used; `str()` is Exim's text (after `error in filter file: `)."""

    transcript: Sequence[str] = ()
    """What a test had told before."""


@dataclass(slots=True)
class Item:
    """One delivery that a filter sets up."""

    kind: str
    """`address`, `file`, `pipe`, `reply`."""
    text: str
    """Address, path, command (without the bar), or the recipients of a reply (without `>`)."""
    errors_to: str | None = None
    """`errors_to` of deliver."""
    ignore_error: bool = False
    """`noerror`."""
    mode: int = 0
    """Of a file; 0: the transport's."""
    reply: Reply | None = None
    numeric: tuple[str, ...] = ()
    """`$0`, `$1`, ... when a pipe was set up."""
    variables: dict[str, str] = field(default_factory=dict)
    """`thisaddress`."""
    failure: str = ""
    """Why it cannot be delivered."""
    flags: str = ""
    """IMAP flags, separated by spaces (Sieve)."""
    headers_add: list[str] = field(default_factory=list)
    """Header lines that this delivery alone gets (Sieve)."""
    headers_remove: str = ""
    """Colon-separated names, likewise."""


@dataclass(slots=True)
class FilterOutcome:
    """Result of a run."""

    action: str = ""
    """"" deliver as `items` and `delivered` say; `fail`, `defer`, `freeze` with `text`."""
    text: str = ""
    items: list[Item] = field(default_factory=list)
    delivered: bool = False
    """Something significant was done: no other delivery happens."""
    headers_changed: bool = False
    """A system filter added or removed header lines."""
    implicit_keep: bool = False
    """Sieve: the message was kept because nothing else was said."""
    error: str = ""
    """Sieve: what is wrong with the script; the message is kept."""
    notifications: list[str] = field(default_factory=list)
    """Sieve: messages to send (header, empty line, body)."""
    transcript: list[str] = field(default_factory=list)
    """Lines of a test run (-bf)."""


def c_quoted(text: str) -> str:
    """In quotes, with quotes and newlines escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
