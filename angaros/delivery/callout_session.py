"""The SMTP session of a callout: opened as the smtp transport does it, with the callout's own time-outs. Exim spec 44.46."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from angaros.model.errors import ExpansionError
from angaros.smtp.client import ClientReply
from angaros.transports import smtp_tls
from angaros.transports.recipients import envelope_recipient
from angaros.transports.smtp_cache import Key, cache_key
from angaros.transports.smtp_held import OpenTransaction
from angaros.transports.smtp_hosts import SetupError, default_port, expand_host_list_option
from angaros.transports.smtp_session import Opener, SessionFailure, SmtpSession
from angaros.transports.smtp_sts import TlsPolicyError
from angaros.transports.smtp_tls_results import TlsResults

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Delivery, Host
    from angaros.model.scope import Scope
    from angaros.model.verify import CalloutOptions

SIZE_MARGIN = 1024
"""Octets that may still be added to the message on the way (as `size_addition` of the transport)."""


class CalloutSession:
    """A session with one host; can be opened again."""

    def __init__(self, delivery: Delivery, host: Host, scope: Scope, options: CalloutOptions) -> None:
        instance: DriverInstance[Any] = scope.services.config.transports[delivery.transport]
        self.delivery = delivery
        self.host = host
        self.scope = scope.child(
            delivery, transport_name=instance.name, host=host.name, host_address=host.address, host_port=str(host.port or "")
        )
        self.scope.host = host
        self.scope.depth = scope.depth + 1
        self.outer = scope
        self.instance = _with_timeouts(instance, options)
        self.session: SmtpSession | None = None
        self.opener: Opener | None = None
        self.key: Key | None = None
        self.mail = ""
        """The last MAIL command."""

    @property
    def recipient(self) -> str:
        """Address for RCPT: affixes that routers took off are put back only if the transport wants them."""
        return envelope_recipient(self.delivery, self.instance)

    def open(self) -> None:
        """Connect, greet, EHLO, STARTTLS, AUTH. Raises `SessionFailure`, `SetupError`."""
        interface = self.instance.options.interface
        port = self.host.port or default_port(self.instance, self.scope)
        results = TlsResults(self.scope, self.host, [self.delivery.domain])
        try:
            plan = smtp_tls.policy(self.instance, self.host, port, self.scope)
        except TlsPolicyError as error:
            results.refused(error)
            raise SessionFailure(str(error), error.number) from None
        self.outer.trace("verify", f"interface={interface or 'NULL'} port={port}")
        if expand_host_list_option(self.instance.options.hosts_verify_avoid_tls, "hosts_verify_avoid_tls", self.host, self.scope):
            plan = replace(plan, allowed=False)
        opener = self.opener = Opener(self.instance, self.host, port, plan, self.scope)
        opener.half_close = False
        opener.avoid_tls = ("hosts_avoid_tls", "hosts_verify_avoid_tls")
        try:
            self.session = opener.open()
            results.opened(self.session)
        except SessionFailure as failure:
            results.failed(failure, plan)
            if not failure.tls_failed or plan.mandatory or not self.instance.options.tls_tempfail_tryclear:
                raise
            self.scope.services.log.write(
                f"{failure.text}: callout unencrypted to {self.host.name} [{self.host.address}] (not in hosts_require_tls)"
            )
            opener.clear = True
            self.session = opener.open()

    def command(self, line: str) -> ClientReply:
        """One command and its reply. Raises `ClientFailure`."""
        assert self.session is not None
        return self.session.client.command(line)

    def mail_and_rcpt(self, sender: str, rcpt: str, *, size: bool) -> tuple[ClientReply, ClientReply | None]:
        """MAIL, then (in one go with it if the server can, else after its success) the command `rcpt`. Raises `ClientFailure`."""
        assert self.session is not None
        client = self.session.client
        line = self.mail = self._mail_command(sender, size=size)
        if not self.session.may_pipeline:
            mail = client.command(line, f"MAIL FROM:<{sender}>")
            return mail, client.command(rcpt) if mail.ok else None
        client.queue(line, f"MAIL FROM:<{sender}>")
        client.queue(rcpt)
        client.flush()
        client.label = f"MAIL FROM:<{sender}>"
        mail = client.read_reply()
        client.label = rcpt
        return mail, client.read_reply()

    def _mail_command(self, sender: str, *, size: bool) -> str:
        """With SIZE when the server wants it and the size is known."""
        assert self.session is not None
        line = f"MAIL FROM:<{sender}>"
        features = self.session.client.features
        message = self.scope.message
        octets = max(message.message_size, message.body_size_declared) if message is not None else 0
        if size and octets > 0 and "SIZE" in features:
            addition = self.instance.options.size_addition
            line += f" SIZE={octets + (addition if addition >= 0 else SIZE_MARGIN)}"
        if message is not None and message.smtputf8 and "SMTPUTF8" in features:
            line += " SMTPUTF8"
        return line

    @property
    def lacks_utf8(self) -> bool:
        """The message needs SMTPUTF8 and the server does not have it. RFC 6531 3.6."""
        message = self.scope.message
        if message is None or not message.smtputf8 or self.session is None:
            return False
        return "SMTPUTF8" not in self.session.client.features and not message.utf8_downgrade

    def remember_way(self) -> bool:
        """Note where the session leads, and how, as it is now (the message will change); whether that can be told."""
        if self.opener is None:
            return False
        try:
            self.key = cache_key(self.opener)
        except (ExpansionError, SetupError):
            return False
        return True

    def open_transaction(self, recipients: list[str]) -> OpenTransaction | None:
        """What is open, for the transport to go on with; None when that would not know where it leads."""
        session = self.session
        if session is None or self.key is None:
            return None
        if session.tls is not None:  # as with Exim, what the check of the certificate found is not passed on with a connection
            session.tls = replace(session.tls, certificate_verified=False, peer_dn="")
        return OpenTransaction(session, self.key, self.mail, list(recipients))

    def close(self) -> None:
        """QUIT and close."""
        if self.session is not None:
            self.session.close()
            self.session = None


def _with_timeouts(instance: DriverInstance[Any], options: CalloutOptions) -> DriverInstance[Any]:
    """The transport with the callout's time-outs instead of its own."""
    connect = options.connect if options.connect >= 0 else options.timeout
    changed = instance.options.with_(command_timeout=options.timeout, connect_timeout=connect)
    return replace(instance, options=changed)


__all__ = ["CalloutSession", "SessionFailure", "SetupError"]
