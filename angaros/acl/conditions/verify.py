"""The `verify` condition. Exim spec 44.26, 44.45, 44.50.

A sender is verified once for each message; the result is kept in `message.effects.caches["verified_senders"]`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from angaros.acl.conditions import verify_headers
from angaros.acl.conditions.verify_options import BadVerify, Request, parse
from angaros.acl.frame import test
from angaros.model.outcome import Outcome, VerifyResult

if TYPE_CHECKING:
    from angaros.acl.frame import Frame
    from angaros.model.verify import VerifyOptions


def verify(frame: Frame, argument: str) -> Outcome:
    """Find the type and do it."""
    try:
        request = parse(frame, argument)
    except BadVerify as error:
        return frame.error(str(error))
    outcome = _run(frame, request)
    if frame.user_message:
        frame.scope.state["acl_verify_message"] = frame.user_message
        if frame.verb == "warn":
            frame.user_message = None
    return outcome


def _run(frame: Frame, request: Request) -> Outcome:
    name = request.type.name
    if name == "sender":
        return _sender(frame, request)
    if name == "recipient":
        return _recipient(frame, request.options)
    if name == "helo":
        return _helo(frame)
    if name == "certificate":
        return _certificate(frame)
    if name == "reverse_host_lookup":
        return _reverse_host_lookup(frame, bool(request.words))
    if name == "csa":
        from angaros.acl.conditions.csa import csa

        return csa(frame, request.words)
    if name == "arc":
        from angaros.acl.conditions.mailauth import arc

        return arc(frame, request.words)
    return verify_headers.verify(frame, request)


# --- The sender --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class VerifiedSender:
    """What is known about one sender of this message."""

    address: str
    result: VerifyResult
    callout: bool = False
    """A callout was part of it."""
    postmaster: bool = False
    told: bool = False
    """Peer and log have had the details."""

    @property
    def routed(self) -> bool:
        """Routing went well, whatever became of a callout."""
        return self.result.outcome is Outcome.ACCEPT or (self.result.failure != "route" and self.callout)

    def answer(self, options: VerifyOptions) -> VerifyResult | None:
        """What is known already, or None when the sender must be verified again."""
        result, callout = self.result, options.callout
        if callout is None:
            return replace(result, outcome=Outcome.ACCEPT, failure="") if self.routed else result
        if result.outcome is Outcome.DENY and result.failure == "route":
            return result
        usable = result.outcome is Outcome.ACCEPT and self.callout and (self.postmaster or callout.postmaster is None)
        return result if usable else None


def _sender(frame: Frame, request: Request) -> Outcome:
    """`verify = sender`, `verify = sender=address`."""
    message, state, effects = frame.message, frame.scope.state, frame.effects
    own = effects.sender_unrewritten if effects.sender_unrewritten is not None else message.sender_address
    address = own if request.address is None else request.address
    if not address:
        return Outcome.ACCEPT
    options = request.options
    kept: dict[str, VerifiedSender] = effects.caches.setdefault("verified_senders", {})
    known = kept.get(address)
    result = known.answer(options) if known is not None else None
    if known is not None and result is not None:
        frame.trace_inside("using cached sender verify result")
    else:
        result = _verify(frame, address, options, is_recipient=False)
        if result.rewritten is not None and address == message.sender_address:
            effects.sender_unrewritten, message.sender_address = address, result.rewritten
        callout = options.callout
        postmaster = callout is not None and callout.postmaster is not None
        known = kept[address] = VerifiedSender(address, result, callout is not None, postmaster)
    if options.no_details:
        known.told = True
    state["sender_verify_failure"] = result.failure
    state["sender_address_data"] = result.address_data or ""
    return _sender_outcome(frame, known, result, options)


def _sender_outcome(frame: Frame, known: VerifiedSender, result: VerifyResult, options: VerifyOptions) -> Outcome:
    outcome = _with_defer_ok(frame, result, options)
    if outcome is Outcome.ACCEPT:
        return outcome
    frame.state.failed_sender = known
    if outcome is Outcome.DEFER:
        frame.log_message = "Could not complete sender verify callout" if result.callout else "Could not complete sender verify"
        details = _shows_details(frame)
        text = (details and result.user_message) or frame.log_message
        frame.user_message = text if details or result.callout else None
    else:
        frame.user_message = frame.log_message = "Sender verify failed"
    return outcome


def _shows_details(frame: Frame) -> bool:
    """Whether the peer hears why a verification deferred."""
    if not frame.scope.services.config.main.smtp_return_error_details:
        return False
    frame.state.temp_details = True
    return True


def _with_defer_ok(frame: Frame, result: VerifyResult, options: VerifyOptions) -> Outcome:
    """The outcome, a deferral turned into success if the options say so."""
    if result.outcome is not Outcome.DEFER:
        return result.outcome
    callout = options.callout
    if options.defer_ok or (result.callout and callout is not None and callout.defer_ok):
        return Outcome.ACCEPT
    return Outcome.DEFER


# --- The recipient -----------------------------------------------------------------------------------------------------


def _recipient(frame: Frame, options: VerifyOptions) -> Outcome:
    """`verify = recipient`."""
    delivery, state = frame.delivery, frame.scope.state
    result = _verify(frame, delivery.address, options, is_recipient=True)
    state["recipient_verify_failure"] = result.failure
    delivery.props.address_data = result.address_data
    if result.outcome is Outcome.ACCEPT:
        if result.local_part_data is not None:
            delivery.props.local_part_data = result.local_part_data
        if result.domain_data is not None:
            delivery.props.domain_data = result.domain_data
    outcome = _with_defer_ok(frame, result, options)
    if outcome is not Outcome.ACCEPT:
        shown = result.user_message or result.log_message
        if outcome is Outcome.DEFER and not _shows_details(frame):
            shown = "Could not complete recipient verify callout" if result.callout else result.user_message
        frame.user_message = shown or None
        frame.log_message = result.log_message or None
        if options.quota is not None:
            frame.scope.state["acl_verify_message"] = result.log_message
            frame.user_message = None
    return outcome


def _verify(frame: Frame, address: str, options: VerifyOptions, *, is_recipient: bool) -> VerifyResult:
    if options.callout is not None and frame.session.smtp and not frame.connection.no_callout_flush:
        if frame.connection.flush is not None and not frame.session.host_checking:
            frame.connection.flush()
    scope = frame.scope.child()
    scope.depth += 1
    result = frame.scope.services.verifier.verify_address(address, scope, is_recipient=is_recipient, options=options)
    frame.trace_inside("----------- end verify ------------")
    return result


# --- The connection ----------------------------------------------------------------------------------------------------


def _helo(frame: Frame) -> Outcome:
    """`verify = helo`; always true for input that is not from TCP."""
    session = frame.session
    if not session.is_remote:
        return Outcome.ACCEPT
    if not session.helo_verified and not session.helo_verify_failed:
        from angaros.net.peer import verify_helo

        verify_helo(frame.scope)
    return test(session.helo_verified)


def _certificate(frame: Frame) -> Outcome:
    tls = frame.session.tls
    if tls is not None and tls.certificate_verified:
        return Outcome.ACCEPT
    frame.user_message = "no verified certificate"
    return Outcome.DENY


def _reverse_host_lookup(frame: Frame, defer_ok: bool) -> Outcome:
    """A host name was found and leads back to the address."""
    session = frame.session
    if not session.is_remote or session.sender_host_name:
        return Outcome.ACCEPT
    if session.host_lookup_failed:
        frame.log_message = f"host lookup failed{session.host_lookup_msg}"
        return Outcome.DENY
    from angaros.net.peer import lookup_host_name

    frame.trace_inside("looking up host name to force name/address consistency check")
    scope = frame.scope.child()
    scope.depth += 1
    if lookup_host_name(scope):
        return Outcome.ACCEPT
    deferred = session.host_lookup_deferred
    if deferred and defer_ok:
        return Outcome.ACCEPT
    if deferred:
        frame.log_message = "host lookup deferred for reverse lookup check"
    else:
        frame.log_message = f"host lookup failed for reverse lookup check{session.host_lookup_msg}"
    return Outcome.DEFER if deferred else Outcome.DENY
