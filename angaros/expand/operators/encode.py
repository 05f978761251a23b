"""Operators that encode: digests, base64, hexadecimal, RFC 2047, UTF-8 and IDN, addresses."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from angaros.expand.addresses import extract
from angaros.expand.nodes import fail
from angaros.mime.addresses import simple_address
from angaros.model.text import like

if TYPE_CHECKING:
    from angaros.model.scope import Scope


# --- Digests -----------------------------------------------------------------------------------------------------------


def _digest(algorithm: str, octets: bytes) -> str:
    import hashlib

    return hashlib.new(algorithm, octets).hexdigest()


def do_md5(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (md5)"""
    return _digest("md5", text.encode("latin-1"))


def do_sha1(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (sha1)"""
    return _digest("sha1", text.encode("latin-1")).upper()


def do_sha256(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (sha256)"""
    return _digest("sha256", text.encode("latin-1")).upper()


def do_sha2(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (sha256)"""
    if argument not in ("", "256", "384", "512"):
        raise fail("unrecognised sha2 variant")
    return _digest(f"sha{argument or 256}", text.encode("latin-1")).upper()


def do_sha3(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (sha3)"""
    if argument not in ("", "224", "256", "384", "512"):
        raise fail("unrecognised sha3 variant")
    return _digest(f"sha3_{argument or 256}", text.encode("latin-1")).upper()


# --- base64, hexadecimal -----------------------------------------------------------------------------------------------


def do_base64(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (base64)"""
    return like(binascii.b2a_base64(text.encode("latin-1"), newline=False).decode("ascii"), text)


def decode_base64(text: str) -> bytes | None:
    """The octets, or None when it is not base64. White space does not count. # RFC 4648 4"""
    plain = "".join(str(text).split())
    if len(plain) % 4:
        return None
    try:
        return binascii.a2b_base64(plain.encode("latin-1"), strict_mode=True) if plain else b""
    except (binascii.Error, ValueError):
        return None


def do_base64d(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (base64d)"""
    octets = decode_base64(text)
    if octets is None:
        raise fail(f'string "{text}" is not well-formed for "base64d" operator')
    return like(octets.partition(b"\0")[0].decode("latin-1"), text)


def do_hex2b64(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (hex2b64)"""
    if str(text).strip("0123456789abcdefABCDEF"):
        raise fail(f'"{text}" is not a hex string')
    if len(text) % 2:
        raise fail(f'"{text}" contains an odd number of characters')
    try:
        octets = binascii.unhexlify(str(text))
    except binascii.Error:
        raise fail(f'"{text}" is not a hex string') from None
    return like(binascii.b2a_base64(octets, newline=False).decode("ascii"), text)


# --- RFC 2047, character sets ------------------------------------------------------------------------------------------


def do_rfc2047(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (rfc2047)"""
    from angaros.mime.encoded import encode_2047

    return like(encode_2047(text, scope.services.config.main.headers_charset or "UTF-8"), text)


def do_rfc2047d(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (rfc2047d)"""
    from angaros.mime.encoded import CharsetError, decode_2047

    main = scope.services.config.main
    try:
        return decode_2047(text, main.headers_charset or "UTF-8", check_length=main.check_rfc2047_length)
    except CharsetError as error:
        raise fail(str(error)) from None


def do_from_utf8(text: str, argument: str, scope: Scope) -> str:
    """To ISO 8859-1, `_` for what is not in it. # Exim spec 11.6 (from_utf8)"""
    if text.isascii():
        return text
    octets = text.encode("latin-1")
    parts: list[str] = []
    pos, end = 0, len(octets)
    while pos < end:
        first = octets[pos]
        more = (
            0 if first < 0xC0 else 1 if first < 0xE0 else 2 if first < 0xF0 else 3 if first < 0xF8 else 4 if first < 0xFC else 5
        )
        value = first & (0x3F >> more) if more else first
        for octet in octets[pos + 1 : pos + 1 + more]:  # Exim takes what follows for the rest of the character, whatever it is
            value = value << 6 | octet & 0x3F
        parts.append(chr(value) if value < 0x100 else "_")
        pos += 1 + more
    return like("".join(parts), text)


def do_utf8clean(text: str, argument: str, scope: Scope) -> str:
    """A `?` for each octet sequence that is not UTF-8. # Exim spec 11.6 (utf8clean)"""
    octets = text.encode("latin-1")
    parts: list[bytes] = []
    pos = 0
    while pos < len(octets):
        length = _sequence_length(octets[pos])
        chunk = octets[pos : pos + max(1, length)]
        try:
            if length:
                chunk.decode("utf-8")
                parts.append(chunk)
            else:
                parts.append(b"?")
        except UnicodeDecodeError:
            parts.append(b"?")
            chunk = _broken_part(chunk)
        pos += len(chunk)
    return like(b"".join(parts).decode("latin-1"), text)


def _sequence_length(first: int) -> int:
    """Octets of the sequence that this one begins; 0 when it begins none."""
    if first < 0x80:
        return 1
    if 0xC2 <= first <= 0xDF:
        return 2
    if 0xE0 <= first <= 0xEF:
        return 3
    return 4 if 0xF0 <= first <= 0xF7 else 0


def _broken_part(chunk: bytes) -> bytes:
    """The first octet and the continuation octets that follow it."""
    length = 1
    while length < len(chunk) and 0x80 <= chunk[length] <= 0xBF:
        length += 1
    return chunk[:length]


# --- IDN ---------------------------------------------------------------------------------------------------------------


def _to_alabel(text: str) -> str:
    """One or more labels in ASCII. # RFC 5891 4"""
    from angaros.expand.operators.text import escaped

    if text.isascii():
        return text
    try:
        wide = text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise fail(f"error converting utf8 ({escaped(text, False)}) to alabel: string encoding error") from None
    import idna

    try:
        labels = [_alabel(label, idna) for label in wide.split(".")]
    except (idna.IDNAError, UnicodeError) as error:
        raise fail(f"error converting utf8 ({escaped(text, False)}) to alabel: {error}") from None
    return ".".join(labels)


def _alabel(label: str, idna: object) -> str:
    encode = idna.encode  # type: ignore[attr-defined]
    return label if label.isascii() else str(encode(label, uts46=True, transitional=False).decode("ascii"))


def do_utf8_domain_to_alabel(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 60.1 (utf8_domain_to_alabel)"""
    return like(_to_alabel(str(text)), text)


def do_utf8_domain_from_alabel(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 60.1 (utf8_domain_from_alabel)"""
    labels: list[str] = []
    for label in str(text).removesuffix(".").split("."):  # Exim's library takes the root's dot off
        labels.append(_from_punycode(label) if label.lower().startswith("xn--") else label)
    return like(".".join(labels), text)


def _from_punycode(label: str) -> str:
    from angaros.expand.operators.text import escaped

    try:
        wide = label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError):
        raise fail(f"error converting alabel ({escaped(label, False)}) to utf8: string contains invalid punycode data") from None
    return wide.encode("utf-8", "replace").decode("latin-1")


def do_utf8_localpart_to_alabel(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 60.1 (utf8_localpart_to_alabel)"""
    plain = str(text)
    if plain.isascii():
        return text
    from angaros.expand.operators.text import escaped

    try:
        wide = plain.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise fail(f"error converting utf8 ({escaped(plain, False)}) to alabel: string encoding error") from None
    return like("xn--" + wide.encode("punycode").decode("ascii"), text)


def do_utf8_localpart_from_alabel(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 60.1 (utf8_localpart_from_alabel)"""
    plain = str(text)
    if not plain.lower().startswith("xn--"):
        from angaros.expand.operators.text import escaped

        raise fail(f"error converting alabel ({escaped(plain, False)}) to utf8: bad alabel prefix")
    return like(_from_punycode(plain), text)


# --- Addresses ---------------------------------------------------------------------------------------------------------


def do_address(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (address)"""
    return extract(text, scope).address


def do_domain(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (domain)"""
    simple = simple_address(text)
    if simple is not None:
        return simple[1]
    found = extract(text, scope)
    return found.address[found.domain :] if found.domain else ""


def do_local_part(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (local_part)"""
    simple = simple_address(text)
    if simple is not None:
        return simple[0]
    found = extract(text, scope)
    return found.address[: found.domain - 1] if found.domain else found.address


def do_addresses(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (addresses)"""
    from angaros.expand.items.lists import join_items
    from angaros.mime.addresses import split_addresses

    separator, rest = ":", text.lstrip(" \t\n")
    if rest.startswith(">"):
        separator, rest = str(rest[1:2]), rest[2:]
        if not separator:
            raise fail("output separator missing in expanding ${addresses:>}")
    found = [extract(item, scope) for item in split_addresses(rest)]
    return like(join_items([item.address for item in found if item.address], separator), text)
