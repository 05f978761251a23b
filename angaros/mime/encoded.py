"""RFC 2047 encoded words, and conversion between character sets.

Octets in, octets out (as mail text). Python's codecs first, then libc's `iconv` for what they do not know; octets that cannot be
converted stay as they are, as Exim leaves them.
"""

from __future__ import annotations

import binascii
import codecs
import ctypes
import re

from angaros.model.text import like

MAX_ENCODED_WORD = 75
"""RFC 2047 2: an encoded word is at most this long."""

_WORD = re.compile(r"=\?([^?\s\x00-\x20]+)\?([QqBb])\?(.*?)\?=", re.S)
_SPECIALS = frozenset('?=()<>@,;:\\".[]_')
_GAP = re.compile(r"[ \t\r\n]*")
_QUOTED_BAD = re.compile(r"=(?![0-9A-Fa-f]{2})|[^!-~]")
_HEX = re.compile(r"=([0-9A-Fa-f]{2})")


class CharsetError(ValueError):
    """A character set that nobody knows; `str()` is Exim's text."""


def decode_2047(text: str, charset: str = "", *, check_length: bool = True, zero: str = "?") -> str:
    """Decode encoded words and translate them to `charset` ("" : leave the octets). # RFC 2047 6.2

    White space between adjacent encoded words goes; what is not decodable stays. `zero` stands for NUL octets.
    Raises `CharsetError` for an unknown character set.
    """
    if "=?" not in text:
        return text
    plain = str(text)
    out: list[str] = []
    pos = 0
    adjacent = False
    while (match := _find_word(plain, pos, check_length)) is not None:
        word, octets = match
        between = plain[pos : word.start()]
        if not (adjacent and _GAP.fullmatch(between)):
            out.append(between)
        if charset:
            octets = convert_charset(octets, word[1].partition("*")[0], charset)
        out.append(octets.decode("latin-1").replace("\0", zero))
        pos = word.end()
        adjacent = True
    out.append(plain[pos:])
    return like("".join(out), text)


def _find_word(text: str, pos: int, check_length: bool) -> tuple[re.Match[str], bytes] | None:
    """The next valid encoded word from `pos` with its octets."""
    while (start := text.find("=?", pos)) >= 0:
        match = _WORD.match(text, start)
        if match is None:
            pos = start + 2
            continue
        octets = None
        if not check_length or len(match[0]) <= MAX_ENCODED_WORD:
            octets = _decode_q(match[3]) if match[2] in "Qq" else _decode_b(match[3])
        if octets is not None:
            return match, octets
        pos = start + 2
    return None


def _decode_q(text: str) -> bytes | None:
    """The Q encoding. # RFC 2047 4.2"""
    if _QUOTED_BAD.search(text):
        return None
    return _HEX.sub(lambda m: chr(int(m[1], 16)), text.replace("_", " ")).encode("latin-1")


def _decode_b(text: str) -> bytes | None:
    """Base64; white space inside is tolerated. # RFC 2047 4.1"""
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True) if text else b""
    except (binascii.Error, ValueError):
        return None


def needs_2047(text: str) -> bool:
    """Whether `${rfc2047:` would encode this text."""
    return any(c in _SPECIALS or not " " <= c <= "~" for c in text)


def encode_2047(text: str, charset: str, *, fold: bool = False) -> str:
    """Text as Q-encoded words in `charset`, unchanged when it is printable and has no specials. # Exim spec 11.5, `${rfc2047:`

    `fold`: words are separated by newline and space, else by a space.
    """
    if not needs_2047(text):
        return text
    prefix = f"=?{charset}?Q?"
    separator = "?=\n " if fold else "?= "
    out = [prefix]
    length = len(prefix)
    pending = 0
    for char in str(text):
        if char == " ":
            unit = "_"
        elif char in _SPECIALS or not "!" <= char <= "~":
            unit = f"={ord(char):02X}"
        else:
            unit = char
        if length > MAX_ENCODED_WORD - 8:  # room for "?=" and for what is pending
            out.append(separator + prefix)
            length = len(prefix) + (len(unit) == 3)
            pending = 0
        out.append(unit)
        length += pending
        pending = 0
        if len(unit) == 1:
            length += 1
        else:
            pending = 3
    out.append("?=")
    return like("".join(out), text)


# --- Character sets ------------------------------------------------------------------------------------------------------

_NOT_CHARSETS = frozenset(("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"))


def _python_codec(name: str) -> codecs.CodecInfo | None:
    """Python's codec of that name if it is a character set."""
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    if not getattr(info, "_is_text_encoding", True) or info.name in _NOT_CHARSETS:
        return None
    return info


def convert_charset(octets: bytes, source: str, target: str) -> bytes:
    """`octets` from one character set to another; raises `CharsetError` when one of them is unknown."""
    if source.lower() == target.lower():
        return octets
    codec_in, codec_out = _python_codec(source), _python_codec(target)
    if codec_in is not None and codec_out is not None:
        if codec_in.name == codec_out.name:
            return octets
        try:
            return codec_out.encode(codec_in.decode(octets, "strict")[0], "strict")[0]
        except UnicodeError:
            pass
    return _iconv(octets, source, target)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.iconv_open.restype = ctypes.c_void_p
    libc.iconv_open.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    libc.iconv.restype = ctypes.c_size_t
    libc.iconv.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    libc.iconv_close.argtypes = [ctypes.c_void_p]
    return libc


def _iconv(octets: bytes, source: str, target: str) -> bytes:
    """Through libc; an octet that does not convert is copied."""
    libc = _libc()
    handle = libc.iconv_open(target.encode("latin-1"), source.encode("latin-1"))
    if handle is None or handle == ctypes.c_void_p(-1).value:
        raise CharsetError(f'iconv_open("{target}", "{source}") failed: Invalid argument (maybe unsupported conversion)')
    try:
        data = ctypes.create_string_buffer(octets, len(octets) + 1)
        room = ctypes.create_string_buffer(len(octets) * 8 + 32)
        in_at, in_left = ctypes.c_void_p(ctypes.addressof(data)), ctypes.c_size_t(len(octets))
        out_at, out_left = ctypes.c_void_p(ctypes.addressof(room)), ctypes.c_size_t(len(room))
        args = [ctypes.byref(v) for v in (in_at, in_left, out_at, out_left)]
        while in_left.value and out_left.value:
            if libc.iconv(handle, *args) != ctypes.c_size_t(-1).value:
                break
            if not in_left.value or not out_left.value:
                break
            ctypes.memmove(out_at.value, in_at.value, 1)  # type: ignore[arg-type]
            in_at.value, out_at.value = in_at.value + 1, out_at.value + 1  # type: ignore[operator]
            in_left.value, out_left.value = in_left.value - 1, out_left.value - 1
        libc.iconv(handle, None, None, args[2], args[3])
        return room.raw[: len(room) - out_left.value]
    finally:
        libc.iconv_close(handle)
