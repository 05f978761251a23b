"""Callouts: asking the hosts of a domain whether they would take an address. Exim spec 44.46 to 44.48.

`Callout.run` decides by the cache, else talks to the hosts in turn (`callout_talk`), and writes the cache. Only a host's answer
is an answer: whatever else goes wrong is a deferral.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from angaros.delivery.callout_cache import ACCEPT, REJECT, REJECT_NULL_SENDER, UNKNOWN, CalloutCache, DomainRecord
from angaros.model.errors import ExpansionError
from angaros.model.outcome import Outcome, VerifyResult

if TYPE_CHECKING:
    from angaros.delivery.callout_talk import Finding
    from angaros.model.delivery import Delivery, Host
    from angaros.model.scope import Scope
    from angaros.model.verify import CalloutOptions

DEFAULT_RANDOM = "$primary_hostname-$tod_epoch-testing"
EARLIER_CALLOUT = "(result of an earlier callout reused)."
EARLIER_VERIFICATION = "(result of earlier verification reused)."
CACHED_FAILURE = "Previous (cached) callout verification failure"


@dataclass(slots=True)
class Callout:
    """One callout for one routed address."""

    delivery: Delivery
    hosts: list[Host]
    scope: Scope
    options: CalloutOptions
    is_recipient: bool
    header_sender: bool = False
    unusable: str = ""
    """Why nobody can be asked, though there are hosts: text for the trace."""
    sender: str = field(init=False)
    """Address of the MAIL command."""
    random: bool = field(init=False)
    """A random local part is to be tried."""
    postmaster: str | None = field(init=False)
    """Sender of the postmaster check; None: none is needed."""

    def __post_init__(self) -> None:
        self.sender = self._sender()
        self.random = self.options.random
        self.postmaster = self.options.postmaster

    def _sender(self) -> str:
        """The MAIL address: empty unless an option says otherwise. Exim spec 44.47."""
        options, message = self.options, self.scope.message
        if self.is_recipient:
            if options.use_sender and message is not None:
                return message.sender_address
            if options.use_postmaster:
                return f"postmaster@{self.scope.services.config.main.qualify_domain}"
            if options.use_transport_sender:
                return self._transport_sender()
            return ""
        return options.mailfrom if self.header_sender else ""

    def _transport_sender(self) -> str:
        instance = self.scope.services.config.transports.get(self.delivery.transport)
        text = instance.options.return_path if instance is not None else None
        sender = self.scope.message.sender_address if self.scope.message is not None else ""
        if text is None:
            return sender
        try:
            return self.scope.child(self.delivery, return_path=sender).expand(text)
        except ExpansionError:
            return sender

    @property
    def address_key(self) -> str:
        """Key of the address in the cache."""
        return f"{self.delivery.address}/<{self.sender}>" if self.sender else self.delivery.address

    def run(self) -> VerifyResult:
        """Ask the cache, then the hosts."""
        options = self.options
        cache = None if options.no_cache else CalloutCache(self.scope)
        domain = cache.domain(self.delivery.domain) if cache is not None else None
        if cache is not None:
            known = self._from_domain(domain) if domain is not None else None
            if known is None and not self._must_ask(domain):
                known = self._from_address(cache)
            if known is not None:
                return known
        if self.unusable:
            self.scope.trace("verify", self.unusable)
            return self._deferred("")
        finding = self._ask()
        if cache is not None:
            self._remember(cache, domain, finding)
        return self._result(finding)

    # --- The cache ---------------------------------------------------------------------------------------------------

    def _from_domain(self, record: DomainRecord) -> VerifyResult | None:
        """What the domain's record decides; drops checks that it makes needless."""
        if record.result == REJECT or (record.result == REJECT_NULL_SENDER and not self.sender):
            self._trace("callout cache: domain gave initial rejection, or does not accept HELO or MAIL FROM:<>")
            return VerifyResult(Outcome.DENY, EARLIER_CALLOUT, failure="mail")
        if self.random:
            if record.random == ACCEPT:
                self._trace("callout cache: domain accepts random addresses")
                return VerifyResult(Outcome.ACCEPT, failure="random")
            if record.random == REJECT:
                self._trace("callout cache: domain rejects random addresses")
                self.random = False
            else:
                self._trace("callout cache: need to check random address handling (not cached or cache expired)")
        if self.postmaster is not None:
            if record.postmaster == REJECT:
                self._trace("callout cache: domain does not accept RCPT TO:<postmaster@domain>")
                return VerifyResult(Outcome.DENY, EARLIER_VERIFICATION, failure="postmaster")
            if record.postmaster == ACCEPT:
                self._trace("callout cache: domain accepts RCPT TO:<postmaster@domain>")
                self.postmaster = None
            else:
                self._trace("callout cache: need to check RCPT TO:<postmaster@domain> (not cached or cache expired)")
        return None

    def _must_ask(self, record: DomainRecord | None) -> bool:
        """Whether the domain's record left a check to do."""
        return record is not None and (self.random or self.postmaster is not None)

    def _from_address(self, cache: CalloutCache) -> VerifyResult | None:
        known = cache.address(self.address_key)
        if known == ACCEPT:
            return VerifyResult(Outcome.ACCEPT)
        if known == REJECT:
            return VerifyResult(Outcome.DENY, CACHED_FAILURE, failure="recipient")
        return None

    def _remember(self, cache: CalloutCache, old: DomainRecord | None, finding: Finding) -> None:
        if finding.domain == UNKNOWN:
            return
        record = old if old is not None else DomainRecord()
        record.result = finding.domain
        if finding.random != UNKNOWN:
            record.random, record.random_stamp = finding.random, cache.now
        if finding.postmaster != UNKNOWN:
            record.postmaster, record.postmaster_stamp = finding.postmaster, cache.now
        cache.write_domain(self.delivery.domain, record)
        if finding.address != UNKNOWN:
            cache.write_address(self.address_key, finding.address)

    # --- The hosts ---------------------------------------------------------------------------------------------------

    def _ask(self) -> Finding:
        from angaros.delivery.callout_talk import Finding, talk, talk_on_held

        held = talk_on_held(self)
        if held is not None:
            return held
        clock = self.scope.services.clock
        wait = self.options.maxwait if self.options.maxwait >= 0 else 4 * self.options.timeout
        deadline = clock.monotonic() + wait
        finding = Finding()
        for number, host in enumerate(self.hosts):
            if number and clock.monotonic() > deadline:
                self._trace("verify timeout: remaining hosts are not tried")
                break
            if not host.address:
                continue
            finding = talk(self, host)
            if finding.done:
                break
        return finding

    def _result(self, finding: Finding) -> VerifyResult:
        if finding.done:
            delivery = self.delivery
            confirmed = self.is_recipient and finding.outcome is Outcome.ACCEPT and not finding.failure
            return VerifyResult(
                finding.outcome,
                finding.user_message,
                finding.message,
                finding.failure,
                local_part_data=str(delivery.local_part) if confirmed else None,
                domain_data=str(delivery.domain) if confirmed else None,
            )
        return self._deferred(finding.message, finding.reply)

    def _deferred(self, message: str, reply: str = "") -> VerifyResult:
        what = "recipient" if self.is_recipient else "sender"
        dull = f"Could not complete {what} verify callout"
        text = dull if len(self.hosts) > 1 or not message else f"{dull}: {message}"
        shown = dull
        if self.scope.services.config.main.smtp_return_error_details:
            shown = (
                f"{dull} for <{self.delivery.address}>.\n"
                "The mail server(s) for the domain may be temporarily unreachable, or\n"
                "they may be permanently unreachable from this server. In the latter case,\n"
                + (_RECIPIENT_ADVICE if self.is_recipient else _SENDER_ADVICE)
            )
        return VerifyResult(Outcome.DEFER, shown, text, callout=True, details=reply)

    def _trace(self, text: str) -> None:
        self.scope.depth += 1
        self.scope.trace("verify", text)
        self.scope.depth -= 1


_RECIPIENT_ADVICE = "the address will never be accepted."
_SENDER_ADVICE = (
    "you need to change the address or create an MX record for its domain\n"
    "if it is supposed to be generally accessible from the Internet.\n"
    "Talk to your mail administrator for details."
)


def callout(
    delivery: Delivery, scope: Scope, options: CalloutOptions, *, is_recipient: bool, header_sender: bool = False
) -> VerifyResult:
    """Call out for a routed address; accepted when there is nobody to ask (a local delivery)."""
    from angaros.delivery.callout_hosts import hosts_of

    found = hosts_of(delivery, scope)
    if found.message:
        return VerifyResult(Outcome.DEFER, log_message=found.message, callout=True)
    if not found.hosts:
        return VerifyResult(Outcome.ACCEPT)
    scope = scope.child()
    scope.depth = max(scope.depth - 1, 0)
    scope.trace("verify", "Attempting full verification using callout")
    session = scope.session
    if session is not None and session.host_checking and not scope.services.run.host_checking_callout:
        scope.trace("verify", "... callout omitted by default when host testing\n(Use -bhc if you want the callouts to happen.)")
        return VerifyResult(Outcome.ACCEPT)
    return Callout(delivery, found.hosts, scope, options, is_recipient, header_sender, found.unusable).run()
