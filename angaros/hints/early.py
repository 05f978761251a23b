"""Records about hosts that can be spoken to early: in the `misc` hints, as Exim has them."""

from __future__ import annotations

DATABASE = "misc"
KEYWORD = "PIPECONNECT"

_BITS = {
    "STARTTLS": 0x0001, "IGNOREQUOTA": 0x0002, "PRDR": 0x0004, "SMTPUTF8": 0x0008, "DSN": 0x0010, "PIPELINING": 0x0020,
    "SIZE": 0x0040, "CHUNKING": 0x0080, KEYWORD: 0x0100,
}  # fmt: skip
"""Short forms of extensions, for dumps."""


def early_key(address: str, port: int) -> str:
    """`1.2.3.4:25.EHLO`."""
    return f"{address}:{port}.EHLO"


def _bits(text: str) -> str:
    words = {line[4:].partition(" ")[0].upper() for line in text.split("\n")[1:]}
    return f"{sum(bit for word, bit in _BITS.items() if word in words):04x}/{1 if 'AUTH' in words else 0:04x}"


def _limits(record: dict[str, object]) -> str:
    text = str(record.get("crypted") or record.get("clear") or "")
    found = next((line[4:].upper() for line in text.split("\n") if line[4:].upper().startswith("LIMITS ")), "")
    values = dict(word.partition("=")[::2] for word in found.split()[1:])
    return "/".join(f"{int(values.get(name) or 0):05d}" for name in ("MAILMAX", "RCPTMAX", "RCPTDOMAINMAX"))


def describe(key: str, record: dict[str, object]) -> str:
    """A line for `exim_dumpdb`."""
    clear, crypted = (_bits(str(record.get(phase, ""))) for phase in ("clear", "crypted"))
    return f"helo/ehlo {key.removesuffix('.EHLO')} clr {clear} cry {crypted} lim {_limits(record)}"
