"""Mail text: a `str` whose characters are octets, and its taint.

Laws:
- Text is latin-1: `chr(b)` for octet `b`. Real Unicode exists only at named edges.
- Text from outside is `Tainted`. What is made from tainted text is tainted: use `concat` and `like`
  (f-strings, `"".join` and `%` lose the taint).
- Only the administrator's own data de-taints (a successful lookup, `untaint` at a named place).
- Sinks (file names, commands, queries) call `is_tainted` and refuse with Exim's error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import SupportsIndex


class Tainted(str):
    """Text that came from outside. Made by the hundred for every message, so that `str` itself makes it."""

    __slots__ = ("_own_start", "_quoter")

    _quoter: str
    _own_start: bool

    @property
    def quoter(self) -> str:
        """Name of the lookup type that it was quoted for, "" for none."""
        try:
            return self._quoter
        except AttributeError:
            return ""

    @property
    def own_start(self) -> bool:
        """Whether it begins with text of the administrator's: then a list may name its separator there."""
        try:
            return self._own_start
        except AttributeError:
            return False

    def starting_with_ours(self) -> Tainted:
        """The same, known to begin with the administrator's text."""
        self._own_start = True
        return self

    def __add__(self, other: str) -> Tainted:
        return Tainted(str.__add__(self, other))

    def __radd__(self, other: str) -> Tainted:
        return Tainted(str.__add__(other, self))

    def __getitem__(self, key: SupportsIndex | slice) -> Tainted:
        return Tainted(str.__getitem__(self, key))

    def lower(self) -> Tainted:
        return Tainted(str.lower(self))

    def upper(self) -> Tainted:
        return Tainted(str.upper(self))

    def strip(self, chars: str | None = None, /) -> Tainted:
        return Tainted(str.strip(self, chars))

    def lstrip(self, chars: str | None = None, /) -> Tainted:
        return Tainted(str.lstrip(self, chars))

    def rstrip(self, chars: str | None = None, /) -> Tainted:
        return Tainted(str.rstrip(self, chars))

    def replace(self, old: str, new: str, count: SupportsIndex = -1, /) -> Tainted:
        return Tainted(str.replace(self, old, new, count))

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        a, b, c = str.partition(self, sep)
        return Tainted(a), Tainted(b), Tainted(c)

    def rpartition(self, sep: str, /) -> tuple[str, str, str]:
        a, b, c = str.rpartition(self, sep)
        return Tainted(a), Tainted(b), Tainted(c)

    def removeprefix(self, prefix: str, /) -> Tainted:
        return Tainted(str.removeprefix(self, prefix))

    def removesuffix(self, suffix: str, /) -> Tainted:
        return Tainted(str.removesuffix(self, suffix))

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return [Tainted(part) for part in str.split(self, sep, maxsplit)]


def quoted_for(value: str, quoter: str) -> Tainted:
    """Tainted text that was quoted for a lookup type (or for none, ""), so that it may stand in such a query."""
    made = Tainted(value)
    if quoter:
        made._quoter = quoter
    return made


def taint(value: str) -> Tainted:
    """Mark `value` as coming from outside."""
    return value if type(value) is Tainted else Tainted(value)


def untaint(value: str) -> str:
    """The same octets, trusted. Call it only where the administrator's data has approved them; say why there."""
    return str(value)  # an exact str, even from a subclass


def is_tainted(value: str) -> bool:
    """Whether `value` came from outside."""
    return type(value) is Tainted


def concat(parts: Iterable[str]) -> str:
    """Join parts; tainted if one of them is, and quoted for a lookup type if all tainted ones are."""
    parts = parts if isinstance(parts, list) else list(parts)
    joined = "".join(parts)
    for part in parts:
        if type(part) is Tainted:
            return quoted_for(joined, common_quoter(parts))
    return joined


def common_quoter(parts: Iterable[str]) -> str:
    """The quoting that all tainted parts have gone through; "" when they differ."""
    tainted = [part for part in parts if isinstance(part, Tainted)]
    quoters = {getattr(part, "_quoter", "") for part in [part for part in tainted if part] or tainted}
    return quoters.pop() if len(quoters) == 1 else ""


def like(result: str, *sources: str) -> str:
    """`result`, tainted if one of the values it was made from is."""
    for source in sources:
        if type(source) is Tainted:
            return Tainted(result)
    return result


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def lower(value: str) -> str:
    """ASCII letters in lower case; octets above 127 (UTF-8) stay what they are, unlike with `str.lower`."""
    return value.lower() if value.isascii() else like(value.translate(_LOWER), value)


def octets(value: str) -> bytes:
    """The octets of mail text."""
    return value.encode("latin-1")


def text(value: bytes) -> str:
    """Octets as (trusted) mail text; wrap with `taint` when they came from outside."""
    return value.decode("latin-1")
