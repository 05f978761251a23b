"""Signed senders (BATV): `${prvs` and `${prvscheck`. # Exim spec 44.53

`prvs=KDDDHHHHHH=user@domain`: K the key's number, DDD the day of expiry modulo 1000, HHHHHH the first six hexadecimal digits of
the HMAC-SHA1 of `KDDDuser@domain`. # draft-levine-smtp-batv 3
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from angaros.expand.nodes import Call, Node, fail, first_skip_error
from angaros.expand.parser import Parser
from angaros.model.text import like

if TYPE_CHECKING:
    from angaros.model.scope import Scope

LIFETIME = 7
"""Days that a signature is good for."""
DAY = 86400
_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdefABCDEF")


def day_stamp(now: float, offset: int) -> int:
    """The day, `offset` days from now, modulo 1000."""
    return int(now // DAY + offset) % 1000


def digest(address: str, secret: str, key: str, day: str) -> str:
    """Six hexadecimal digits."""
    text = f"{key}{day}{address}".encode("latin-1")
    return hmac.new(secret.encode("latin-1"), text, "sha1").hexdigest()[:6]


def do_prvs(arguments: list[str], scope: Scope) -> str:
    """# Exim spec 11.5 (prvs)"""
    address, secret = arguments[:2]
    at = address.rfind("@")
    if at <= 0 or at == len(address) - 1:
        raise fail("prvs first argument must be a qualified email address")
    key = "0"
    if len(arguments) > 2:
        key = str(arguments[2])
        if len(key) != 1 or key not in _DIGITS:
            raise fail("prvs third argument must be a single digit")
    day = f"{day_stamp(scope.services.clock.now(), LIFETIME):03d}"
    return like(f"prvs={key}{day}{digest(str(address), secret, key, day)}={address}", address)


def parse_prvs(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (prvs)"""
    arguments = p.arguments(name, 2, 3)
    return p.unfinished(arguments) if p.broken else Call(do_prvs, arguments)


def split_signed(text: str) -> tuple[str, str, str, str] | None:
    """Key, day, digest and address of a signed address; None when it is not one."""
    plain = str(text)
    tag, _, address = plain[5:].partition("=")
    if plain[:5].lower() != "prvs=" or len(tag) != 10:
        return None
    key, day, digits = tag[0], tag[1:4], tag[4:]
    local_part, at, domain = address.rpartition("@")
    if not (at and local_part and domain and set(key + day) <= _DIGITS and set(digits) <= _HEX):
        return None
    return key, day, digits, like(address, text)


class PrvsCheck(Node):
    """`${prvscheck{address}{secret}{result}}`: the second and third arguments see what the first has in it."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__()
        self.nodes = nodes
        self.skip_error = first_skip_error(nodes)

    def eval(self, scope: Scope) -> str:
        signed = split_signed(self.nodes[0].eval(scope))
        if signed is None:
            for node in self.nodes[1:]:
                if node.skip_error is not None:
                    raise fail(node.skip_error)
            return ""
        key, day, digits, address = signed
        local = scope.local
        local["prvscheck_address"], local["prvscheck_keynum"] = address, key
        try:
            secret = self.nodes[1].eval(scope)
            good = hmac.compare_digest(digest(str(address), secret, key, day), digits.lower())
            good = good and (int(day) - day_stamp(scope.services.clock.now(), 0)) % 1000 <= LIFETIME
            scope.state["prvscheck_result"] = "1" if good else ""
            result = self.nodes[2].eval(scope) if len(self.nodes) > 2 else ""
            return result or address
        finally:
            del local["prvscheck_address"], local["prvscheck_keynum"]


def parse_prvscheck(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (prvscheck)"""
    first = p.groups(name, 1, 1)
    if p.broken:
        return p.unfinished(first)
    rest = p.arguments(name, 1, 2)
    return p.unfinished([*first, *rest]) if p.broken else PrvsCheck([*first, *rest])
