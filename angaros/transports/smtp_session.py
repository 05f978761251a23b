"""Opening an SMTP session with a host: connection, greeting, EHLO, STARTTLS, AUTH. What Exim does before MAIL.

Laws:
- Every way to fail ends in `SessionFailure`, which says whose fault it is and how the host line of the log looks.
- A `SmtpSession` is ready for a transaction; it can be used for several.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from angaros.config.driver_checks import is_client
from angaros.model.errors import ExpansionError, ForcedFailure, Why
from angaros.model.events import raise_event
from angaros.model.tls import TlsFacts
from angaros.net.sockets import BindError
from angaros.net.tls import TlsError, pem_of
from angaros.smtp.client import CLOSED, REPLY, ClientFailure, ClientReply, EarlyFailure, SmtpClient, Timeouts
from angaros.smtp.trace import ClientTrace
from angaros.transports import smtp_auth, smtp_resumption
from angaros.transports.smtp_early import CLEAR, CRYPTED, EarlyPipe
from angaros.transports.smtp_hosts import SetupError, default_port, protocol_of, show_unset, source_address
from angaros.transports.smtp_hosts import expand_host_list_option as listed
from angaros.transports.smtp_tls import TlsPolicy, client_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Host
    from angaros.model.interfaces import Stream
    from angaros.model.scope import Scope
    from angaros.model.turned import Turned
    from angaros.transports.smtp_held import OpenTransaction

PARTING = 5.0
"""Seconds to wait for the reply to QUIT, and for the end of a turned connection."""
NO_LIMIT = 86400.0
"""Seconds, for a `connect_timeout` of 0: the system gives up before."""
RTEF_CONNECT = 0x100
"""Bit of more_errno: the time-out was while connecting (see hints.retry)."""


class SessionFailure(Exception):
    """The session does not come, or came, to its transaction."""

    def __init__(self, text: str, number: int = 0, *, more: int = 0, permanent: bool = False, show_text: bool = True) -> None:
        super().__init__(text)
        self.text = text
        """For the log; "" when the errno says it all."""
        self.number = number
        self.more = more
        self.permanent = permanent
        self.show_text = show_text
        """False: only the host line has the text."""
        self.connecting = False
        """There was no connection: the host line has no colon, and the address line names no host."""
        self.show_host = True
        """The address line names the host."""
        self.log_host = True
        """There is a host line."""
        self.tls_failed = False
        """A handshake failed: sending in the clear may be an alternative."""
        self.message_error = False
        """The retry record is for the message at the host, not for the host."""
        self.dsn_status = ""
        """Status code of a bounce, "" for the usual one."""
        self.from_peer = False
        """`text` is what the server said: the sender may see it."""
        self.session: SmtpSession | None = None
        """As far as it came."""
        self.problems: list[str] = []
        """What was wrong with the server's certificate."""


@dataclass(slots=True)
class SmtpSession:
    """A session with a host."""

    client: SmtpClient
    stream: Stream
    host: Host
    port: int
    plan: TlsPolicy
    helo: str = ""
    source: str = ""
    startup: str = ""
    """Letters of the log's `PS=`; shown once."""
    sequence: int = 0
    """Messages sent."""
    early: bool = False
    """Commands went out before the greeting, or before the answer to EHLO."""
    resume_key: str = ""
    """Where its TLS session is kept for resumption; "" when it is not."""
    reused: bool = False
    tls: TlsFacts | None = None
    authenticator: str = ""
    auth_id: str = ""
    auth_sender: str = ""
    authenticated: bool = False
    proxy_address: str = ""
    proxy_port: int = 0
    used: set[str] = field(default_factory=set)
    limits: dict[str, int] = field(default_factory=dict)
    may_pipeline: bool = False
    """The server has offered it, and options do not forbid it."""
    turned: bool = False
    """The connection came from the other side (ATRN): it is not closed under its feet."""
    half_close: bool = True
    """Our side of the connection is closed after QUIT, if its reply is waited for."""
    on_close: Callable[[], None] | None = None
    """Called once, when the connection is closed."""
    open: OpenTransaction | None = None
    """MAIL and RCPT have been said already: for the next transaction."""
    _ended: bool = False

    @property
    def covered(self) -> bool:
        """TLS is up, and DANE or an enforced MTA-STS policy vouches for the server (see `TlsPolicy.covered`)."""
        return self.plan.covered and self.tls is not None and self.tls.certificate_verified

    def close(self, *, say_quit: bool = True, wait_for_quit: bool = False, quit_said: bool = False) -> None:
        """End it. `quit_said`: QUIT went out before, its reply did not come yet."""
        if self._ended:
            return
        self._ended = True
        trace = self.client.trace
        wait = PARTING if wait_for_quit or self.turned or trace is not None else 0
        if not self.stream.closed:  # type: ignore[attr-defined]
            if quit_said:  # the reply is next to here; a closed socket would answer it with a reset
                self.client.read_parting(PARTING)
            elif say_quit:
                half_close = bool(wait) and self.half_close and not self.turned and self.stream.tls is None
                self.client.quit(wait=wait, half_close=half_close)
        if trace is not None:
            trace.line("  SMTP(close)>>")
            trace.ended()
        if self.turned:
            self._part()
        self.stream.close()
        if self.on_close is not None:
            told, self.on_close = self.on_close, None
            told()

    def pause(self) -> None:
        """It is kept for another message."""
        if self.client.trace is not None:
            self.client.trace.ended()

    def _part(self) -> None:
        """Let the other side, which opened the connection, end it: what it still says must not be answered with a reset."""
        try:
            if self.tls is not None:
                self.stream.stop_tls()
            self.stream.shutdown_write()
            while self.stream.read(4096, PARTING):
                pass
        except (OSError, TimeoutError):
            pass


class Opener:
    """Opens one session; its methods are the steps."""

    def __init__(self, instance: DriverInstance[Any], host: Host, port: int, plan: TlsPolicy, scope: Scope) -> None:
        self.instance = instance
        self.options = instance.options
        self.host = host
        self.port = port
        self.plan = plan
        self.scope = scope
        self.clear = False
        """TLS has failed before: go without."""
        self.half_close = True
        """See `SmtpSession`."""
        self.avoid_tls: tuple[str, ...] = ("hosts_avoid_tls",)
        """Options that may forbid STARTTLS."""
        self.trace: ClientTrace | None = None
        avoid = any(
            listed(getattr(self.options, name), name, host, scope) for name in ("hosts_avoid_esmtp", "hosts_avoid_pipelining")
        )
        self.early = EarlyPipe(
            instance, host, port, scope, avoid=avoid or scope.turned is not None or protocol_of(self.options) == "lmtp"
        )

    _ahead = b""
    """What was written when the connection was made."""

    def open(self) -> SmtpSession:
        """All steps. Raises `SessionFailure` or `SetupError`."""
        self.trace = self._new_trace()
        turned = self.scope.turned
        stream, proxy = self._connect() if turned is None else (self._take_turned(turned), ("", 0))
        client = SmtpClient(stream, self._timeouts(), trace=self.trace)
        client.sent_ahead, self._ahead = self._ahead, b""
        session = SmtpSession(client, stream, self.host, self.port, self.plan)
        session.on_close = self.closed
        session.half_close = self.half_close
        session.proxy_address, session.proxy_port = proxy
        session.tls = turned.tls if turned is not None else None
        session.turned = turned is not None
        self.scope.local["sending_ip_address"] = stream.local_address
        self.scope.local["sending_port"] = str(stream.local_port)
        try:
            self._start(session)
        except ClientFailure as failure:
            if isinstance(failure, EarlyFailure):
                self.early.forget()
                if failure.again:
                    session.close(say_quit=False)
                    return self.open()
            session.close(say_quit=failure.kind == REPLY)
            translated = self.translated(failure)
            translated.session = session
            raise translated from None
        except SessionFailure as failure:
            failure.session = session
            session.close(say_quit=not failure.tls_failed)
            raise
        except BaseException:
            session.close()
            raise
        return session

    def adopt(self, session: SmtpSession) -> None:
        """A session that a callout has opened is ours: our time-outs, our trace."""
        session.client.timeouts = self._timeouts()
        session.client.trace, session.half_close = self._new_trace(), self.half_close
        session.on_close = self.closed

    def _timeouts(self) -> Timeouts:
        return Timeouts(self.options.command_timeout, self.options.data_timeout, self.options.final_timeout)

    @staticmethod
    def _take_turned(turned: Turned) -> Stream:
        """The connection of an ATRN client; there is only one."""
        stream, turned.stream = turned.stream, None
        if stream is None:
            raise _connect_failure(SessionFailure("", errno.ECONNREFUSED))
        return stream

    def _new_trace(self) -> ClientTrace | None:
        """For who watches by -v, -d or -bhc."""
        log, depth = self.scope.services.log, self.scope.depth
        if not log.debugging("v", hc=True):
            return None

        def shown(selector: str, depth: int = 0) -> Callable[[str], None]:
            return lambda text: log.debug(selector, text, hc=True, indent=depth)

        detail = shown("transport", depth) if log.debugging("transport", hc=True) else None
        return ClientTrace(shown("v", depth), detail, shown("v"))

    def _show_connecting(self, source: tuple[str, int] | None) -> None:
        if self.trace is None:
            return
        usual = default_port(self.instance, self.scope)
        if self.port != usual:
            self.trace.line(f"Transport port={usual} replaced by host-specific port={self.port}")
        where = f"{self.host.name} [{self.host.address}]:{self.port}"
        self.trace.line(f"Connecting to {where}{f' from {source[0]}' if source is not None else ''} ...")

    def _show_not_connected(self, error: OSError, source: tuple[str, int] | None) -> None:
        if self.trace is None:
            return
        if isinstance(error, BindError) and source is not None:
            self.trace.line(f"unable to bind outgoing SMTP call to {source[0]}: {error.strerror}")
        self.trace.line(f" sock_connect failed: {error.strerror or error}")
        self.trace.ended()

    def closed(self) -> None:
        """The connection has ended."""
        raise_event(self.options.event_action, "tcp:close", "", self.scope)

    # Connecting.

    def _connect(self) -> tuple[Stream, tuple[str, int]]:
        action = self.options.event_action
        denied = raise_event(action, "tcp:connect", "", self.scope)
        if denied:
            raise _connect_failure(SessionFailure("Event requests alternate response", int(Why.EVENT), show_text=False))
        timeout = float(self.options.connect_timeout or NO_LIMIT)
        address = source_address(self.instance, self.host, self.scope)
        source = (address, 0) if address else None
        self._show_connecting(source)
        try:
            if self.options.socks_proxy:
                proxied = self._connect_by_proxy(timeout, source)
                if proxied is not None:
                    return proxied
            connected = self.scope.services.waiter.connect(
                self.host.address, self.port, timeout=timeout, source=source, options=self._fast_open(self._socket_options())
            )
        except OSError as error:
            if isinstance(error, BindError) and source is not None:
                self._log(f"bind of [{source[0]}]:{source[1]} failed")
            self._show_not_connected(error, source)
            raise self._not_connected(error) from None
        if self.trace is not None:
            self.trace.line("connected")
        return connected, ("", 0)

    def _socket_options(self) -> dict[str, Any]:
        found: dict[str, Any] = {"keepalive": self.options.keepalive}
        if self.options.dscp:
            from angaros.net.sockets import dscp_value

            value = dscp_value(self._expanded(self.options.dscp, "dscp"))
            if value is not None:
                found["dscp"] = value
        return found

    def _fast_open(self, options: dict[str, Any]) -> dict[str, Any]:
        """`hosts_try_fastopen`: EHLO goes with the SYN when it may go before the greeting. Exim spec 30.4"""
        if listed(self.options.hosts_try_fastopen, "hosts_try_fastopen", self.host, self.scope):
            options["fastopen"] = True
            if not self.plan.on_connect and self.early.features(CLEAR):
                self._ahead = options["early_data"] = f"EHLO {self._helo()}\r\n".encode("latin-1")
        return options

    def _connect_by_proxy(self, timeout: float, source: tuple[str, int] | None) -> tuple[Stream, tuple[str, int]] | None:
        from angaros.net import socks

        text = self._expanded(self.options.socks_proxy, "socks_proxy")
        if not text:
            return None
        try:
            proxies = socks.parse_proxies(text)
        except ValueError as error:
            raise SetupError(str(error), panic=True) from None
        target = socks.Target(self.host.address, self.port, timeout, source, self._socket_options())
        connection = socks.connect(proxies, target, self.scope.services)
        local = self.scope.local
        local["proxy_local_address"], local["proxy_local_port"] = connection.proxy.address, str(connection.proxy.port)
        local["proxy_external_address"], local["proxy_external_port"] = connection.bound_address, str(connection.bound_port)
        return connection.stream, (connection.proxy.address, connection.proxy.port)

    def _not_connected(self, error: OSError) -> SessionFailure:
        number = error.errno or errno.EIO
        harness = self.scope.services.harness
        if number == errno.ECONNREFUSED and harness and harness.refusal_is_timeout(self.options.connect_timeout):
            number = errno.ETIMEDOUT
        more = ord("M") if self.host.mx >= 0 else ord("A")
        if number == errno.ETIMEDOUT:
            more |= RTEF_CONNECT
        failure = SessionFailure(os.strerror(number) if error.errno else str(error), number, more=more)
        return _connect_failure(failure)

    # Talking.

    def _start(self, session: SmtpSession) -> None:
        client = session.client
        if self.plan.on_connect and session.tls is None:
            client.label = "TLS-on-connect"
            self._handshake(session)
        early = self.early.features(CRYPTED if self.plan.on_connect else CLEAR)
        if early:
            client.expect_greeting()
            client.on_early = lambda reply: self._reaped(session, reply)
        else:
            client.greet("TLS-on-connect" if self.plan.on_connect else "initial connection")
            self._connect_event(session)
        session.helo = self._helo()
        self._hello(session, early)
        if not self.plan.on_connect and session.tls is None:
            self._start_tls(session)
        self._read_limits(session)
        if "PIPELINING" in client.features:
            avoid = self.options.hosts_avoid_pipelining
            session.may_pipeline = not listed(avoid, "hosts_avoid_pipelining", self.host, self.scope, shown=True)
        self._authenticate(session)

    def _helo(self) -> str:
        try:
            return self.scope.expand(self.options.helo_data)
        except ExpansionError as error:
            raise SetupError(f"failed to expand transport's helo_data value: {error}", int(Why.EXPAND_FAIL)) from None

    def _connect_event(self, session: SmtpSession) -> None:
        answer = raise_event(self.options.event_action, "smtp:connect", session.client.greeting.text, self.scope)
        if answer:
            raise SessionFailure(f"deferred by smtp:connect event expansion: {answer}", int(Why.EVENT))

    def _reaped(self, session: SmtpSession, reply: ClientReply) -> None:
        """The greeting or the answer to EHLO has come, after more had been sent."""
        if reply is session.client.greeting:
            self._connect_event(session)
        else:
            self._ehlo_answered(session)

    def _ehlo_answered(self, session: SmtpSession) -> None:
        reply = session.client.hello_reply
        self.early.learn(CLEAR if session.tls is None else CRYPTED, reply)
        raise_event(self.options.event_action, "smtp:ehlo", reply.text, self.scope)

    def _hello(self, session: SmtpSession, early: dict[str, str]) -> None:
        """`early`: what the server is believed to offer, if its answer is to be read later."""
        client = session.client
        if early:
            client.on_early = lambda reply: self._reaped(session, reply)
            client.hello_early(session.helo, early)
            self.early.used = session.early = True
            session.startup += "e"
            return
        lmtp = protocol_of(self.options) == "lmtp"
        first = session.tls is None  # once is enough
        avoid = not lmtp and listed(self.options.hosts_avoid_esmtp, "hosts_avoid_esmtp", self.host, self.scope, shown=first)
        client.hello(session.helo, lmtp=lmtp, avoid_esmtp=avoid)
        if client.esmtp:
            session.startup += "e"
            self._ehlo_answered(session)

    def _start_tls(self, session: SmtpSession) -> None:
        client, plan = session.client, self.plan
        offered = "STARTTLS" in client.features
        if offered and self.trace is not None:
            for name in self.avoid_tls:
                show_unset(getattr(self.options, name), name, self.host, self.scope)
        if offered and not self.clear and (plan.allowed or plan.mandatory):
            reply = client.command("STARTTLS")
            if reply.ok:
                self._handshake(session)
                self._hello(session, self.early.features(CRYPTED))
                return
            if reply.code // 100 == 4 and not self.options.tls_tempfail_tryclear and not plan.mandatory:
                raise client.reply_failure(reply)
            if plan.mandatory:
                raise SessionFailure("a TLS session is required, but an attempt to start TLS failed", int(Why.TLS_REQUIRED))
        elif plan.mandatory:
            what = "the server did not offer TLS support" if not offered else "an attempt to start TLS failed"
            raise SessionFailure(f"a TLS session is required, but {what}", int(Why.TLS_REQUIRED))

    def _handshake(self, session: SmtpSession) -> None:
        stream = session.stream
        try:
            context, sni = client_context(self.instance, self.host, self.plan, self.scope)
            if context.settings.resumption:
                name = smtp_resumption.server_name(self.instance, session.client.hello_reply.text, self.scope)
                session.resume_key = smtp_resumption.key_of(context, self.host, self.port, sni, name)
                smtp_resumption.offer(context, session.resume_key, self.scope)
            if self.options.event_action:
                context.hooks.on_certificate = self._certificate_event
            facts = stream.start_tls(context, server_name=sni, timeout=self.options.command_timeout)
        except TimeoutError:
            raise self._tls_failure("(SSL_connect): timed out", session) from None
        except TlsError as error:
            for note in error.notes:
                self._log(note)
            self._log_problems(error.problems)
            if error.certificate and self.scope.delivery is not None:
                self.scope.delivery.extra["tls_out"] = TlsFacts(peer_certificate=error.certificate)
            if self.plan.on_connect and "TCP connection closed by peer" in str(error):
                raise session.client.closed_failure() from None
            failure = self._tls_failure(str(error), session)
            failure.problems = error.problems
            raise failure from None
        except OSError as error:
            raise self._tls_failure(f"(SSL_connect): {error.strerror}", session) from None
        engine = stream.tls_engine()  # type: ignore[attr-defined]
        self._log_problems(engine.problems)
        facts.on_connect = self.plan.on_connect
        facts.sts = self.plan.enforced
        session.tls = facts
        if self.scope.delivery is not None:
            self.scope.delivery.extra["tls_out"] = facts
        session.startup += "s"

    def _certificate_event(self, depth: int, certificate: Any) -> str | None:
        """Event tls:cert: a text refuses the certificate (Exim spec 61)."""
        if self.scope.delivery is not None:
            self.scope.delivery.extra["tls_out"] = TlsFacts(peer_certificate=pem_of(certificate))
        return raise_event(self.options.event_action, "tls:cert", str(depth), self.scope) or None

    def _tls_failure(self, text: str, session: SmtpSession) -> SessionFailure:
        stream = session.stream
        stream.close()
        if self.plan.tlsa:
            where = f"{self.host.name} [{self.host.address}]"
            self._log(f"DANE attempt failed; TLS connection to {where}: {text}")
            raise_event(self.options.event_action, "dane:fail", "validation-failure", self.scope)
        elif self.plan.enforced and self.plan.sts is not None:
            where = f"{self.host.name} [{self.host.address}]"
            self._log(f"MTA-STS policy of {self.plan.sts.domain} not met; TLS connection to {where}: {text}")
        failure = SessionFailure(f"TLS session: {text}", int(Why.TLS_FAILURE))
        failure.tls_failed = True
        failure.log_host = False
        return failure

    def _log_problems(self, problems: list[str]) -> None:
        for problem in problems:
            self._log(f"[{self.host.address}] {problem}")

    def _log(self, text: str) -> None:
        message_id = self.scope.message.id if self.scope.message is not None else ""
        self.scope.services.log.write(text, message_id=message_id)

    def _read_limits(self, session: SmtpSession) -> None:
        """RFC 9422: LIMITS MAILMAX=n RCPTMAX=n RCPTDOMAINMAX=n."""
        for word in session.client.features.get("LIMITS", "").split():
            name, _, value = word.partition("=")
            if value.isdigit() and int(value) > 0:
                session.limits[name.upper()] = int(value)

    # AUTH.

    def _authenticate(self, session: SmtpSession) -> None:
        require = listed(self.options.hosts_require_auth, "hosts_require_auth", self.host, self.scope, shown=True)
        if not require and not listed(self.options.hosts_try_auth, "hosts_try_auth", self.host, self.scope):
            return
        if "AUTH" in session.client.features:
            mechanisms = session.client.features["AUTH"].upper().split()
            for authenticator in self.scope.services.config.authenticators:
                if (authenticator.options.public_name or "").upper() in mechanisms and is_client(authenticator):
                    scope = self.scope.child()
                    outcome = smtp_auth.authenticate(authenticator, scope, session.client)
                    if self._auth_outcome(session, authenticator, outcome, scope):
                        return
            text = "authentication required but authentication attempt(s) failed"
        else:
            text = "authentication required but server did not advertise AUTH support"
        if require:
            failure = SessionFailure(text, int(Why.AUTH_FAIL))
            failure.show_host = failure.log_host = False
            raise failure

    def _auth_outcome(
        self, session: SmtpSession, authenticator: DriverInstance[Any], outcome: smtp_auth.Outcome, scope: Scope
    ) -> bool:
        """Whether we are authenticated now; False: try the next."""
        if outcome.status == "skipped":
            return False
        if "a" not in session.startup:
            session.startup += "a"
        if outcome.status == "ok":
            session.authenticated = True
            session.authenticator = authenticator.name
            client_id = authenticator.options.client_set_id
            session.auth_id = self._expanded(client_id, "client_set_id", scope) if client_id else ""
            return True
        if outcome.status == "error":
            raise SetupError(outcome.message, int(Why.AUTH_FAIL))
        if outcome.status == "deferred" and outcome.reply is not None:
            raise session.client.reply_failure(outcome.reply)
        if self.early.used:
            self.early.forget()
        text = outcome.reply.text if outcome.reply is not None else outcome.message
        scope.local["sender_host_authenticated"] = authenticator.name
        said = raise_event(self.options.event_action, "auth:fail", text, scope)
        what = "cancelled authentication" if outcome.status == "cancelled" else "failed"
        line = f"{authenticator.name} authenticator {what} H={self.host.name} [{self.host.address}] {text}"
        self._log(said or line)
        return False

    # Odds and ends.

    def _expanded(self, text: str, name: str, scope: Scope | None = None) -> str:
        try:
            return (scope or self.scope).expand(text)
        except ForcedFailure:
            return ""
        except ExpansionError as error:
            raise SetupError(f"failed to expand {name}: {error}", int(Why.EXPAND_FAIL)) from None

    @staticmethod
    def translated(failure: ClientFailure) -> SessionFailure:
        """A failure of the conversation before MAIL is the host's (Exim spec 48.2)."""
        number = failure.errno if failure.kind != REPLY else 0
        translated = SessionFailure(failure.text, number, permanent=failure.permanent)
        translated.from_peer = failure.reply is not None
        if failure.kind == CLOSED:
            translated.number = int(Why.SMTP_CLOSED)
        return translated


def _connect_failure(failure: SessionFailure) -> SessionFailure:
    failure.connecting = True
    failure.show_host = False
    return failure
