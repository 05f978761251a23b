"""The grammar of SMTP commands: the table of verbs, and the pieces of their arguments.

Laws:
- A command is recognized as Exim does it: at the start of the line, any case, `MAIL FROM:` and `RCPT TO:` with their second
  word and colon.
- MAIL and RCPT parameters are taken from the end of the line for as long as they are known; what is left is the address. An
  unknown parameter so makes the address malformed, and the reply says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from angaros.model.text import Tainted, like


@dataclass(frozen=True, slots=True)
class Syntax:
    """One command."""

    verb: str
    prefix: str
    """What the line must begin with, upper case."""
    argument: str = "any"
    """`none`: an argument is an error; `any`."""
    mail: bool = True
    """False: counts as a nonmail command (`smtp_accept_max_nonmail`)."""
    sync: str = "always"
    """Whether input that follows at once is a synchronization error: `always`, `unless-pipelining` (only when PIPELINING was not
    advertised), `never`. # RFC 2920 3.1"""


# RFC 5321 4.1.1, RFC 1985 (ETRN), 2645 (ATRN), 3030 (BDAT), 3207 (STARTTLS), 4954 (AUTH); XCLIENT and XWELLKNOWN are extensions.
# The first RSET, HELO, EHLO and STARTTLS of a session are not counted as nonmail: `inbound` knows.
COMMANDS: tuple[Syntax, ...] = (
    Syntax("RSET", "RSET", "none", mail=False, sync="unless-pipelining"),
    Syntax("HELO", "HELO", mail=False),
    Syntax("EHLO", "EHLO", mail=False),
    Syntax("AUTH", "AUTH", mail=False, sync="never"),
    Syntax("STARTTLS", "STARTTLS", "none", mail=False),
    Syntax("MAIL", "MAIL FROM:", sync="unless-pipelining"),
    Syntax("RCPT", "RCPT TO:", sync="unless-pipelining"),
    Syntax("DATA", "DATA", "none"),
    Syntax("BDAT", "BDAT", sync="never"),
    Syntax("QUIT", "QUIT", "none", sync="never"),
    Syntax("NOOP", "NOOP", mail=False),
    Syntax("ETRN", "ETRN", mail=False),
    Syntax("EXPN", "EXPN", mail=False),
    Syntax("HELP", "HELP", mail=False, sync="never"),
    Syntax("VRFY", "VRFY", mail=False),
    Syntax("XCLIENT", "XCLIENT", mail=False),
    Syntax("ATRN", "ATRN", mail=False),
    Syntax("WELLKNOWN", "WELLKNOWN", mail=False),
    Syntax("WELLKNOWN", "XWELLKNOWN", mail=False),
)
_BY_WORD: dict[str, Syntax] = {syntax.prefix.partition(" ")[0]: syntax for syntax in COMMANDS}
_WORD = re.compile("[A-Za-z]+")
UNKNOWN = Syntax("", "", mail=False, sync="unless-pipelining")


def parse_command(line: str) -> tuple[Syntax, str]:
    """The command and its argument (tainted, without white space at its ends). `line` has no line end."""
    plain = str(line)
    word = _WORD.match(plain)
    end = word.end() if word is not None else 0
    syntax = _BY_WORD.get(plain[:end].upper())
    if syntax is None:
        return UNKNOWN, Tainted(plain)
    prefix = len(syntax.prefix)
    if prefix > end:
        if plain[:prefix].upper() != syntax.prefix:
            return UNKNOWN, Tainted(plain)
        end = prefix
    elif end < len(plain) and plain[end] not in " \t":
        return UNKNOWN, Tainted(plain)
    return syntax, Tainted(plain[end:].strip(" \t\r\n\f\v"))


_PARAMETER = re.compile(r"[ \t]+([A-Za-z0-9-]+)(?:=(\S*))?[ \t]*\Z")


def split_parameters(argument: str, known: frozenset[str]) -> tuple[str, list[tuple[str, str | None]]]:
    """Cut the parameters in `known` off the end of a MAIL or RCPT argument. # RFC 5321 4.1.2

    Returns the rest (the address) and the parameters as (upper-case name, value), in the order in which they were found (from
    the end); the value is None where there was no `=`.
    """
    found: list[tuple[str, str | None]] = []
    text = str(argument)
    while (match := _PARAMETER.search(text)) is not None:
        name = match[1].upper()
        if name not in known:
            break
        value = match[2]
        found.append((name, None if value is None else like(value, argument)))
        text = text[: match.start()]
    return like(text, argument), found


_DOMAIN_CHARS = re.compile(r"[A-Za-z0-9.-]+")


def is_ip_address(text: str) -> int:
    """4 or 6 for an IP address in text form, else 0. # Exim spec 10.11"""
    if ":" not in text and text.count(".") != 3:
        return 0
    from socket import AF_INET, AF_INET6, inet_pton

    try:
        if ":" in text:
            inet_pton(AF_INET6, text.partition("%")[0])
            return 6
        inet_pton(AF_INET, text)
        return 4
    except (OSError, ValueError, UnicodeEncodeError):
        return 0


def helo_is_valid(name: str, extra_chars: str = "", utf8: bool = False) -> bool:
    """Whether a HELO/EHLO argument is a domain or an address literal, with `helo_allow_chars`. # RFC 5321 4.1.1.1"""
    if not name:
        return False
    if name[0] == "[":
        if name[-1] != "]":
            return False
        literal = name[1:-1]
        if literal[:5].upper() == "IPV6:":
            return is_ip_address(literal[5:]) == 6
        if literal[:5].upper() == "IPV4:":  # wrong, but seen
            return is_ip_address(literal[5:]) == 4
        return is_ip_address(literal) != 0
    if _DOMAIN_CHARS.fullmatch(name):
        return True
    return all((c.isascii() and (c.isalnum() or c in ".-")) or c in extra_chars or (utf8 and c >= "\x80") for c in name)


_BDAT = re.compile(r"(\d+)(?:[ \t]+(\S+))?[ \t]*", re.A)
MAX_CHUNK = 2**31 - 1
"""Largest BDAT size that is believed: more would be beyond any message size limit."""


def parse_bdat(argument: str) -> tuple[int, bool] | None:
    """Size and LAST of a BDAT command; None when the size is missing. # RFC 3030 2"""
    match = _BDAT.match(argument)
    if match is None:
        return None
    return min(int(match[1][:20]), MAX_CHUNK), (match[2] or "").upper() == "LAST"


_XTEXT_BAD = re.compile(r"\+(?![0-9A-F]{2})|[^!-~]|=")
_XTEXT_HEX = re.compile(r"\+([0-9A-F]{2})")


def decode_xtext(text: str) -> str | None:
    """Decoded xtext, None when it is malformed. # RFC 3461 4"""
    if _XTEXT_BAD.search(text):
        return None
    return like(_XTEXT_HEX.sub(lambda m: chr(int(m[1], 16)), text), text)


def encode_xtext(text: str) -> str:
    """Text as xtext. # RFC 3461 4"""
    return like("".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text), text)


def parse_xclient(argument: str) -> list[tuple[str, str]] | None:
    """`NAME=value` pairs of XCLIENT, names upper case, values decoded from xtext; None when malformed."""
    pairs = []
    for word in str(argument).split():
        name, equals, value = word.partition("=")
        decoded = decode_xtext(value)
        if not equals or decoded is None:
            return None
        pairs.append((name.upper(), like(decoded, argument)))
    return pairs
