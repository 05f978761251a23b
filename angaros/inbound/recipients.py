"""Recipients of a local message: from the command line, or from its header (-t). Exim spec 5.3, -t"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from angaros.mime.addresses import AddressRules, extract_address, split_address_list
from angaros.mime.headers import is_resent
from angaros.model.message import Recipient
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.model.interfaces import Services
    from angaros.model.message import Message
    from angaros.model.scope import Scope

UNQUALIFIED = "unqualified recipient address not allowed"


Given = tuple[str, str]
"""An address, qualified, and as it was written."""


def parse_arguments(
    arguments: Iterable[str], services: Services, *, unqualified_ok: bool
) -> tuple[list[Given], tuple[str, str] | None]:
    """Addresses of the command line, each argument being a list; and the first bad one with its error."""
    main = services.config.main
    rules = AddressRules.of(main, utf8=True)
    found: list[Given] = []
    for argument in arguments:
        for piece in split_address_list(argument):
            if piece.empty:
                continue
            text = _stripped(argument[piece.start : piece.end])
            extracted = extract_address(text, rules, allow_null=False)
            if extracted.error:
                return found, (text, extracted.error)
            address = extracted.address
            if not extracted.domain:
                if not unqualified_ok:
                    return found, (text, UNQUALIFIED)
                address = concat([address, "@", main.qualify_recipient or ""])
            found.append((address, extracted.address))
    return found, None


def _stripped(text: str) -> str:
    """Without white space around it; a space behind a backslash belongs to the local part."""
    text = text.lstrip()
    bare = text.rstrip()
    slashes = len(bare) - len(bare.rstrip("\\"))
    return text[: len(bare) + 1] if slashes % 2 else bare


class Extraction:
    """-t: takes recipients from To:, Cc:, Bcc: (the Resent- ones, when there are any), and removes Bcc:."""

    def __init__(self, scope: Scope, without: set[str], unqualified_ok: bool) -> None:
        self.scope = scope
        self.without = {address.lower() for address in without}
        self.unqualified_ok = unqualified_ok
        self.bad: list[tuple[str, str]] = []
        self.ignored = 0
        """Addresses that were on the command line too."""
        self.raw: list[str] = []
        """What was taken, as it was written."""

    def run(self, message: Message) -> None:
        """Add the recipients to the message."""
        resent = any(is_resent(header.text) for header in message.headers)
        rules = AddressRules.of(self.scope.services.config.main, utf8=True)
        for header in message.headers:
            if header.kind not in "TCB" or is_resent(header.text) != resent:
                continue
            value = header.text[header.text.find(":") + 1 :]
            for piece in split_address_list(value):
                if not piece.empty:
                    self._one(value[piece.start : piece.end], rules, message)
            if header.kind == "B":
                header.kind = "*"

    def _one(self, text: str, rules: AddressRules, message: Message) -> None:
        found = extract_address(text, rules, allow_null=False)
        error = found.error
        if not error and not found.domain and not self.unqualified_ok:
            error = UNQUALIFIED
        if error:
            self.bad.append((" ".join(text.split()), error))
            return
        address = found.address
        if not found.domain:
            address = concat([address, "@", self.scope.services.config.main.qualify_recipient or ""])
        if address.lower() in self.without:
            self.ignored += 1
            return
        message.recipients.append(Recipient(address))
        self.raw.append(found.address)
