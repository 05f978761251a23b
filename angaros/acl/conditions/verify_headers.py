"""`verify = header_syntax`, `header_sender`, `header_names_ascii`, `not_blind`. Exim spec 44.26."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from angaros.logs.text import printing
from angaros.mime.addresses import AddressRules, extract_address, split_address_list
from angaros.mime.headers import header_syntax_error
from angaros.model.outcome import Outcome
from angaros.model.text import like

if TYPE_CHECKING:
    from angaros.acl.conditions.verify_options import Request
    from angaros.acl.frame import Frame
    from angaros.model.message import Header


def verify(frame: Frame, request: Request) -> Outcome:
    """Do the one that is asked for; with `smtp_return_error_details` the peer hears the reason."""
    name = request.type.name
    if name == "header_sender":
        outcome = _header_sender(frame, request)
    elif name == "header_syntax":
        outcome = _header_syntax(frame)
    elif name == "header_names_ascii":
        outcome = _header_names_ascii(frame)
    else:
        outcome = _not_blind(frame, caseless=bool(request.words))
    if outcome is not Outcome.ACCEPT and _details(frame) and not frame.user_message and frame.log_message:
        frame.user_message = f"Rejected after DATA: {frame.log_message}"
    return outcome


def _details(frame: Frame) -> bool:
    return bool(frame.scope.services.config.main.smtp_return_error_details)


def _rules(frame: Frame) -> AddressRules:
    return AddressRules.of(frame.scope.services.config.main, utf8=frame.message.smtputf8)


def _header_syntax(frame: Frame) -> Outcome:
    message = frame.message
    error = header_syntax_error(
        message.headers,
        _rules(frame),
        unqualified_ok=message.allow_unqualified_sender or message.allow_unqualified_recipient,
    )
    if not error:
        return Outcome.ACCEPT
    frame.log_message = printing(error)
    return Outcome.DENY


def _header_names_ascii(frame: Frame) -> Outcome:
    for header in frame.message.headers:
        name = header.text.partition(":")[0]
        if any(not "!" <= char <= "~" for char in name):
            frame.log_message = like(f'Invalid character in header "{name}" found', name)
            return Outcome.DENY
    return Outcome.ACCEPT


def addresses(header: Header, rules: AddressRules) -> Iterator[tuple[str, str]]:
    """Each address of a header line: (address or "", text as written)."""
    text = header.text.partition(":")[2]
    for piece in split_address_list(text):
        if not piece.empty:
            written = text[piece.start : piece.end].strip()
            yield extract_address(written, rules).address, written


# --- header_sender -----------------------------------------------------------------------------------------------------

_SENDER_HEADERS = ("sender", "reply-to", "from")


def _header_sender(frame: Frame, request: Request) -> Outcome:
    """One of the addresses in Sender:, Reply-To:, From: verifies as a sender."""
    rules = _rules(frame)
    worst = Outcome.DENY
    for name in _SENDER_HEADERS:
        for header in frame.message.headers_named(name):
            for address, written in addresses(header, rules):
                outcome = _one_sender(frame, request, header, address, written)
                if outcome is Outcome.ACCEPT:
                    frame.log_message = frame.user_message = None
                    return outcome
                if outcome is Outcome.DEFER:
                    worst = outcome
                elif frame.log_message:  # a syntax error ends the search
                    return outcome
    if worst is Outcome.DEFER:
        frame.log_message = "all attempts to verify a sender in a header line deferred"
    else:
        frame.log_message = "there is no valid sender in any header line"
    return worst


def _one_sender(frame: Frame, request: Request, header: Header, address: str, written: str) -> Outcome:
    shown = f"<{address}>" if address and written.endswith(">") else address or written
    frame.trace(f"verifying {header.name}: header address {shown}")
    if not address:
        error = extract_address(written, _rules(frame), allow_null=False).error
        frame.log_message = like(
            f"syntax error in '{header.name}:' header when scanning for sender: {error} in \"{written}\"", written
        )
        return Outcome.DENY
    options = request.options
    scope = frame.scope.child()
    scope.depth += 1
    result = frame.scope.services.verifier.verify_address(
        address, scope, is_recipient=False, options=options, purpose="header_sender"
    )
    outcome = result.outcome
    callout = options.callout
    if outcome is Outcome.DEFER and (options.defer_ok or (result.callout and callout is not None and callout.defer_ok)):
        return Outcome.ACCEPT
    if outcome is not Outcome.ACCEPT and _details(frame):
        frame.user_message = (
            f'Rejected after DATA: could not verify "{header.name}:" header address\n{address}: {result.log_message}'
        )
    return outcome


# --- not_blind ---------------------------------------------------------------------------------------------------------

_VISIBLE_HEADERS = ("to", "cc", "resent-to", "resent-cc")


def _not_blind(frame: Frame, *, caseless: bool) -> Outcome:
    """Every envelope recipient stands in To: or Cc:. Local parts by case unless told otherwise, domains without."""
    rules = _rules(frame)
    qualify = frame.scope.services.config.main.qualify_recipient or frame.scope.services.config.main.qualify_domain or ""
    visible: set[str] = set()
    for name in _VISIBLE_HEADERS:
        for header in frame.message.headers_named(name):
            for address, _ in addresses(header, rules):
                full = address if "@" in address else f"{address}@{qualify}"
                visible.add(_comparable(full, caseless))
    for recipient in frame.message.recipients:
        if _comparable(recipient.address, caseless) not in visible:
            frame.log_message = "bcc recipient detected"
            return Outcome.DENY
    return Outcome.ACCEPT


def _comparable(address: str, caseless: bool) -> str:
    if caseless:
        return str(address).lower()
    local, at, domain = str(address).rpartition("@")
    return f"{local}{at}{domain.lower()}"
