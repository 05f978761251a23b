"""What `-v`, `-d` and `-bhc` show of a conversation in which we are the client.

Laws:
- A `ClientTrace` exists only when somebody watches; everybody else pays for one look at `None`.
- Secrets are replaced before they come here.

The marks: `|>` kept back for one write with what follows, `+>` written, and more is written with it, `>>` written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SUMMARY_LIMIT = 2001
"""Octets of a summary that are shown, as with Exim; an envelope may have thousands of recipients."""
_VERB = re.compile(r"[^ :]*")


class ClientTrace:
    """Shows one conversation. `show`: a line; `detail`: lines that -v does not have; `summary`: the one at the end."""

    def __init__(self, show: Callable[[str], None], detail: Callable[[str], None] | None, summary: Callable[[str], None]) -> None:
        self._show = show
        self._detail = detail
        self._summary = summary
        self._held = ""
        self._log: list[str] = []

    def line(self, text: str) -> None:
        """A line of its own kind."""
        self._show(text)

    def queued(self, command: str) -> None:
        """A command that may be kept back."""
        if self._held:
            self._sent("|")
        self._held = command

    def flushed(self, octets: int, *, more: bool = False) -> None:
        """What was kept back is written; `more`: together with something else."""
        if self._held:
            self._sent("+" if more else "")
        if self._detail is not None:
            self._detail(f"cmd buf flush {octets} bytes{' (more expected)' if more else ''}")

    def _sent(self, mark: str) -> None:
        command, self._held = self._held, ""
        self._show(f"  SMTP{mark or '>'}> {command}")
        verb = _VERB.match(command)
        self._log.append((verb.group() if verb else "") + mark)

    def writing(self) -> None:
        """Message data begins."""
        self._show("  SMTP>> (writing message)")

    def dot(self, *, more: bool) -> None:
        """The data has been written."""
        mark = "+" if more else ""
        self._show(f"  SMTP{mark or '>'}> .")
        self._log.append(f".{mark}")

    def reply_line(self, line: str, *, first: bool) -> None:
        """A line of a reply."""
        self._show(f"  SMTP<< {line}" if first else f"         {line}")

    def replied(self, code: str, *, several: bool) -> None:
        """A reply is complete; `several`: it has more than one line."""
        self._log.append(code + "-" if several else code)

    def broken(self, why: str) -> None:
        """Nothing can be read: `closed`, or the system's words."""
        self._show(f"  SMTP({why})<<")

    def ended(self) -> None:
        """The work with this connection is over, for now or for ever: what was said, in short."""
        text = f"cmdlog: '{':'.join(self._log)}'" if self._log else "cmdlog: (unset)"
        self._log.clear()
        if len(text) > SUMMARY_LIMIT:
            text = f"{text[:SUMMARY_LIMIT]}\n**** debug string too long - truncated ****"
        self._summary(text)
