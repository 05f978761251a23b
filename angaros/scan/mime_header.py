"""Header fields of a MIME part, read as leniently as Exim does. Exim spec 45.4; RFC 2045 5.1, RFC 2231."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from angaros.mime.encoded import convert_charset, decode_2047

MAX_HEADERS = 1000
"""Lines of one part's header that are looked at."""
MAX_PARAMETERS = 500


_COMMENT = re.compile(r"\([^()]*\)")


@dataclass(slots=True)
class PartHeader:
    """What the `$mime_` variables show."""

    content_type: str = ""
    disposition: str = ""
    encoding: str = ""
    content_id: str = ""
    description: str = ""
    charset: str = ""
    boundary: str = ""
    filename: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def is_multipart(self) -> bool:
        """Main type `multipart`."""
        return self.content_type.startswith("multipart/")


_PLAIN = {
    "content-type": "content_type",
    "content-disposition": "disposition",
    "content-transfer-encoding": "encoding",
    "content-id": "content_id",
    "content-description": "description",
}


def read_header(text: str, target_charset: str) -> PartHeader:
    """The fields of interest in the header lines `text`."""
    header = PartHeader()
    for name, value in _fields(text):
        attribute = _PLAIN.get(name)
        if attribute is None:
            continue
        main, rest = _split_main(value)
        setattr(header, attribute, main)
        if name in ("content-type", "content-disposition"):
            _take_parameters(header, parameters(rest), target_charset)
    return header


def _fields(text: str) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    for line in text.split("\n"):
        if line[:1] in (" ", "\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {line.strip()}")
        elif ":" in line:
            name, _, value = line.partition(":")
            fields.append((name.strip().lower(), value.strip()))
        if len(fields) > MAX_HEADERS:
            break
    return fields


def _split_main(value: str) -> tuple[str, str]:
    """The value before its parameters, without comments and blanks, in lower case; and the parameters."""
    if "(" in value.partition(";")[0]:
        value = _COMMENT.sub("", value, count=MAX_PARAMETERS)
    main, _, rest = value.partition(";")
    return "".join(main.split()).lower(), rest


def parameters(text: str) -> list[tuple[str, str]]:
    """`name=value; ...`: quotes toggle anywhere, a semicolon outside quotes ends a value. Names are lower case."""
    found: list[tuple[str, str]] = []
    text += ";"  # in an open quote it belongs to the value, as for Exim
    position = 0
    while position < len(text) and len(found) < MAX_PARAMETERS:
        end = text.find(";", position)
        end = len(text) if end < 0 else end
        equals = text.find("=", position)
        if equals < 0 or end < equals:
            position = end + 1
            continue
        name = text[position:equals].strip().lower()
        value, position = _value(text, equals + 1)
        found.append((name, value))
    return found


def _value(text: str, position: int) -> tuple[str, int]:
    out: list[str] = []
    quoted = False
    while position < len(text):
        char = text[position]
        position += 1
        if char == '"':
            quoted = not quoted
        elif char == ";" and not quoted:
            break
        elif char == "\\" and quoted and position < len(text):
            out.append(text[position])
            position += 1
        else:
            out.append(char)
    return "".join(out).strip(), position


def _take_parameters(header: PartHeader, found: list[tuple[str, str]], target: str) -> None:
    pieces: dict[str, list[tuple[int, str, bool]]] = {}
    for raw, value in found:
        name, _, section = raw.partition("*")
        if name == "charset":
            header.charset = value
        elif name == "boundary":
            header.boundary = value
        elif name in ("name", "filename"):
            encoded = raw.endswith("*")
            number = section.rstrip("*")
            if number.isdigit():
                pieces.setdefault(name, []).append((int(number), value, encoded))
            elif value:
                header.filename = _decode_extended(value, target) if encoded else decode_2047(value, target)
    for parts in pieces.values():
        header.filename = _join(sorted(parts), target) or header.filename


def _join(parts: list[tuple[int, str, bool]], target: str) -> str:
    """Continuations. RFC 2231 3, 4.1: only the first piece names the charset."""
    charset = ""
    data = b""
    for number, value, encoded in parts:
        if encoded and number == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        data += unquote_to_bytes(value.encode("latin-1")) if encoded else value.encode("latin-1")
    return _converted(data, charset, target)


def _decode_extended(value: str, target: str) -> str:
    """`charset'language'percent-encoded`. RFC 2231 4."""
    charset = ""
    if value.count("'") >= 2:
        charset, _, value = value.split("'", 2)
    return _converted(unquote_to_bytes(value.encode("latin-1")), charset, target)


def _converted(data: bytes, charset: str, target: str) -> str:
    if not charset or not target:
        return data.decode("latin-1")
    try:
        return convert_charset(data, charset, target).decode("latin-1")
    except (LookupError, ValueError):
        return data.decode("latin-1")
