"""One host: a session (kept or new), the pending addresses over it in as many transactions as it takes, and what that teaches.

Laws:
- A session that breaks by the host's fault ends the work at this host; one that ends for other reasons is followed by a new one.
- Events are raised here: `msg:host:defer`, `msg:rcpt:host:defer`, `msg:rcpt:defer` (Exim spec 61).
"""

from __future__ import annotations

import os
from copy import copy as copied
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from angaros.hints import wait
from angaros.model.errors import AngarosError, Why
from angaros.smtp.client import ClientFailure, EarlyFailure
from angaros.transports import smtp_cache, smtp_held, smtp_resumption
from angaros.transports.smtp_cache import may_be_kept
from angaros.transports.smtp_extensions import judge, refusal
from angaros.transports.smtp_hosts import RetryState, SetupError, default_port, source_address, waiting_key
from angaros.transports.smtp_send import HOST, Copy, Item, Prospect, StaleSession, fresh_result, host_text, send, via
from angaros.transports.smtp_session import Opener, SessionFailure, SmtpSession
from angaros.transports.smtp_sts import VARIABLES, TlsPolicyError
from angaros.transports.smtp_tls import policy
from angaros.transports.smtp_tls_results import TlsResults

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Host
    from angaros.model.scope import Scope


class OneHost:
    """The work at one host."""

    def __init__(self, copy: Copy, host: Host, port: int, state: RetryState, *, last: bool) -> None:
        self.copy = copy
        self.host = host
        self.port = port
        self.state = state
        self.last = last
        """No other host follows."""
        self.scope = copy.scope
        self.options = copy.instance.options
        self.results = TlsResults(copy.scope, host, [item.delivery.domain for item in copy.pending()])

    def run(self) -> None:
        """Try to deliver to all pending addresses."""
        with self.scope.services.run.talking(self.copy.attempt.message.id, self.host.address):
            self._run()

    def _run(self) -> None:
        try:
            plan = policy(self.copy.instance, self.host, self.port, self.scope)
        except TlsPolicyError as error:
            self.results.refused(error)
            self._policy_failed(error)
            return
        for item in self.copy.items:
            item.delivery.extra[VARIABLES] = plan.sts
        unfit = refusal(self.copy.attempt.message, self.host, plan)
        if unfit is not None:
            self._failed(unfit)
            return
        opener = Opener(self.copy.instance, self.host, self.port, plan, self.scope)
        try:
            session = self._session(opener)
        except SessionFailure as failure:
            if not (self.host.smtps and failure.connecting):
                self._failed(failure)
                return
            self._starttls_instead()
            return
        try:
            session, good = self._send_all(session, opener)
        except SessionFailure as failure:
            self._failed(failure)
            return
        self._succeeded(session, opener, good)

    def _starttls_instead(self) -> None:
        """Nobody listens where an SRV record says `smtp-tls`: the same host by STARTTLS, which is required, at the usual port."""
        host = replace(self.host, smtps=False, port=0)
        port = default_port(self.copy.instance, self.scope)
        self.host, self.port = host, port
        try:
            plan = replace(policy(self.copy.instance, host, port, self.scope), required=True)
        except TlsPolicyError as error:
            self.results.refused(error)
            self._policy_failed(error)
            return
        opener = Opener(self.copy.instance, host, port, plan, self.scope)
        try:
            session, good = self._send_all(self._session(opener), opener)
        except SessionFailure as failure:
            self._failed(failure)
            return
        self._succeeded(session, opener, good)

    # The session.

    def _session(self, opener: Opener, *, fresh: bool = False) -> SmtpSession:
        """An idle session, or a new one; in the clear when TLS fails and may."""
        services = self.scope.services
        session = None if fresh else self._kept_session(opener)
        if session is None:
            try:
                session = opener.open()
                self.results.opened(session)
            except SessionFailure as failure:
                self.results.failed(failure, opener.plan)
                if opener.plan.enforced and (failure.tls_failed or failure.number == Why.TLS_REQUIRED):
                    failure.message_error = True  # the policy is one domain's: it must not hold up others at this host
                if not failure.tls_failed or opener.plan.mandatory or not self.options.tls_tempfail_tryclear:
                    raise
                self.copy.host_deferred(failure.text, failure.number)
                where = f"H={self.host.name} [{self.host.address}]"
                text = f"{failure.text}: delivering unencrypted to {where} (not in hosts_require_tls)"
                services.log.write(text, message_id=self.copy.attempt.message.id)
                opener.clear = True
                session = opener.open()
        session.on_close = opener.closed
        for item in self.copy.items:
            item.delivery.extra["tls_out"] = session.tls
        return session

    def _kept_session(self, opener: Opener) -> SmtpSession | None:
        """The one that a callout for this message has left open, or an idle one."""
        key = smtp_cache.cache_key(opener)
        held = smtp_held.take(self.copy.attempt.message, key, opener)
        return held if held is not None else smtp_cache.cache_of(self.scope.services).take(key)

    def _send_all(self, session: SmtpSession, opener: Opener) -> tuple[SmtpSession, bool]:
        """All pending addresses; the session that was used last, and whether it is good for more."""
        queue = self.copy.pending()
        good = True
        while queue:
            batch = self._batch(session, queue)
            try:
                good = send(self.copy, session, batch, self._prospect(session, opener, more=len(batch) < len(queue)))
            except StaleSession:
                session = self._session(opener, fresh=True)
                continue
            except EarlyFailure as failure:
                session = self._slowly(session, opener, failure)
                continue
            except BaseException:
                session.close()
                raise
            queue = self.copy.again + [item for item in queue if item not in batch]
            if not queue or (not good and self.copy.last_failure == HOST):
                self._share_failure(batch, queue)
                break
            if not good or not self._ready(session, batch):
                session.close()
                session = self._session(opener, fresh=True)
        return session, good

    def _prospect(self, session: SmtpSession, opener: Opener, *, more: bool) -> Prospect:
        keys = (self.state.host_key, self.state.message_key)
        return Prospect(self.last, keys, lambda: more or self._more_messages(session, opener))

    def _more_messages(self, session: SmtpSession, opener: Opener) -> bool:
        """Whether the session will be kept once the message that is on its way is delivered (see `_keep`)."""
        services, attempt = self.scope.services, self.copy.attempt
        if not may_be_kept(session, opener):
            return False
        if self._in_daemon or session.turned:
            return True
        usable, current = attempt.may_continue, attempt.message.id
        if usable is None:
            return False
        waiting = wait.waiting(services.hints, self.copy.instance.name, self._waiting_key())
        return any(one != current and usable(one) and self._may_follow(one) for one in waiting)

    @property
    def _in_daemon(self) -> bool:
        """Messages that come later may find the session."""
        services = self.scope.services
        return services.harness is None and hasattr(services.waiter, "start")

    def _slowly(self, session: SmtpSession, opener: Opener, failure: EarlyFailure) -> SmtpSession:
        """The server did not take commands before its greeting: forget that it would. A session without them, if that may help;
        else the host has failed."""
        opener.early.forget()
        session.close(say_quit=failure.reply is not None)
        if failure.again:
            return self._session(opener, fresh=True)
        translated = opener.translated(failure)
        translated.session, translated.message_error = session, True  # as Exim has it: only this message waits
        raise translated

    def _batch(self, session: SmtpSession, queue: list[Item]) -> list[Item]:
        """The addresses of the next transaction (max_rcpt; RFC 9422: RCPTMAX, RCPTDOMAINMAX)."""
        if "RCPTDOMAINMAX" in session.limits:  # whatever its value, as Exim does
            queue = [item for item in queue if item.delivery.domain == queue[0].delivery.domain]
        limits = [limit for limit in (rcpt_limit(self.copy.instance, self.copy.scope), session.limits.get("RCPTMAX", 0)) if limit]
        return queue[: min(limits)] if limits else queue

    def _ready(self, session: SmtpSession, batch: list[Item]) -> bool:
        """Whether the session takes another transaction now."""
        limits = (self.options.connection_max_messages, session.limits.get("MAILMAX", 0))
        if any(limit and session.sequence >= limit for limit in limits):
            return False
        return any(item.result.status == "ok" for item in batch) or session.client.reset()

    def _share_failure(self, batch: list[Item], rest: list[Item]) -> None:
        """Addresses that were not tried share what stopped the others."""
        for item in rest:
            result = batch[0].result
            item.result = replace(result, status="defer", retries=list(result.retries))

    # What came of it.

    def _policy_failed(self, error: TlsPolicyError) -> None:
        copy = self.copy
        if error.sts is not None:
            failure = SessionFailure(str(error), error.number)
            failure.message_error = True  # what one domain's policy says must not hold up other domains at this host
            self._failed(failure)
            return
        if not error.permanent:
            copy.attempt.log_both(f"{host_text(copy, self.host.name, self.host.address, self.port)}: {error}")
            copy.waiting[self._waiting_key()] = None
        for item in copy.pending():
            item.result.message, item.result.basic_errno = str(error), error.number
            if error.permanent:
                item.result.status, item.pending = "fail", False
            else:
                item.result.retries.append((self.state.host_key, "update", error.number, 0, str(error)))

    def _failed(self, failure: SessionFailure) -> None:
        """The session did not come to MAIL: the host's fault (Exim spec 48.2)."""
        copy, text = self.copy, failure.text
        judge(copy.attempt.message, failure)
        if failure.number > 0 and not failure.connecting:
            text += f": {os.strerror(failure.number)}"
        if failure.log_host:
            where = host_text(copy, self.host.name, self.host.address, self.port)
            copy.attempt.log_both(f"{where}{' ' if failure.connecting else ': '}{text}")
        if not failure.message_error:
            copy.waiting[self._waiting_key()] = None
        pending = copy.pending()
        for item in pending:
            if failure.session is not None and failure.show_host:
                item.result = fresh_result(failure.session, copy, item)
            result = item.result
            result.message = "" if (failure.connecting and failure.number > 0) or not failure.show_text else failure.text
            result.basic_errno, result.more_errno = failure.number, failure.more or via(self.host)
            result.host = replace(self.host, port=self.port) if failure.show_host else None
            result.user_message = failure.text if failure.from_peer else ""
            result.dsn_status = failure.dsn_status
            if failure.permanent:
                result.status = "fail"  # unless another host takes it: the address stays pending
            if not failure.permanent or failure.from_peer:  # a host that wants nobody is not to be asked by the next one at once
                said = f"H={self.host.name} [{self.host.address}]: {failure.text}" if failure.from_peer else failure.text
                key = self.state.message_key if failure.message_error else self.state.host_key
                result.retries.append((key, "update", failure.number, result.more_errno, said))
        if pending and not failure.permanent:
            copy.host_deferred(text, failure.number)

    def _succeeded(self, session: SmtpSession, opener: Opener, good: bool) -> None:
        """The host works: its record goes. Keep the session when there is more to send, end it otherwise."""
        state, items = self.state, self.copy.items
        delivered = [item for item in items if item.result.status == "ok"]
        for item in items:
            host_error = any(key == state.host_key and action == "update" for key, action, *_ in item.result.retries)
            if state.host_known and not host_error:
                item.result.retries.append((state.host_key, "delete", 0, 0, ""))
            message_error = any(key == state.message_key and action == "update" for key, action, *_ in item.result.retries)
            if state.message_known and not message_error:
                item.result.retries.append((state.message_key, "delete", 0, 0, ""))
        smtp_resumption.keep(session, self.scope)
        if good and not self._keep(session, opener, delivered):
            session.close()

    def _waiting_key(self) -> str:
        return waiting_key(self.host)

    def _may_follow(self, message_id: str) -> bool:
        """Whether another message would be sent from the same address (`interface`), for all that depends on
        its sender, as seen with Exim 4.99."""
        attempt, options = self.copy.attempt, self.copy.instance.options
        if attempt.sender_of is None or "$" not in f"{options.interface}":
            return True
        child = self.scope.child()
        try:
            child.message = copied(attempt.message)
            child.message.sender_address = attempt.sender_of(message_id)
            return source_address(self.copy.instance, self.host, child) == source_address(
                self.copy.instance, self.host, self.scope
            )
        except (AngarosError, SetupError, OSError):
            return False

    def _keep(self, session: SmtpSession, opener: Opener, delivered: list[Item]) -> bool:
        """Whether the session was kept for another message (Exim spec 30.1)."""
        services, attempt = self.scope.services, self.copy.attempt
        settled = delivered or any(item.result.status == "fail" for item in self.copy.items)
        if not settled or not may_be_kept(session, opener):
            return False
        next_id = ""
        if attempt.may_continue is not None:
            next_id, _ = wait.next_waiting(
                services.hints,
                self.copy.instance.name,
                self._waiting_key(),
                attempt.message.id,
                attempt.may_continue,
                self._may_follow,
            )
        if not next_id and not (self._in_daemon and delivered):
            return False
        if not delivered and not _reset(session):
            return False
        if next_id and session.tls is not None:  # as with Exim, the peer's name is not passed on with a connection
            session.tls = replace(session.tls, peer_dn="")
        session.pause()
        cache = smtp_cache.cache_of(services)
        kept = cache.put(smtp_cache.cache_key(opener), session, services, for_next=bool(next_id))
        if next_id and kept:
            self.copy.items[0].result.detail["next_message"] = next_id
        return kept


def _reset(session: SmtpSession) -> bool:
    """Whether the server is ready for another transaction; it may have gone meanwhile."""
    try:
        return session.client.reset()
    except ClientFailure:
        return False


def rcpt_limit(instance: DriverInstance[Any], scope: Scope) -> int:
    """`max_rcpt`; 0 for none. Raises `SetupError`."""
    text = instance.options.max_rcpt
    try:
        return int(scope.expand(text) or 0)
    except ValueError:
        raise SetupError(f'"{text}" is not a number, for max_rcpt', int(Why.EXPAND_FAIL)) from None
