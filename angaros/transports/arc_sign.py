"""`arc_sign` of the smtp transport. # Exim's experimental specification, ARC

`arc_sign = domain : selector : private key [ : options ]`; options: `timestamps`, `expire[=[+]seconds]`, with commas between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.lists.parse import split_list
from angaros.mailauth.dkim.keys import PrivateKeyError
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.transports.dkim_sign import load_key, without_key

if TYPE_CHECKING:
    from angaros.mailauth.arc.sign import SealRequest
    from angaros.model.scope import Scope

MONTH = 30 * 86400
"""Seconds after which a seal expires when `expire` has no value."""

_EXPIRE = re.compile(r"expire(?:=(\+?)(\d{1,11}))?\Z", re.ASCII)


@dataclass(slots=True)
class Sealing:
    """The option for one copy."""

    options: Any
    scope: Scope

    def request(self) -> SealRequest | None:
        """What is to be sealed; None when nothing is, or when it cannot be (which is logged)."""
        scope = self.scope
        try:
            text = scope.expand(self.options.arc_sign)
        except ForcedFailure:
            return None
        except ExpansionError as error:
            scope.log(f"failed to expand arc_sign: {without_key(str(error), self.options.arc_sign)}", panic=True)
            return None
        items = split_list(text)
        if not items:
            return None
        if len(items) < 3 or not all(items[:3]):
            missing = ("identity", "selector", "private key")[
                next((n for n, item in enumerate(items[:3]) if not item), len(items))
            ]
            scope.log(f"ARC: signing failed: no {missing} in arc_sign", panic=True)
            return None
        return self._request(items)

    def _request(self, items: list[str]) -> SealRequest | None:
        from angaros.mailauth.arc.sign import SealRequest

        try:
            key = load_key(items[2], self.scope)
        except OSError:
            self.scope.log(f"unable to open file for reading: {items[2]}", panic=True)
            return None
        except PrivateKeyError as error:
            self.scope.log(f"ARC: AMS signing: privkey PEM-block import: {error}")
            return None
        created, expires = self._times(items[3] if len(items) > 3 else "")
        return SealRequest(items[0].lower(), items[1], key, created, expires)

    def _times(self, text: str) -> tuple[int | None, int | None]:
        now = int(self.scope.services.clock.now())
        created = expires = None
        for word in (word.strip() for word in text.split(",")):
            if not word:
                continue
            if word == "timestamps":
                created = now
            elif found := _EXPIRE.match(word):
                plus, number = found[1], found[2]
                expires = now + MONTH if number is None else int(number) + (now if plus else 0)
            else:
                self.scope.log(f"ARC: unknown option '{word}' in arc_sign")
        return created, expires

    def lines(self, request: SealRequest, headers: list[str], body_hash: bytes) -> str:
        """The set; "" when none can be made (which is logged)."""
        from angaros.mailauth.arc.sign import SealError, seal

        session = self.scope.message.session if self.scope.message is not None else self.scope.session
        try:
            return seal(request, headers, body_hash, session.sender_host_address if session is not None else "")
        except SealError as error:
            self.scope.log(f"ARC: {error}")
            return ""
