"""One callout conversation with one host. Exim spec 44.46."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.delivery.callout_cache import ACCEPT, REJECT, REJECT_NULL_SENDER, UNKNOWN
from angaros.logs.text import printing
from angaros.model.errors import ExpansionError
from angaros.model.outcome import Outcome
from angaros.smtp.client import ClientFailure, ClientReply

if TYPE_CHECKING:
    from angaros.delivery.callout import Callout
    from angaros.delivery.callout_session import CalloutSession, SessionFailure
    from angaros.model.delivery import Host

_QUIET = frozenset((errno.ECONNREFUSED, errno.ETIMEDOUT, errno.ECONNRESET, errno.EHOSTUNREACH))
"""Failures to connect that are the other side's; others point at our own network and go to the panic log."""


@dataclass(slots=True)
class Finding:
    """What came of it."""

    done: bool = False
    """A host has answered; else the next one may be tried."""
    outcome: Outcome = Outcome.DEFER
    message: str = ""
    """For the log, with host and address in front."""
    user_message: str = ""
    failure: str = ""
    domain: int = UNKNOWN
    random: int = UNKNOWN
    postmaster: int = UNKNOWN
    address: int = UNKNOWN
    reply: str = ""
    """The temporary error reply to RCPT."""


def talk_on_held(call: Callout) -> Finding | None:
    """Ask over the connection that is kept for the message, if it fits; else give that up. None: call anew."""
    from angaros.delivery.cutthrough import drop, held_by

    message = call.scope.message
    held = held_by(message)
    if message is None or held is None:
        return None
    plain = call.is_recipient and not call.random and call.postmaster is None
    if not plain or not call.hosts or not held.fits(call.delivery, call.hosts[0], call.sender):
        drop(message, "different sender" if held.sender != call.sender else "incompatible connection")
        return None
    finding = Finding(domain=ACCEPT)
    conversation = _Conversation(call, held.session.host, held.session, finding)
    try:
        conversation.judge(f"RCPT TO:<{call.delivery.address}>", held.ask(call.delivery))
    except ClientFailure:
        drop(message, "connection lost")
        return None
    if finding.outcome is not Outcome.ACCEPT:
        drop(message, "recipient not accepted")
    return finding


def talk(call: Callout, host: Host) -> Finding:
    """Ask one host. Everything but an answer leaves `done` false."""
    from angaros.delivery.callout_session import CalloutSession, SessionFailure, SetupError

    session = CalloutSession(call.delivery, host, call.scope, call.options)
    finding = Finding()
    conversation = _Conversation(call, host, session, finding)
    try:
        session.open()
        finding.domain = ACCEPT
        conversation.go()
    except SessionFailure as failure:
        conversation.not_opened(failure)
    except SetupError as failure:
        finding.message = failure.text
    except ClientFailure as failure:
        conversation.broken(failure)
    if not conversation.kept:
        session.close()
    return finding


class _Conversation:
    """MAIL, RCPT and what else was asked for."""

    def __init__(self, call: Callout, host: Host, session: CalloutSession, finding: Finding) -> None:
        self.call = call
        self.host = host
        self.session = session
        self.finding = finding
        self.kept = False

    def go(self) -> None:
        """All steps until one decides."""
        call = self.call
        if self.session.lacks_utf8:
            self.finding.message = self._named('response to "EHLO" did not include SMTPUTF8')
            self._refused("EHLO", "", "recipient")
            self.finding.user_message = "533 no support for internationalised mailbox name"
            return
        if call.random and self._random():
            return
        label = f"RCPT TO:<{self.session.recipient}>"
        reply = self._mail(call.sender, label, size=call.is_recipient)
        if reply is None or not self.judge(label, reply):
            return
        if call.postmaster is not None:
            self._postmaster(call.postmaster)
        elif self._real_sender() and (self._hold() or self._cutthrough()):
            self._keep()

    # --- Steps -------------------------------------------------------------------------------------------------------

    def _mail(self, sender: str, rcpt: str, *, size: bool) -> ClientReply | None:
        """MAIL and RCPT: the reply to RCPT, None when MAIL was refused."""
        label = f"MAIL FROM:<{sender}>"
        reply, answer = self.session.mail_and_rcpt(sender, rcpt, size=size)
        if reply.ok:
            return answer
        finding = self.finding
        finding.message = self._named(f'response to "{label}" was: {reply.text}')
        if reply.permanent:
            self._refused(label, reply.text, "mail")
            if not sender:
                finding.domain = REJECT_NULL_SENDER
        return None

    def _random(self) -> bool:
        """Try an address that cannot be: a host that takes it takes all. True: nothing more to do."""
        local_part = self._random_local_part()
        if not local_part:
            return False
        label = f"RCPT TO:<{local_part}@{self.call.delivery.domain}>"
        reply = self._mail(self.call.sender, label, size=False)
        if reply is None:
            return True
        finding = self.finding
        if reply.ok:
            finding.random = ACCEPT
            finding.done, finding.outcome, finding.failure = True, Outcome.ACCEPT, "random"
            return True
        if not reply.permanent:
            finding.message = self._named(self._rcpt_text(label, reply))
            return True
        finding.random = REJECT
        self._reset()
        return False

    def _random_local_part(self) -> str:
        from angaros.delivery.callout import DEFAULT_RANDOM

        scope = self.call.scope
        text = scope.services.config.main.callout_random_local_part or DEFAULT_RANDOM
        try:
            return scope.expand(text)
        except ExpansionError as error:
            scope.services.log.write(f"failed to expand callout_random_local_part: {error}", panic=True)
            return ""

    def judge(self, label: str, reply: ClientReply) -> bool:
        """What the reply to the recipient means."""
        finding = self.finding
        if reply.ok:
            finding.address = ACCEPT
            finding.done, finding.outcome, finding.message = True, Outcome.ACCEPT, ""
            return True
        finding.message = self._named(self._rcpt_text(label, reply))
        if reply.permanent:
            finding.address = REJECT
            self._refused(label, reply.text, "recipient")
        else:
            finding.reply = reply.text
        return False

    def _postmaster(self, sender: str) -> None:
        """The same for postmaster, with another sender. Exim spec 44.47."""
        finding = self.finding
        finding.done = False
        finding.outcome = Outcome.DEFER
        scope = self.session.scope
        scope.services.log.debug("v", "Cutthrough cancelled by presence of postmaster verify", hc=True, indent=scope.depth)
        self._reset()
        label = f"RCPT TO:<postmaster@{self.call.delivery.domain}>"
        reply, answer = self.session.mail_and_rcpt(sender, label, size=False)
        if answer is None or not reply.ok:
            label = f"MAIL FROM:<{sender}>"
        else:
            reply = answer
            if not reply.ok and self.call.options.fullpostmaster:
                label = "RCPT TO:<postmaster>"
                reply = self.session.command(label)
        if reply.ok:
            finding.postmaster = ACCEPT
            finding.done, finding.outcome = True, Outcome.ACCEPT
            return
        finding.message = self._named(self._rcpt_text(label, reply))
        if reply.permanent:
            finding.postmaster = REJECT
            self._refused(label, reply.text, "postmaster")
        else:
            finding.address = UNKNOWN

    def _reset(self) -> None:
        """Back to before MAIL; a host that does not know RSET, or is gone, is called anew."""
        try:
            if self.session.command("RSET").ok:
                return
        except ClientFailure:
            pass
        self.session.close()
        self.session.open()

    # --- Keeping the connection --------------------------------------------------------------------------------------

    def _real_sender(self) -> bool:
        """Whether the transaction is one that could carry the message (`use_sender`)."""
        options = self.call.options
        return self.call.is_recipient and (options.use_sender or options.use_transport_sender)

    def _hold(self) -> bool:
        """`callout=hold`. Exim spec 44.47: not together with `random`"""
        return self.call.options.hold and not self.call.options.random

    def _cutthrough(self) -> bool:
        """`control = cutthrough_delivery`."""
        message = self.call.scope.message
        return message is not None and message.effects.cutthrough

    def _keep(self) -> None:
        from angaros.delivery.cutthrough import hold

        self.kept = hold(self.call, self.session)

    # --- Failures ----------------------------------------------------------------------------------------------------

    def broken(self, failure: ClientFailure) -> None:
        """The session came to an end in the middle."""
        finding = self.finding
        finding.message = self._named(failure.text)
        finding.address = UNKNOWN
        finding.done = False
        finding.outcome = Outcome.DEFER

    def not_opened(self, failure: SessionFailure) -> None:
        """No session: no connection, or refused before MAIL."""
        finding, call = self.finding, self.call
        text = failure.text or os.strerror(failure.number)
        finding.message = self._named(text)
        if failure.connecting and failure.number > 0 and failure.number not in _QUIET:
            what = "sender" if call.is_recipient else "recipient"  # the other way round: so Exim has it in its logs
            line = f"{what} verify defer (making callout connection): T={call.delivery.transport} {text}"
            call.scope.services.log.write(line, panic=True)
        if failure.permanent:
            label, _, reply = text.partition(" after ")[2].partition(": ")
            finding.domain = REJECT
            self._refused(label, reply, "mail")

    def _refused(self, label: str, reply: str, failure: str) -> None:
        """A permanent answer."""
        finding = self.finding
        finding.done, finding.outcome, finding.failure = True, Outcome.DENY, failure
        reply = ascii_only(reply)
        if self.call.is_recipient:
            finding.user_message = f"Callout verification failed:\n{reply}"
        else:
            finding.user_message = f"Called:   {self.host.address}\nSent:     {label}\nResponse: {reply}"

    def _rcpt_text(self, label: str, reply: ClientReply) -> str:
        return f"SMTP error from remote mail server after {label}: {reply.text}"

    def _named(self, text: str) -> str:
        return f"{self.host.name} [{self.host.address}] : {printing(text)}"


def ascii_only(text: str) -> str:
    """A foreign reply as it may go to our client: cut before the first octet that is not ASCII."""
    if text.isascii():
        return text
    end = next(index for index, char in enumerate(text) if char > "\x7f")
    return f"{text[:end]}(truncated)"
