"""encoded-character: `${hex:...}` and `${unicode:...}` in strings. # RFC 5228 2.4.2.4"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from angaros.filters.sieve.lexer import Lexer

_BLANK = r"[ \t\r\n]"
_ENCODED = re.compile(
    rf"\$\{{(?:(hex):{_BLANK}*([0-9a-f]{{1,2}}(?:{_BLANK}+[0-9a-f]{{1,2}})*)|(unicode):{_BLANK}*([0-9a-f]+(?:{_BLANK}+[0-9a-f]+)*))"
    rf"{_BLANK}*\}}",
    re.IGNORECASE,
)
_LAST = 0x10FFFF


def decode_characters(text: str, lexer: Lexer) -> str:
    """Octets and characters for their names; what is not well-formed stays. Raises SieveError."""

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return "".join(chr(int(pair, 16)) for pair in found[2].split())
        return "".join(_character(int(code, 16), lexer) for code in found[4].split())

    return _ENCODED.sub(one, text)


def _character(code: int, lexer: Lexer) -> str:
    """One character as UTF-8 octets."""
    if code > _LAST or 0xD800 <= code <= 0xDFFF:
        raise lexer.fail("unicode character out of range")
    return chr(code).encode("utf-8").decode("latin-1")
