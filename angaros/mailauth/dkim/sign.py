"""Making signatures. # RFC 6376 5; RFC 8463; Exim spec 58.2

Laws:
- The header line is laid out first and signed as it stands: what goes out is what was hashed.
- The body is hashed once for all signatures that want the same.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from angaros.mailauth.dkim.canon import RELAXED, header_line
from angaros.mailauth.dkim.keys import ED25519, PrivateKey

WIDTH = 78
"""Octets of a line of the header. # RFC 5322 2.1.1"""


@dataclass(frozen=True, slots=True)
class Request:
    """One signature to make."""

    domain: str
    selector: str
    key: PrivateKey
    digest: str = "sha256"
    canon: str = RELAXED
    header_names: str = ""
    """Colon-separated; `=name` for all that are there, `+name` for these and one more."""
    identity: str = ""
    created: int | None = None
    expires: int | None = None

    @property
    def algorithm(self) -> str:
        """a="""
        return f"{self.key.key_type}-{self.digest}"


def choose_headers(names: str, lines: list[str]) -> tuple[list[str], list[str]]:
    """The names for h=, and the lines to sign: those present from the bottom up, then names that stand for absence.

    # RFC 6376 5.4, 5.4.2; Exim spec 58.2, dkim_sign_headers"""
    wanted: dict[str, list[str]] = {}
    always: dict[str, bool] = {}
    order: list[tuple[str, str]] = []
    for item in names.split(":"):
        name = item.strip()
        kind = name[:1] if name[:1] in ("=", "+") else ""
        name = name[len(kind) :]
        if not name:
            continue
        if kind:
            always[name.lower()] = True
        else:
            wanted.setdefault(name.lower(), []).append(name)
        order.append((kind, name))
    spelled, chosen = [], []
    for line in reversed(lines):
        name = line.partition(":")[0].rstrip(" \t")
        lowered = name.lower()
        if lowered in always:
            pass
        elif wanted.get(lowered):
            wanted[lowered].pop(0)
        else:
            continue
        spelled.append(name)
        chosen.append(line)
    for kind, name in order:
        if kind == "+":
            spelled.append(name)
        elif not kind and wanted.get(name.lower()):
            spelled.append(wanted[name.lower()].pop(0))
    return spelled, chosen


class Layout:
    """Fills lines of a folded header."""

    def __init__(self, start: str) -> None:
        self._parts = [start]
        self._column = len(start)

    def token(self, text: str, *, blank: bool = True) -> None:
        """A piece that is not broken; on a new line when it does not fit. `blank`: a space before it, unless it begins a line."""
        if blank and self._column + 1 + len(text) <= WIDTH:
            self._parts.append(" ")
            self._column += 1
        elif blank or self._column + len(text) > WIDTH:
            self._fold()
        self._parts.append(text)
        self._column += len(text)

    def _fold(self) -> None:
        self._parts.append("\n\t")
        self._column = 1

    def tag(self, name: str, value: str) -> None:
        """`; name=value`; a value that is longer than a line is folded anywhere."""
        self.token(";", blank=False)
        if len(name) + 1 + len(value) < WIDTH:
            self.token(f"{name}={value}")
        else:
            self.token(f"{name}=")
            self.breakable(value)

    def last_tag(self, name: str) -> None:
        """`; name=`, whose value follows. Here a line may end in the space, as Exim's does."""
        self.token(";", blank=False)
        if self._column < WIDTH:
            self._parts.append(" ")
            self._column += 1
            self.token(f"{name}=", blank=False)
        else:
            self.token(f"{name}=")

    def names(self, name: str, values: list[str]) -> None:
        """A tag with a colon-separated value that may be folded around each colon."""
        self.token(";", blank=False)
        self.token(f"{name}={values[0] if values else ''}")
        for value in values[1:]:
            self.token(":", blank=False)
            self.token(value, blank=False)

    def breakable(self, text: str) -> None:
        """A value that may be folded anywhere."""
        while text:
            room = WIDTH - self._column
            if room <= 0:
                self._fold()
                continue
            self._parts.append(text[:room])
            self._column += min(room, len(text))
            text = text[room:]

    def text(self) -> str:
        """All, without line end."""
        return "".join(self._parts)


def signature_line(request: Request, lines: list[str], body_hash: bytes) -> str:
    """The DKIM-Signature header line with LF line ends. `lines`: the header, LF or CRLF line ends."""
    names, chosen = choose_headers(request.header_names, lines)
    layout = Layout("DKIM-Signature: v=1")
    layout.tag("a", request.algorithm)
    layout.tag("q", "dns/txt")
    layout.tag("c", f"{request.canon}/{request.canon}")
    layout.tag("d", request.domain)
    layout.tag("s", request.selector)
    layout.names("h", names)
    layout.tag("bh", base64.b64encode(body_hash).decode("ascii"))
    for name, value in (("i", request.identity), ("t", request.created), ("x", request.expires)):
        if value not in ("", None):
            layout.tag(name, str(value))
    layout.last_tag("b")
    data = "".join(header_line(line, request.canon) for line in chosen)
    data += header_line(layout.text() + ";", request.canon).removesuffix("\r\n")
    signature = request.key.sign(data.encode("latin-1"), request.digest)
    layout.breakable(base64.b64encode(signature).decode("ascii"))
    layout.token(";", blank=False)
    return layout.text() + "\n"


def permitted(request: Request) -> bool:
    """Whether key type and digest go together. # RFC 8463 3"""
    return request.key.key_type != ED25519 or request.digest == "sha256"
