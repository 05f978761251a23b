"""What vacation and notify write: header text and MIME. # RFC 2045, RFC 2047"""

from __future__ import annotations

from angaros.mime.encoded import encode_2047
from angaros.model.text import like

MAX_LINE = 73
"""Octets of a quoted-printable line before the soft line break; RFC 2045 6.7 allows 76 with it."""

UTF8_TEXT = 'MIME-Version: 1.0\nContent-Type: text/plain;\n\tcharset="utf-8"\nContent-Transfer-Encoding: quoted-printable'
"""Scripts are in UTF-8, so is what they say."""


def header_text(text: str) -> str:
    """A string as the value of a header field."""
    return encode_2047(" ".join(text.split()), "utf-8")


def quoted_printable(text: str) -> str:
    """# RFC 2045 6.7"""
    return like("\n".join(_line(line) for line in str(text).replace("\r\n", "\n").split("\n")), text)


def _line(line: str) -> str:
    units = [char if (" " <= char <= "~" and char != "=") or char == "\t" else f"={ord(char):02X}" for char in line]
    if line[-1:] in (" ", "\t"):
        units[-1] = f"={ord(line[-1]):02X}"
    out, length = [], 0
    for unit in units:
        if length + len(unit) > MAX_LINE:
            out.append("=\n")
            length = 0
        out.append(unit)
        length += len(unit)
    return "".join(out)
