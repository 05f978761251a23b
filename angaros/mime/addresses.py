"""Addresses in RFC 5322 text: one at a time (envelope commands, headers) and lists with groups.

Laws:
- Error texts are Exim's; administrators see them in SMTP replies and logs.
- Exim is laxer than the RFC on purpose (`a..b@c`, `.a@b`): the same is accepted here, the same refused.
- What is taken out of tainted text is tainted.
- Nothing here recurses without a bound; all scanning is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from angaros.model.record import dataclass
from angaros.model.text import Tainted, like

MAX_ADDRESS = 256
"""Longest accepted address in octets; RFC 5321 4.5.3.1 needs 64 + 1 + 255 at most, Exim stops here."""


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What may be in an address, from the main options of the same names."""

    allow_domain_literals: bool = False
    strip_excess_angle_brackets: bool = False
    strip_trailing_dot: bool = False
    allow_utf8_domains: bool = False
    """Option `allow_utf8_domains`, or the message is SMTPUTF8."""

    @classmethod
    def of(cls, main: Any, *, utf8: bool = False) -> AddressRules:
        """Rules from `config.main`; `utf8` for an SMTPUTF8 message."""
        return cls(
            main.allow_domain_literals,
            main.strip_excess_angle_brackets,
            main.strip_trailing_dot,
            main.allow_utf8_domains or utf8,
        )


DEFAULT_RULES = AddressRules()


@dataclass(frozen=True, slots=True)
class Extracted:
    """Result of `extract_address`. `error` is "" when the text was an address; `address` may then be "" (for `<>`)."""

    address: str = ""
    error: str = ""
    start: int = 0
    """Where the address (inside angle brackets, after a source route) begins in the text."""
    end: int = 0
    """Where it ends."""
    domain: int = 0
    """Offset of the domain in `address`; 0 when there is none (unqualified or empty)."""

    @property
    def ok(self) -> bool:
        """Whether an address was found."""
        return not self.error


class _Bad(Exception):
    """Syntax error; `args[0]` is the text for the user."""


_SPACE = re.compile(r"[ \t\r\n\f\v]*")
_ATOM = re.compile(r'(?:[^\x00-\x20\x7f()<>@,;:\\".\[\]]|\\(?:.|\Z))+', re.S)
_WORD = re.compile(r'(?:[^\x00-\x20\x7f()<>@,;:\\"\[\]]|\\(?:.|\Z))+', re.S)  # a phrase may have dots
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
_LITERAL = re.compile(r"\[(?:IPv[46]:)?[0-9A-Fa-f:.]*\]", re.I)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-])*")
_LABEL_UTF8 = re.compile(r"[A-Za-z0-9\xc0-\xff](?:[A-Za-z0-9-]|[\xc0-\xff][\x80-\xbf]*|(?<=[\x80-\xff])[\x80-\xbf])*")
_SIMPLE = re.compile(
    r"[ \t\r\n]*(?:([\w!#$%&'*+/=?^`{|}~.-]+)@([A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9][A-Za-z0-9-]*)*)"
    r"|[A-Za-z0-9 ]*<([\w!#$%&'*+/=?^`{|}~.-]+)@([A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9][A-Za-z0-9-]*)*)>)[ \t\r\n]*\Z",
    re.A,
)


def skip_comment(text: str, pos: int) -> int:
    """Position after white space and (nested) comments. An unclosed comment reaches to the end. # RFC 5322 3.2.2"""
    length = len(text)
    while True:
        pos = _SPACE.match(text, pos).end()  # type: ignore[union-attr]
        if pos >= length or text[pos] != "(":
            return pos
        depth = 0
        while pos < length:
            char = text[pos]
            if char == "\\":
                pos += 1
            elif char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if depth == 0:
                    pos += 1
                    break
            pos += 1
        pos = min(pos, length)


class _Reader:
    """One pass over the text of one address."""

    __slots__ = ("text", "pos", "rules")

    def __init__(self, text: str, pos: int, rules: AddressRules) -> None:
        self.text = text
        self.pos = pos
        self.rules = rules

    def peek(self) -> str:
        """Next character, "" at the end."""
        return self.text[self.pos : self.pos + 1]

    def skip(self) -> None:
        """Over white space and comments."""
        self.pos = skip_comment(self.text, self.pos)

    def domain(self, bare: bool = False) -> str:
        """A domain name or literal; trailing comments are skipped. # RFC 5321 4.1.2

        `bare`: no angle brackets around it; Exim then leaves `allow_domain_literals` to those who use the address."""
        self.skip()
        if self.peek() == "[":
            if not bare and not self.rules.allow_domain_literals:
                raise _Bad("domain literals not allowed")
            return self._literal()
        label = _LABEL_UTF8 if self.rules.allow_utf8_domains else _LABEL
        parts: list[str] = []
        while True:
            match = label.match(self.text, self.pos)
            if match is None:
                break
            if not match[0].isascii():
                _check_utf8(match[0])
            parts.append(match[0])
            self.pos = match.end()
            self.skip()
            if self.peek() != ".":
                return ".".join(parts)
            self.pos += 1
            self.skip()
        if parts and self.rules.strip_trailing_dot and self.peek() != ".":
            return ".".join(parts)
        raise _Bad("domain missing or malformed")

    def _literal(self) -> str:
        match = _LITERAL.match(self.text, self.pos)
        if match is None:
            raise _Bad("malformed domain literal")
        self.pos = match.end()
        self.skip()
        return match[0]

    def local_part(self) -> str:
        """Words separated by dots, where Exim allows empty words; "" when there is none."""
        self.skip()
        parts: list[str] = []
        text = self.text
        while True:
            char = self.peek()
            if char == '"':
                match = _QUOTED.match(text, self.pos)
                if match is None:
                    raise _Bad("unmatched doublequote in local part")
            else:
                match = _ATOM.match(text, self.pos)
            if match is not None:
                parts.append(match[0])
                self.pos = match.end()
                self.skip()
            if self.peek() != ".":
                return "".join(parts)
            parts.append(".")
            self.pos += 1
            self.skip()

    def route(self) -> None:
        """Over a source route, `@a,@b:`. # RFC 5321 C: must be accepted, should be ignored"""
        commas = False
        while self.peek() == "@":
            self.pos += 1
            self.domain()
            if self.peek() != ",":
                break
            commas = True
            self.pos += 1
            self.skip()
        if self.peek() == ":":
            self.pos += 1
        else:
            raise _Bad("colon expected after route list" if commas else "no local part")

    def addr_spec(self) -> tuple[str, str]:
        """Inside angle brackets, after any route."""
        local = self.local_part()
        if not local:
            raise _Bad("missing or malformed local part")
        char = self.peek()
        if char == "@":
            self.pos += 1
            return local, self.domain()
        if char != ">":
            raise _Bad(f'"@" or "." expected after "{local}"')
        return local, ""


def _check_utf8(label: str) -> None:
    """RFC 6531: U-labels are valid UTF-8."""
    try:
        label.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise _Bad("invalid UTF-8 byte sequence") from None


def _phrase(reader: _Reader, stop: str) -> bool:
    """Skip words and quoted strings; whether `stop` comes next. # RFC 5322 3.2.5"""
    while True:
        reader.skip()
        char = reader.peek()
        if char == stop:
            return True
        match = (_QUOTED if char == '"' else _WORD).match(reader.text, reader.pos)
        if match is None:
            if char == '"':
                raise _Bad('unmatched doublequote in local part (expected word or "<")')
            return False
        reader.pos = match.end()


def _angle(reader: _Reader) -> tuple[str, str, int, int]:
    """`<...>`, the reader standing on `<`. Returns local part, domain, start and end."""
    opened = 0
    while reader.peek() == "<":
        reader.pos += 1
        opened += 1
        if not reader.rules.strip_excess_angle_brackets:
            break
    bracket = reader.pos
    reader.skip()
    start = reader.pos
    local = domain = ""
    if reader.peek() != ">":
        routed = reader.peek() == "@"
        if routed:
            reader.route()
            start = skip_comment(reader.text, reader.pos)
        elif reader.peek() == "<":
            raise _Bad("missing or malformed local part")
        local, domain = reader.addr_spec()
        if routed and not domain:
            raise _Bad("domain missing in source-routed address")
    else:
        start = bracket
    end = len(reader.text[: reader.pos].rstrip())
    for _ in range(opened):
        if reader.peek() != ">":
            raise _Bad(_after(reader) if reader.peek() else "'>' missing at end of address")
        reader.pos += 1
    return local, domain, start, max(start, end)


def _after(reader: _Reader) -> str:
    """Exim shows at most 32 octets of what should not be there."""
    text = reader.text
    begin = _SPACE.match(text).end()  # type: ignore[union-attr]
    rest = text.removesuffix("\n")[reader.pos : reader.pos + 32]  # without the end of a header line
    return f"malformed address: {rest} may not follow {text[begin : reader.pos]}"


def _read(reader: _Reader) -> tuple[str, str, int, int]:
    """One mailbox: `local@domain`, a bare local part, or `phrase <route-addr>`."""
    begin = reader.pos
    if reader.peek() == "@":  # a route needs no brackets, but then a domain
        reader.route()
        start = skip_comment(reader.text, reader.pos)
        local, domain = reader.addr_spec()
        if not domain:
            raise _Bad("domain missing in source-routed address")
        return local, domain, start, len(reader.text[: reader.pos].rstrip())
    if reader.peek() == "<":
        return _angle(reader)
    local = reader.local_part()
    char = reader.peek()
    if local and char == "@":
        reader.pos += 1
        domain = reader.domain(bare=True)
        return local, domain, begin, len(reader.text[: reader.pos].rstrip())
    if local and (not char or char == ";"):
        return local, "", begin, len(reader.text[: reader.pos].rstrip())
    reader.pos = begin
    if not _phrase(reader, "<"):
        raise _Bad('missing or malformed local part (expected word or "<")')
    return _angle(reader)


def extract_address(text: str, rules: AddressRules = DEFAULT_RULES, *, allow_null: bool = True) -> Extracted:
    """The one address in `text`, without phrase, comments and source route. # RFC 5322 3.4

    `allow_null`: `<>` is an address (sender); else it is an error (recipient, header).
    """
    match = _SIMPLE.match(text) if len(text) <= MAX_ADDRESS else None  # its time grows by the square with white space
    if match is not None:
        group = 1 if match[1] is not None else 3
        start, end = match.start(group), match.end(group + 1)
        return Extracted(like(str(text)[start:end], text), "", start, end, match.end(group) + 1 - start)
    reader = _Reader(str(text), 0, rules)
    reader.skip()
    if reader.peek() in ("", ";"):
        return Extracted(error="empty address")
    try:
        local, domain, start, end = _read(reader)
        reader.skip()
        if not local and not allow_null:
            raise _Bad("missing or malformed local part")
        if reader.pos < len(text):
            raise _Bad(_after(reader))
        address = f"{local}@{domain}" if domain else local
        if len(address) > MAX_ADDRESS:
            raise _Bad(f"address is ridiculously long: {address[:64]}...")
    except _Bad as bad:
        return Extracted(error=like(str(bad), text))
    return Extracted(like(address, text), "", start, end, len(local) + 1 if domain else 0)


def simple_address(text: str) -> tuple[str, str] | None:
    """Local part and domain of an address as nearly all are, `a@b` or `Some Name <a@b>`; None: ask `extract_address`."""
    match = _SIMPLE.match(text) if len(text) <= MAX_ADDRESS else None
    if match is None:
        return None
    local, domain = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
    return like(local, text), like(domain, text)


def group_start(text: str, pos: int = 0) -> int:
    """Position after the colon of a group's name (`phrase:`) that begins at `pos`; -1 when there is none. # RFC 5322 3.4"""
    reader = _Reader(text, pos, DEFAULT_RULES)
    reader.skip()
    if reader.peek() in ("@", ":", ""):
        return -1
    try:
        return reader.pos + 1 if _phrase(reader, ":") else -1
    except _Bad:
        return -1


_SPECIAL = re.compile(r'[\\"(<\[,:;]')


def find_address_end(text: str, pos: int = 0, in_group: bool = False) -> tuple[int, bool]:
    """Where the address that begins at `pos` ends (at an unquoted `,`, in a group also `;`), and whether a group is open.

    Looks over quoted strings, comments, literals, and source routes.
    """
    length = len(text)
    pos = skip_comment(text, pos)
    in_route = text[pos : pos + 1] == "@"
    while (match := _SPECIAL.search(text, pos)) is not None:
        char = match[0]
        pos = match.start()
        if char == "\\":
            pos += 2
        elif char == "(":
            pos = skip_comment(text, pos)
        elif char in '"<[':
            pos = _closing(text, pos, char)
        elif char == ":":
            if in_route:
                in_route = False
            else:
                in_group = True
            pos += 1
        elif (char == "," and not in_route) or (char == ";" and in_group):
            return pos, in_group and char != ";"
        else:
            pos += 1
    return length, False


def _closing(text: str, pos: int, char: str) -> int:
    """Position after a quoted string, bracketed address or literal; the end of the text when it is not closed."""
    if char == '"':
        match = _QUOTED.match(text, pos)
        return match.end() if match else len(text)
    if char == "[":
        end = text.find("]", pos)
        return end + 1 if end >= 0 else pos + 1
    pos += 1
    length = len(text)
    while pos < length:
        char = text[pos]
        if char == ">":
            return pos + 1
        if char == "\\":
            pos += 2
        elif char == '"':
            match = _QUOTED.match(text, pos)
            if match is None:
                return length
            pos = match.end()
        elif char == "(":
            pos = skip_comment(text, pos)
        else:
            pos += 1
    return length


@dataclass(frozen=True, slots=True)
class Piece:
    """One address of a list: `text[start:end]`, without the name of the group it opens."""

    start: int
    end: int
    group: bool = False
    """Inside a group."""
    empty: bool = False
    """Nothing but white space and comments (an empty group, `a,,b`)."""


def split_address_list(text: str, pos: int = 0) -> Iterator[Piece]:
    """The addresses of a header's value, as positions; groups are opened up. Empty places between commas are left out."""
    text = str(text)
    length = len(text)
    in_group = False
    while True:
        while pos < length and text[pos] in " \t\r\n,;":
            pos += 1
        if pos >= length:
            return
        end, still = find_address_end(text, pos, in_group)
        start = pos
        if not in_group:
            after = group_start(text[:end], pos)
            if after >= 0:
                start = after
                in_group = True
        yield Piece(start, end, in_group, skip_comment(text[:end], start) >= end)
        in_group = still
        pos = end + 1


def split_addresses(text: str) -> list[str]:
    """The addresses of a list as text (phrases and comments kept); tainted like the list."""
    if isinstance(text, Tainted):
        return [text[p.start : p.end].strip() for p in split_address_list(text) if not p.empty]
    return [text[p.start : p.end].strip() for p in split_address_list(text) if not p.empty]


def split_address(address: str) -> tuple[str, str]:
    """Local part and domain of an address that `extract_address` gave; domain "" when unqualified."""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (address, like("", address))


def quote_local_part(local_part: str) -> str:
    """The local part with quotes added where RFC 5322 wants them (`${quote_local_part:`)."""
    if local_part and _DOT_ATOM.fullmatch(local_part):
        return local_part
    return like('"' + _NEEDS_BACKSLASH.sub(r"\\\g<0>", local_part) + '"', local_part)


_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\xff]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\xff]+)*")
_NEEDS_BACKSLASH = re.compile(r'["\\]')


def unquote_local_part(local_part: str) -> str:
    """The local part as routers see it: quotes and backslashes removed (`"a b"` and `a\\ b` are both `a b`)."""
    if '"' not in local_part and "\\" not in local_part:
        return local_part
    out = re.sub(r'\\(.)|"', lambda m: m[1] or "", local_part, flags=re.S)
    return like(out, local_part)


def fix_phrase(phrase: str) -> str:
    """A display name as an RFC 5322 phrase: quoted when it has specials; comments are kept (`-F`, gecos). # RFC 5322 3.2.5"""
    if _PHRASE_OK.fullmatch(phrase):
        return phrase
    return like('"' + re.sub(r'(?<!\\)"|\\(?!["\\])', r"\\\g<0>", phrase.strip()) + '"', phrase)


_PHRASE_OK = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ \t\x80-\xff]*")
