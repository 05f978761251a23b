"""Adding an ARC set. # RFC 8617 5.1; Exim's experimental specification, ARC"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from angaros.config.features import DKIM_SIGN_HEADERS
from angaros.mailauth.arc.chain import MAX_INSTANCES, Chain
from angaros.mailauth.arc.verify import FAIL, NONE, PASS
from angaros.mailauth.dkim.canon import RELAXED, SIMPLE, header_line
from angaros.mailauth.dkim.keys import PrivateKey

DIGEST, BODY_CANON = "sha256", SIMPLE
"""# RFC 8617 4.1: the algorithms of DKIM; `c=relaxed` is relaxed/simple"""

_SIGNED = frozenset(name.lower() for name in DKIM_SIGN_HEADERS.split(":")) | {"dkim-signature"}
"""Header lines that the message signature covers, each as often as it is there."""
_BLOCK = 74
"""Characters of base64 in a line."""
_WIDTH = 78
_ARC_RESULT = re.compile(r"[;\s]arc=(none|pass|fail)\b", re.ASCII | re.IGNORECASE)


class SealError(ValueError):
    """No set can be made. `str()` says why."""


@dataclass(frozen=True, slots=True)
class SealRequest:
    """What the transport wants."""

    domain: str
    """Also the authserv-id whose results are used."""
    selector: str
    key: PrivateKey
    created: int | None = None
    expires: int | None = None

    @property
    def algorithm(self) -> str:
        """a="""
        return f"{self.key.key_type}-{DIGEST}"


def own_results(lines: list[str], authserv_id: str) -> str:
    """The value of the first Authentication-Results line of this authserv-id; "" for none."""
    for line in lines:
        name, _, value = line.partition(":")
        if name.rstrip(" \t").lower() == "authentication-results":
            found = value.partition(";")[0].split()
            if found and found[0].lower() == authserv_id.lower():
                return value
    return ""


def seal(request: SealRequest, lines: list[str], body_hash: bytes, remote_address: str) -> str:
    """The new set: AS, AAR, AMS lines with LF line ends; "" for a chain that is over. Raises SealError."""
    results = own_results(lines, request.domain)
    if not results:
        raise SealError("no Authentication-Results header for signing")
    status = _ARC_RESULT.search(results)
    if status is None:
        raise SealError("no ARC result in the Authentication-Results header")
    chain = Chain(lines)
    instance = chain.highest + 1
    if chain.problem or instance > MAX_INSTANCES:
        raise SealError("chain too long or broken")
    if chain.sets and chain.sets[instance - 1].chain_value == FAIL:
        return ""
    value = status[1].lower()
    if (value == PASS and instance == 1) or (value == NONE and instance > 1):
        value = FAIL if instance > 1 else NONE
    results_line = _results_line(instance, results, remote_address)
    message_line = _message_line(request, instance, lines, body_hash)
    seal_line = _seal_line(request, instance, value, chain, (results_line, message_line))
    return seal_line + results_line + message_line


def _results_line(instance: int, results: str, remote_address: str) -> str:
    """The AAR: the local results, with the address that the message came from. # RFC 8617 4.1.1, 10.2"""
    identity, semicolon, rest = results.replace("\r\n", "\n").rstrip("\n").partition(";")
    address = f" smtp.remote-ip={remote_address};" if remote_address and semicolon else ""
    return f"ARC-Authentication-Results: i={instance};{identity}{semicolon}{address}{rest}\n"


def _message_line(request: SealRequest, instance: int, lines: list[str], body_hash: bytes) -> str:
    """The AMS. # RFC 8617 4.1.2, 5.1.2"""
    chosen = [line for line in reversed(lines) if line.partition(":")[0].rstrip(" \t").lower() in _SIGNED]
    names = [line.partition(":")[0].rstrip(" \t") for line in chosen]
    start = (
        f"ARC-Message-Signature: i={instance}; a={request.algorithm}; c={RELAXED}; d={request.domain}; s={request.selector};\n"
        f"{_times(request.created, request.expires)}"
        f"\tbh={base64.b64encode(body_hash).decode('ascii')};\n"
        f"\th={_folded_names(names)};\n\tb="
    )
    data = "".join(header_line(line, RELAXED) for line in chosen) + _unfinished(start)
    return start + _signature(request, data)


def _seal_line(request: SealRequest, instance: int, value: str, chain: Chain, new: tuple[str, str]) -> str:
    """The AS: over all sets, or over its own alone when the chain failed. # RFC 8617 5.1.1"""
    start = f"ARC-Seal: i={instance}; cv={value}; a={request.algorithm}; d={request.domain}; s={request.selector};\n"
    start += f"{_times(request.created, None)}\t b="
    data = []
    if value != FAIL:
        for one in chain.in_order():
            if one.results is None or one.message is None or one.seal is None:
                raise SealError("incomplete set in the chain")
            data += [one.results, one.message.line, one.seal.line]
    data += new
    return start + _signature(request, "".join(header_line(line, RELAXED) for line in data) + _unfinished(start))


def _unfinished(start: str) -> str:
    """A header line whose signature has not been made, as it is signed."""
    return header_line(start + ";\n", RELAXED).removesuffix("\r\n")


def _signature(request: SealRequest, data: str) -> str:
    text = base64.b64encode(request.key.sign(data.encode("latin-1"), DIGEST)).decode("ascii")
    blocks = [text[at : at + _BLOCK] for at in range(0, len(text), _BLOCK)]
    return "\n\t  ".join(blocks) + ";\n"


def _times(created: int | None, expires: int | None) -> str:
    parts = [f"{name}={value};" for name, value in (("t", created), ("x", expires)) if value is not None]
    return f"\t{' '.join(parts)}\n" if parts else ""


def _folded_names(names: list[str]) -> str:
    out: list[str] = []
    column = 3
    for number, name in enumerate(names):
        piece = name + (":" if number < len(names) - 1 else "")
        if column + len(piece) > _WIDTH and out:
            out.append("\n\t  ")
            column = 3
        out.append(piece)
        column += len(piece)
    return "".join(out)
