"""Sender Rewriting Scheme: `${srs_encode` and the condition `inbound_srs`. # Exim spec 58.5

`SRS0=HHHH=TT=domain=local_part@new_domain`: HHHH are the first four hexadecimal digits of the HMAC-MD5 of the original address
in lower case, TT the day in base 32, modulo 1024.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from angaros.expand.addresses import extract
from angaros.expand.conditions.compare import ascii_lower
from angaros.expand.nodes import BrokenCond, Call, Cond, Node, fail, first_skip_error
from angaros.expand.parser import Parser
from angaros.model.text import like, untaint

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_AGE = 10
"""Days that a rewritten address is good for."""
DAY = 86400
_PERIOD = 1024
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def _digest(secret: str, address: str) -> str:
    return hmac.new(secret.encode("latin-1"), ascii_lower(str(address)).encode("latin-1"), "md5").hexdigest()[:4]


def _today(scope: Scope) -> int:
    return int(scope.services.clock.now() // DAY) % _PERIOD


def do_srs_encode(arguments: list[str], scope: Scope) -> str:
    """The rewritten sender; "" for the empty one."""
    secret, path, domain = arguments
    if not path:
        return ""
    found = extract(path, scope)
    if not found.address:
        null = path.lstrip().startswith("<>")
        raise fail("missing or malformed local part" if null or not found.error else found.error)
    local_part, at, host = found.address.rpartition("@")
    if not at:
        local_part, host = found.address, ""
    day = _today(scope)
    coded = f"SRS0={_digest(secret, found.address)}={_BASE32[day >> 5]}{_BASE32[day & 31]}={host}="
    if local_part.startswith('"') and local_part.endswith('"') and len(local_part) > 1:
        coded = f'"{coded}{local_part[1:-1]}"'
    else:
        coded += local_part
    return like(f"{coded}@{domain}", path, domain)


def parse_srs_encode(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (srs_encode)"""
    arguments = p.arguments(name, 3, 3)
    return p.unfinished(arguments) if p.broken else Call(do_srs_encode, arguments)


def decode(local_part: str, secret: str, today: int) -> str | None:
    """The original address, or None when the local part is no valid SRS one. Without a secret only its form is checked."""
    text = str(local_part)
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    if quoted:
        text = text[1:-1]
    fields = text.split("=", 4)
    if len(fields) != 5 or ascii_lower(fields[0]) != "srs0" or not fields[1]:
        return None
    _, digest, stamp, host, original = fields
    days = [_BASE32.find(ch) for ch in ascii_lower(stamp)]
    if len(days) != 2 or -1 in days:
        return None
    if quoted or any(ch in ' "(),:;<>@[\\]' for ch in original):
        original = f'"{original}"'
    address = f"{original}@{host}"
    if secret:
        if (today - (days[0] << 5 | days[1])) % _PERIOD > MAX_AGE:
            return None
        if not hmac.compare_digest(_digest(secret, address), digest):
            return None
    return address


class InboundSrs(Cond):
    """`inbound_srs{local part}{secret}`: sets `$srs_recipient`."""

    __slots__ = ("arguments",)

    def __init__(self, arguments: list[Node]) -> None:
        super().__init__()
        self.arguments = arguments
        self.skip_error = first_skip_error(arguments)

    def eval(self, scope: Scope) -> bool:
        local_part, secret = [node.eval(scope) for node in self.arguments]
        address = decode(local_part, secret, _today(scope))
        if address is None:
            return False
        # With a secret we have proved that we wrote the address ourselves.
        scope.state["srs_recipient"] = untaint(address) if secret else like(address, local_part)
        return True


def parse_inbound_srs(p: Parser, name: str) -> Cond:
    """# Exim spec 11.7 (inbound_srs)"""
    nodes: list[Node] = []
    for _ in range(2):
        if p.skip_space() != "{":
            return BrokenCond([*nodes, p.fail_curly(f"too few arguments or bracketing error for {name}")])
        nodes.append(p.group())
        if p.broken:
            return BrokenCond(nodes)
    return InboundSrs(nodes)
