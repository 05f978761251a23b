"""SASLprep: names and passwords in the one form that both sides hash. # RFC 4013"""

from __future__ import annotations

import stringprep
import unicodedata

from angaros.model.text import octets

_FORBIDDEN = (
    stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
    stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8, stringprep.in_table_c9,
)  # fmt: skip


def saslprep(text: str) -> bytes:
    """UTF-8 of the prepared string. ValueError when it may not be used; octets that are no UTF-8 are taken as they are."""
    raw = octets(text)
    if raw.isascii():
        if any(octet < 32 or octet == 127 for octet in raw):
            raise ValueError("control character")
        return raw
    try:
        wide = raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in wide if not stringprep.in_table_b1(c))
    prepared = unicodedata.normalize("NFKC", mapped)
    if any(table(c) for c in prepared for table in _FORBIDDEN):
        raise ValueError("forbidden character")
    if any(map(stringprep.in_table_d1, prepared)) and (
        any(map(stringprep.in_table_d2, prepared))
        or not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1]))
    ):
        raise ValueError("mixed directions")  # RFC 3454 6
    return prepared.encode("utf-8")
