"""LDAP version 3 on the wire: BER, filters, URLs; no I/O. # RFC 4511, RFC 4515, RFC 4516

Only what lookups need: simple bind, search, StartTLS, unbind. Own code, because the one library for Python needs a C
compiler where it is installed, and blocks; this is a page of encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

BIND, BIND_RESPONSE = 0x60, 0x61
UNBIND = 0x42
SEARCH, ENTRY, DONE, REFERENCE = 0x63, 0x64, 0x65, 0x73
EXTENDED, EXTENDED_RESPONSE = 0x77, 0x78
START_TLS_OID = b"1.3.6.1.4.1.1466.20037"
SCOPES = {"base": 0, "one": 1, "sub": 2, "": 0}
MAX_MESSAGE = 16 << 20
"""Octets of one answer."""
MAX_FILTER_DEPTH = 40
"""Brackets within brackets of a filter."""

ERRORS = {
    1: "Operations error", 2: "Protocol error", 3: "Time limit exceeded", 4: "Size limit exceeded",
    7: "Authentication method not supported", 8: "Strong(er) authentication required", 10: "Referral",
    11: "Administrative limit exceeded", 12: "Critical extension is unavailable", 13: "Confidentiality required",
    16: "No such attribute", 18: "Inappropriate matching", 21: "Invalid syntax", 32: "No such object", 33: "Alias problem",
    34: "Invalid DN syntax", 48: "Inappropriate authentication", 49: "Invalid credentials", 50: "Insufficient access",
    51: "Server is busy", 52: "Server is unavailable", 53: "Server is unwilling to perform",
    80: "Other (e.g., implementation specific) error",
}  # fmt: skip
"""Texts of libldap."""


class LdapSyntaxError(ValueError):
    """A URL or filter that cannot be understood, or an answer that is not LDAP."""


# --- BER ---------------------------------------------------------------------------------------------------------------


def tlv(tag: int, content: bytes) -> bytes:
    """One element with definite length."""
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def integer(value: int, tag: int = 2) -> bytes:
    """INTEGER or ENUMERATED."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def read_tlv(data: bytes, pos: int = 0) -> tuple[int, bytes, int]:
    """Tag, content and the position behind; LdapSyntaxError when it is not complete."""
    try:
        tag, size = data[pos], data[pos + 1]
        pos += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[pos : pos + count], "big")
            pos += count
    except IndexError:
        raise LdapSyntaxError("truncated") from None
    if size > MAX_MESSAGE or pos + size > len(data):
        raise LdapSyntaxError("truncated")
    return tag, data[pos : pos + size], pos + size


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """All elements of a constructed value."""
    pos = 0
    while pos < len(data):
        tag, content, pos = read_tlv(data, pos)
        yield tag, content


def message_size(data: bytes) -> int:
    """Octets of the message that `data` begins with; 0 when more is needed to tell."""
    if len(data) < 2:
        return 0
    if data[0] != 0x30:
        raise LdapSyntaxError("not an LDAP message")
    size = data[1]
    if size < 128:
        return size + 2
    count = size & 0x7F
    if count > 4:
        raise LdapSyntaxError("message too long")
    if len(data) < 2 + count:
        return 0
    size = int.from_bytes(data[2 : 2 + count], "big")
    if size > MAX_MESSAGE:
        raise LdapSyntaxError("message too long")
    return 2 + count + size


def message(number: int, operation: bytes) -> bytes:
    """One request."""
    return tlv(0x30, integer(number) + operation)


@dataclass(frozen=True, slots=True)
class Result:
    """LDAPResult. # RFC 4511 4.1.9"""

    code: int
    matched: bytes = b""
    text: bytes = b""
    referrals: tuple[bytes, ...] = ()


def parse_result(content: bytes) -> Result:
    """Of a response."""
    parts = list(elements(content))
    if len(parts) < 3:
        raise LdapSyntaxError("short result")
    referrals = tuple(uri for tag, value in parts[3:] if tag == 0xA3 for _, uri in elements(value))
    return Result(int.from_bytes(parts[0][1], "big"), parts[1][1], parts[2][1], referrals)


def parse_entry(content: bytes) -> tuple[bytes, list[tuple[bytes, list[bytes]]]]:
    """DN and attributes of a search result."""
    parts = list(elements(content))
    if len(parts) < 2:
        raise LdapSyntaxError("short entry")
    attributes: list[tuple[bytes, list[bytes]]] = []
    for _, attribute in elements(parts[1][1]):
        fields = list(elements(attribute))
        if not fields:
            raise LdapSyntaxError("attribute without a name")
        values = [value for _, value in elements(fields[1][1])] if len(fields) > 1 else []
        attributes.append((fields[0][1], values))
    return parts[0][1], attributes


# --- Requests ----------------------------------------------------------------------------------------------------------


def bind_request(user: bytes, password: bytes, version: int = 3) -> bytes:
    """Simple authentication. # RFC 4511 4.2"""
    return tlv(BIND, integer(version) + tlv(4, user) + tlv(0x80, password))


def search_request(url: LdapUrl, deref: int, size: int, seconds: int) -> bytes:
    """# RFC 4511 4.5.1"""
    attributes = b"".join(tlv(4, name) for name in url.attributes)
    return tlv(
        SEARCH,
        tlv(4, url.dn)
        + integer(url.scope, 10)
        + integer(deref, 10)
        + integer(size)
        + integer(seconds)
        + tlv(1, b"\0")
        + compile_filter(url.filter)
        + tlv(0x30, attributes),
    )


def start_tls_request() -> bytes:
    """# RFC 4511 4.14"""
    return tlv(EXTENDED, tlv(0x80, START_TLS_OID))


# --- URLs --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LdapUrl:
    """A parsed URL. # RFC 4516"""

    scheme: str
    host: str
    """Name, address or (ldapi) path; "" for none."""
    port: int
    """0 when not given."""
    dn: bytes
    attributes: tuple[bytes, ...]
    scope: int
    filter: bytes


def parse_url(text: str) -> LdapUrl:
    """`ldap://host:port/dn?attributes?scope?filter`"""
    scheme, _, rest = text.partition("://")
    place, _, tail = rest.partition("/")
    fields = tail.split("?") + [""] * 4
    scope = fields[2].lower()
    if scope not in SCOPES:
        raise LdapSyntaxError(f'bad scope "{fields[2]}"')
    host, port = _host(unquote_to_bytes(place.encode("latin-1")).decode("latin-1"), scheme.lower())
    return LdapUrl(
        scheme.lower(),
        host,
        port,
        _plain(fields[0]),
        tuple(_plain(name) for name in fields[1].split(",") if name),
        SCOPES[scope],
        _plain(fields[3]) or b"(objectClass=*)",
    )


def _plain(text: str) -> bytes:
    return unquote_to_bytes(text.encode("latin-1"))


def _host(place: str, scheme: str) -> tuple[str, int]:
    if scheme == "ldapi" or place[:1] == "/":
        return place, 0
    if place[:1] == "[":
        host, _, port = place[1:].partition("]")
        return host, int(port[1:]) if port[1:].isdigit() else 0
    host, colon, port = place.rpartition(":")
    if not colon:
        return place, 0
    if not port.isdigit():
        raise LdapSyntaxError(f'bad port "{port}"')
    return host, int(port)


# --- Filters -----------------------------------------------------------------------------------------------------------

_ATTRIBUTE = re.compile(rb"\s*([^=~<>:()\s]*)((?::[^=:]*)*:)?([~<>]?=)", re.S)
_CHOICES = {b"~=": 0xA8, b">=": 0xA5, b"<=": 0xA6}
_ESCAPED = re.compile(rb"\\([0-9a-fA-F]{2})")


def compile_filter(text: bytes) -> bytes:
    """The text of a filter in BER. LdapSyntaxError. # RFC 4515"""
    text = text.strip()
    if text[:1] != b"(":
        text = b"(" + text + b")"
    compiled, pos = _filter(text, 0, 0)
    if text[pos:].strip():
        raise LdapSyntaxError("text after filter")
    return compiled


def _filter(text: bytes, pos: int, depth: int) -> tuple[bytes, int]:
    """One bracketed filter."""
    if depth > MAX_FILTER_DEPTH:
        raise LdapSyntaxError("filter is nested too deep")
    pos = _space(text, pos)
    if text[pos : pos + 1] != b"(":
        raise LdapSyntaxError("filter: ( expected")
    pos = _space(text, pos + 1)
    operator = text[pos : pos + 1]
    if operator in (b"&", b"|", b"!"):
        return _combination(text, pos + 1, operator, depth)
    end = pos
    while end < len(text) and text[end : end + 1] not in (b")", b"("):
        end += 1
    if text[end : end + 1] != b")":
        raise LdapSyntaxError("filter: ) expected")
    return _item(text[pos:end]), end + 1


def _combination(text: bytes, pos: int, operator: bytes, depth: int) -> tuple[bytes, int]:
    parts: list[bytes] = []
    pos = _space(text, pos)
    while text[pos : pos + 1] == b"(":
        part, pos = _filter(text, pos, depth + 1)
        parts.append(part)
        pos = _space(text, pos)
    if text[pos : pos + 1] != b")" or (operator == b"!" and len(parts) != 1):
        raise LdapSyntaxError("filter: ) expected")
    tag = {b"&": 0xA0, b"|": 0xA1, b"!": 0xA2}[operator]
    return tlv(tag, b"".join(parts)), pos + 1


def _space(text: bytes, pos: int) -> int:
    while text[pos : pos + 1].isspace():
        pos += 1
    return pos


def _item(text: bytes) -> bytes:
    """`attr=value`, `attr=*`, `attr=a*b`, `attr>=v`, `attr:rule:=v`."""
    match = _ATTRIBUTE.match(text)
    if match is None:
        raise LdapSyntaxError("filter: = expected")
    name, rule, relation = match[1], match[2], match[3]
    value = text[match.end() :]
    if rule:
        return _extensible(name, rule, value)
    if not name:
        raise LdapSyntaxError("filter: attribute expected")
    if relation in _CHOICES:
        return tlv(_CHOICES[relation], tlv(4, name) + tlv(4, _unescape(value)))
    if value == b"*":
        return tlv(0x87, name)
    if b"*" in value:
        return _substrings(name, value)
    return tlv(0xA3, tlv(4, name) + tlv(4, _unescape(value)))


def _substrings(name: bytes, value: bytes) -> bytes:
    first, *middle, last = value.split(b"*")
    parts = b""
    if first:
        parts += tlv(0x80, _unescape(first))
    parts += b"".join(tlv(0x81, _unescape(part)) for part in middle if part)
    if last:
        parts += tlv(0x82, _unescape(last))
    return tlv(0xA4, tlv(4, name) + tlv(0x30, parts))


def _extensible(name: bytes, rule: bytes, value: bytes) -> bytes:
    words = rule.strip(b":").split(b":") if rule.strip(b":") else []
    dn = bool(words) and words[0].lower() == b"dn"
    words = words[1:] if dn else words
    parts = tlv(0x81, words[0]) if words else b""
    parts += tlv(0x82, name) if name else b""
    return tlv(0xA9, parts + tlv(0x83, _unescape(value)) + (tlv(0x84, b"\xff") if dn else b""))


def _unescape(value: bytes) -> bytes:
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), value)
