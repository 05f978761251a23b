"""Replies as octets.

`model.outcome.Reply` is one reply; here are the texts that do not depend on policy, in Exim's words.
"""

from __future__ import annotations

from angaros.model.outcome import Reply

MAX_REPLY_LINE = 510
"""RFC 5321 4.5.3.1.5 allows 512 octets with CRLF; longer texts are folded by whoever writes them."""

OK = Reply(250, "OK")
RESET_OK = Reply(250, "Reset OK")
UNRECOGNIZED = Reply(500, "unrecognized command")
NUL_IN_COMMAND = Reply(501, "NUL characters are not allowed in SMTP commands")
UNEXPECTED_ARGUMENT = Reply(501, "unexpected argument data")
GO_AHEAD = Reply(354, 'Enter message, ending with "." on a line by itself')
SYNC_ERROR = Reply(554, "SMTP synchronization error", close=True)


def format_reply(code: str, enhanced: str, text: str, *, final: bool = True, multiline: bool = True) -> bytes:
    """A reply with one line for each line of `text`; the enhanced code stands in the first line only, where the text has it.

    `final=False`: more lines follow in another call. `multiline=False` (`control = no_multiline_responses`): the text is joined
    to one line.
    """
    if not multiline:
        if not final:
            return b""
        text = " ".join(text.split("\n"))
    lines = text.split("\n")
    last = len(lines) - 1
    out = []
    for i, line in enumerate(lines):
        sep = " " if final and i == last else "-"
        out.append(f"{code}{sep}{enhanced if i == 0 else ''}{line}\r\n")
    return "".join(out).encode("latin-1")
