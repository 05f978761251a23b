"""What is changed in the header of a message that comes in. Exim spec 48.

Laws:
- A message from the network keeps its header, except for lines that only a final delivery may add; a local message, or one in
  submission mode, gets what is missing. `suppress_local_fixups` leaves local ones alone too.
- A removed line stays in the list with type `*`, as in the spool.
- Every line that is made here ends in a newline and has no other one in a place where it would start a header.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from angaros.inbound.sender import own_address
from angaros.logs.times import tod_full
from angaros.mime.addresses import AddressRules, extract_address, fix_phrase, quote_local_part, split_address_list
from angaros.mime.headers import header_type, is_resent
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.message import Header
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.inbound.options import Submission
    from angaros.model.interfaces import Services
    from angaros.model.message import Message
    from angaros.model.scope import Scope

REMOVED_WHEN: dict[str, str] = {
    "delivery-date": "delivery_date_remove",
    "envelope-to": "envelope_to_remove",
    "return-path": "return_path_remove",
}
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]")
_NOT_IN_DOMAIN = re.compile(r"[^A-Za-z0-9.-]")


class Fixups:
    """One message's header being put right."""

    def __init__(self, scope: Scope, submission: Submission, *, smtp: bool) -> None:
        assert scope.message is not None and scope.session is not None
        self.scope = scope
        self.services: Services = scope.services
        self.main = scope.services.config.main
        self.message: Message = scope.message
        self.session = scope.session
        self.submission = submission
        self.smtp = smtp
        self.local = not self.session.sender_host_address
        effects = self.message.effects
        suppressed = effects.suppress_local_fixups or submission.suppress_local_fixups
        self.submission_mode = effects.submission
        self.fixes = (self.local and not suppressed) or self.submission_mode
        self.suppressed = suppressed
        self.resent = False
        self.found: dict[str, Header] = {}
        """First header of each type that counts (`F`, `I`, `S`, and `D` for Date)."""
        self.message_id_created = False
        self.generated_sender = ""

    def scan(self) -> None:
        """Look at all lines once: note what is there, drop what may not be."""
        headers = self.message.headers
        self.resent = any(is_resent(header.text) for header in headers)
        for header in headers:
            name = header.name.lower()
            option = REMOVED_WHEN.get(name)
            if option is not None and getattr(self.main, option):
                header.kind = "*"
                continue
            counts = is_resent(name) if self.resent else True
            kind = "D" if name in ("date", "resent-date") else header.kind
            if counts and kind in "FIDS":
                self.found.setdefault(kind, header)
        for header in [header for header in headers if header.kind == "F"]:
            self._login_only(header)
        self._remove_senders()

    @property
    def prefix(self) -> str:
        """`Resent-` when the message was resent."""
        return "Resent-" if self.resent else ""

    def _login_only(self, header: Header) -> None:
        """`From: login` becomes the full address, as Sendmail does: a new line at the end. Exim spec 48.11"""
        if self.smtp or not self.fixes or not self.local:
            return
        caller = self.submission.caller
        if header.value.strip() != caller.login or not caller.login:
            return
        full = Header(self._from_line(header.name, self.originator_name(), self._login_address()), "F")
        header.kind = "*"
        self.message.headers.append(full)
        if self.found.get("F") is header:
            self.found["F"] = full

    def _remove_senders(self) -> None:
        """Sender: of an untrusted user, or in submission mode, goes. Exim spec 48.16"""
        effects = self.message.effects
        if self.submission_mode:
            remove = not effects.submission_sender_retain
        else:
            remove = self.local and not self.suppressed and not self._believed() and not self.main.local_sender_retain
        if not remove:
            return
        for header in self.message.headers:
            if header.kind == "S":
                header.kind = "*"
        self.found.pop("S", None)

    def _believed(self) -> bool:
        return self.submission.caller.trusted

    # Adding.

    def add_message_id(self) -> None:
        """Exim spec 48.12"""
        if "I" in self.found or not self.fixes:
            return
        text = self._expanded("message_id_header_text", _NOT_IN_ID)
        domain = self._expanded("message_id_header_domain", _NOT_IN_DOMAIN) or self.main.primary_hostname or ""
        dot = f".{text}" if text else ""
        header = Header(f"{self.prefix}Message-Id: <E{self.message.id}{dot}@{domain}>\n", "I")
        self._add(header)
        self.found["I"] = header
        self.message_id_created = True

    def _add(self, header: Header) -> None:
        """Behind the others; in front of them when the message was resent. # RFC 5322 3.6.6"""
        headers = self.message.headers
        headers.insert(0 if self.resent else len(headers), header)

    def _expanded(self, option: str, bad: re.Pattern[str]) -> str:
        text = getattr(self.main, option)
        if text is None:
            return ""
        try:
            return bad.sub("-", self.scope.expand(text))
        except ForcedFailure:
            return ""
        except ExpansionError as error:
            self.services.log.write(f'expansion of "{text}" ({option}) failed: {error}', panic=True)
            return ""

    def add_from(self) -> None:
        """Exim spec 48.11"""
        if "F" in self.found or not self.fixes:
            return
        name = self._name_for_from()
        sender = self.message.sender_address
        if not sender:
            sender = self._address_without_sender()
        if not sender:
            return
        header = Header(self._from_line(f"{self.prefix}From", name, sender), "F")
        self.message.headers.append(header)
        self.found["F"] = header

    def _name_for_from(self) -> str:
        if not self.local:
            return self._encoded(self.message.effects.submission_name or "")
        submission = self.submission
        own = self.message.sender_address == own_address(self.services, submission)
        if not submission.caller.trusted or submission.sender_name is not None or (not self.smtp and own):
            return self.originator_name()
        return ""

    def _address_without_sender(self) -> str:
        untrusted = not self.submission.caller.trusted and not self.smtp
        if self.message.local_error_message or (self.message.sender_local and untrusted):
            return self._login_address()
        if self.message.sender_local:  # a trusted caller, or MAIL FROM:<> to -bs
            return ""
        return self._authenticated_address()

    def _authenticated_address(self) -> str:
        """Who authenticated, as an address. Exim spec 48.1"""
        who = self.session.authenticated_id
        if not who or not self.submission_mode:
            return ""
        domain = self.message.effects.submission_domain
        if domain is None:
            return concat([quote_local_part(who), "@", self.main.qualify_domain or ""])
        if not domain:
            return who
        return concat([quote_local_part(who), "@", domain])

    def _login_address(self) -> str:
        return own_address(self.services, self.submission)

    def originator_name(self) -> str:
        """The caller's full name as a phrase. Exim spec 48.18"""
        name = self.submission.sender_name
        return self._encoded(self.submission.caller.name if name is None else name)

    def _encoded(self, name: str) -> str:
        if not name:
            return ""
        top = self.main.print_topbitchars
        if any(not (" " <= c <= "~" or (top and c >= "\x80")) for c in name):
            from angaros.mime.encoded import encode_2047

            return encode_2047(name, self.main.headers_charset or "UTF-8")
        return fix_phrase(name)

    @staticmethod
    def _from_line(name: str, phrase: str, address: str) -> str:
        if phrase:
            return concat([f"{name}: ", phrase, " <", address, ">\n"])
        return concat([f"{name}: ", address, "\n"])

    def add_sender(self) -> None:
        """Say who really sent it, when From: says otherwise. Exim spec 48.16"""
        from_header = self.found.get("F")
        if from_header is None:
            return
        effects = self.message.effects
        if self.submission_mode:
            if effects.submission_sender_retain or not self.session.authenticated_id:
                return
            expected = self._authenticated_address()
        elif self.local and not self._believed() and not self.suppressed and self._checks_from():
            expected = self._login_address()
        else:
            return
        self.generated_sender = expected
        if self._from_says(from_header, expected):
            self._take_over_sender(expected)
            return
        name = self._encoded(effects.submission_name or "") if self.submission_mode else self.originator_name()
        text = self._from_line(f"{self.prefix}Sender", name, expected)
        self.message.headers.append(Header(text, "S"))
        self._take_over_sender(expected)

    def _checks_from(self) -> bool:
        own = self.submission.active_local_from_check
        return bool(self.main.local_from_check if own is None else own)

    def _take_over_sender(self, address: str) -> None:
        """In submission mode the return path is the real sender too."""
        message = self.message
        if self.submission_mode and message.sender_address and message.sender_address != address:
            message.sender_address = address

    def _from_says(self, header: Header, expected: str) -> bool:
        """Whether From: is the one expected address, but for `local_from_prefix` and `local_from_suffix`."""
        value = header.text[header.text.find(":") + 1 :]
        pieces = [piece for piece in split_address_list(value) if not piece.empty]
        if len(pieces) != 1:
            return False
        found = extract_address(value[pieces[0].start : pieces[0].end], AddressRules.of(self.main))
        if not found.ok:
            return False
        address = found.address if found.domain else concat([found.address, "@", self.main.qualify_domain or ""])
        local, _, domain = str(address).rpartition("@")
        wanted_local, _, wanted_domain = str(expected).rpartition("@")
        if domain.lower() != wanted_domain.lower():
            return False
        return self._strip_affixes(local, wanted_local) == wanted_local

    def _strip_affixes(self, local: str, wanted: str) -> str:
        """`local` without a prefix of `local_from_prefix` and a suffix of `local_from_suffix` when that makes it `wanted`."""
        for prefix in (self.main.local_from_prefix or "").split(":"):
            for suffix in (self.main.local_from_suffix or "").split(":"):
                if _stripped(local, prefix.strip(), suffix.strip(), wanted):
                    return wanted
        return local

    def add_date(self) -> None:
        """Exim spec 48.8"""
        if "D" not in self.found and self.fixes:
            self._add(Header(f"{self.prefix}Date: {tod_full(self.services.clock.now())}\n", " "))

    def rewrite(self) -> None:
        """Qualification and rewriting of header addresses. Exim spec 31, 48.3"""
        message = self.message
        from angaros.rewriting import rewrite_header

        replaced: list[Header] = []
        for header in message.headers:
            new = rewrite_header(header, self.scope) if header.kind in "BCFRST" else None
            if new is not None:
                replaced.append(Header(header.text, "*"))
                replaced.append(new)
            else:
                replaced.append(header)
        message.headers = replaced


def _stripped(local: str, prefix: str, suffix: str, wanted: str) -> bool:
    """Whether `local` is prefix, `wanted`, suffix; a `*` at the outer end of either stands for anything."""
    position = local.find(wanted)
    while position >= 0:
        before, after = local[:position], local[position + len(wanted) :]
        good_prefix = before.endswith(prefix[1:]) if prefix.startswith("*") else before == prefix
        good_suffix = after.startswith(suffix[:-1]) if suffix.endswith("*") else after == suffix
        if (good_prefix or not before) and (good_suffix or not after):
            return True
        position = local.find(wanted, position + 1)
    return False


def add_received(scope: Scope, now: float) -> Header | None:
    """The Received: line of this host, or None when `received_header_text` says so. Exim spec 48.13"""
    message = scope.message
    assert message is not None
    inner = scope
    if len(message.recipients) == 1:
        inner = scope.child(received_for=message.recipients[0].address)
    text = scope.services.config.main.received_header_text
    try:
        expanded = inner.expand(text)
    except ExpansionError as error:
        scope.services.log.write(
            f'Expansion of "{text}" (received_header_text) failed: {error}', message_id=message.id, panic=True
        )
        expanded = f"Received: by {scope.services.config.main.primary_hostname} id {message.id}"
    expanded = expanded.rstrip(" \t\n")
    if not expanded:
        return None
    return Header(concat([expanded, f";\n\t{tod_full(now)}\n"]), "P")


def apply_acl_headers(message: Message) -> None:
    """Move what `add_header` and `remove_header` of ACLs have asked for into the message. Exim spec 44.24, 44.25"""
    effects = message.effects
    for names in effects.removed_headers:
        remove_named(message, names)
    effects.removed_headers = []
    for line in effects.added_headers:
        place_header(message, line)
    effects.added_headers = []


def remove_named(message: Message, names: str) -> None:
    """Mark all headers with one of the colon-separated names as deleted; a trailing `*` is a wild card."""
    for raw in names.split(":"):
        name = raw.strip().lower()
        if not name:
            continue
        for header in message.headers:
            own = header.name.lower()
            if own == name or (name.endswith("*") and own.startswith(name[:-1])):
                header.kind = "*"


PLACES = (":at_start:", ":after_received:", ":at_start_rfc:", ":at_end:")


def place_header(message: Message, line: str) -> None:
    """Add one header line; what stands in front of it says where."""
    place = next((p for p in PLACES if line.startswith(p)), "")
    text = line[len(place) :]
    if not text.endswith("\n"):
        text = concat([text, "\n"])
    name = text.partition(":")[0].rstrip()
    header = Header(text, header_type(name))
    if place == ":at_start:":
        message.headers.insert(0, header)
    elif place == ":after_received:":
        message.headers.insert(_after(message.headers, resent_too=False), header)
    elif place == ":at_start_rfc:":
        message.headers.insert(_after(message.headers, resent_too=True), header)
    else:
        message.headers.append(header)


def _after(headers: list[Header], *, resent_too: bool) -> int:
    """Position after the first block of Received: lines; `resent_too`: before the first line that is neither Received: nor
    Resent-."""
    place = 0
    for number, header in enumerate(headers):
        if header.kind == "P" or (resent_too and is_resent(header.text)):
            place = number + 1
        elif header.kind != "*" and (place or resent_too):
            break
    return place
