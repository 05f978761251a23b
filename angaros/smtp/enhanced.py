"""Enhanced status codes for replies that have none: one table. # RFC 2034, RFC 3463, RFC 4954 6, RFC 7372

What policy says with a code of its own keeps it; the greeting and the answers to HELO and EHLO have none.
"""

from __future__ import annotations

import re

from angaros.model.text import like

# (verb, code), then (any verb, code), then the class alone.
CODES: dict[tuple[str, int], str] = {
    ("MAIL", 250): "2.1.0",  # other address status: the sender is good
    ("RCPT", 250): "2.1.5",  # destination address valid
    ("VRFY", 250): "2.1.5",
    ("EXPN", 250): "2.1.5",
    ("VRFY", 252): "2.0.0",
    ("AUTH", 235): "2.7.0",
    ("DATA", 250): "2.6.0",
    ("BDAT", 250): "2.6.0",
    ("", 421): "4.3.2",  # system not accepting network messages
    ("", 450): "4.2.0",
    ("", 451): "4.3.0",
    ("RCPT", 451): "4.7.1",  # policy
    ("MAIL", 451): "4.7.1",
    ("DATA", 451): "4.7.1",
    ("BDAT", 451): "4.7.1",
    ("AUTH", 451): "4.7.0",
    ("", 452): "4.3.1",  # mail system full
    ("RCPT", 452): "4.5.3",  # too many recipients
    ("", 453): "4.3.2",
    ("", 454): "4.7.0",
    ("", 458): "4.3.0",
    ("", 459): "4.3.0",
    ("", 500): "5.5.2",  # syntax error
    ("", 501): "5.5.4",  # invalid arguments
    ("MAIL", 501): "5.1.7",  # bad sender's mailbox address syntax
    ("RCPT", 501): "5.1.3",  # bad destination mailbox address syntax
    ("", 502): "5.5.1",  # invalid command
    ("", 503): "5.5.1",
    ("", 504): "5.5.4",
    ("", 530): "5.7.0",
    ("", 534): "5.7.9",
    ("", 535): "5.7.8",  # authentication credentials invalid
    ("", 538): "5.7.11",
    ("", 550): "5.7.1",  # delivery not authorized, message refused
    ("VRFY", 550): "5.1.1",
    ("EXPN", 550): "5.1.1",
    ("", 551): "5.7.1",
    ("", 552): "5.3.4",  # message too big for system
    ("RCPT", 552): "5.5.3",  # too many recipients
    ("", 553): "5.1.3",
    ("", 554): "5.5.0",
    ("DATA", 554): "5.6.0",
    ("BDAT", 554): "5.6.0",
    ("", 555): "5.5.4",
}
WITHOUT = frozenset({"HELO", "EHLO"})
"""Commands whose answers never have one. # RFC 2034 3"""

_LINE = re.compile(r"^([245])(\d\d)([ -]|(?=\r|$))(?!\1\.\d{1,3}\.\d{1,3}(?: |$))", re.MULTILINE)


def code_for(verb: str, code: int) -> str:
    """The enhanced code of a reply."""
    return CODES.get((verb, code)) or CODES.get(("", code)) or f"{code // 100}.0.0"


def with_codes(text: str, verb: str) -> str:
    """Reply lines, each with its code. # RFC 2034 4"""
    if verb in WITHOUT:
        return text

    def add(match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}{match[3] or ' '}{code_for(verb, int(match[1] + match[2]))} "

    return like(_LINE.sub(add, str(text)), text)
