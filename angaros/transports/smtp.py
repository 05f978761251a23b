"""The smtp transport: one message to one list of hosts (Exim spec 30).

Laws:
- `deliver` gives each address a result, whatever happens; the default is defer.
- Hosts are tried in order until no address is left: retry hints, hosts_max_try and what hosts answered decide how far.
- A session that is good for more is kept only when more is to come.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from angaros.hints import wait
from angaros.model.delivery import Delivery, DeliveryResult, Host
from angaros.model.errors import ExpansionError, ListDefer, Why
from angaros.transports import smtp_cache
from angaros.transports.smtp_cache import may_be_kept
from angaros.transports.smtp_hosts import (
    EXPIRED,
    UNUSABLE,
    RetryState,
    SetupError,
    default_port,
    host_list,
    resolve,
    retry_state,
)
from angaros.transports.smtp_hosts import expand_host_list_option as listed
from angaros.transports.smtp_send import Copy, Item, StaleSession, fresh_result, host_text, send
from angaros.transports.smtp_session import Opener, SessionFailure, SmtpSession
from angaros.transports.smtp_tls import DaneError, TlsPolicy, policy

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope
    from angaros.transports.attempt import Attempt

FIRST_PASS = "first-pass only routing due to -odqs, queue_smtp_domains or control=queue"
LONG_FAILING = "have been failing for a long time"


def deliver(
    instance: DriverInstance[Any], deliveries: Sequence[Delivery], scope: Scope, attempt: Attempt
) -> list[DeliveryResult]:
    """Try to deliver to all of `deliveries`, which share hosts, transport and envelope sender. Results in the same order."""
    items = [Item(delivery) for delivery in deliveries]
    copy = Copy(instance, attempt, scope.child(deliveries[0]), items)
    try:
        _Hosts(copy).run()
    except SetupError as error:
        if error.panic:
            scope.services.log.write(error.text, message_id=attempt.message.id, panic=True)
        _set_all(items, error.text, error.number)
    except (ExpansionError, ListDefer) as error:
        _set_all(items, str(error), int(Why.LIST_DEFER))
    finally:
        for item in items:
            item.delivery.extra.pop("tls_out", None)
    return [item.result for item in items]


def _set_all(items: list[Item], text: str, number: int) -> None:
    for item in items:
        if item.pending and item.result.status != "fail":
            item.result.status, item.result.message, item.result.basic_errno = "defer", text, number


class _Hosts:
    """The loop over hosts for one copy."""

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.instance = copy.instance
        self.options = copy.instance.options
        self.scope = copy.scope
        self.attempt = copy.attempt
        self.tried = 0
        """Hosts tried that are not past their last cutoff."""
        self.total = 0
        self.last_mx = -1
        self.skipped: list[str] = []
        """Why hosts were not tried: `retry`, `expired`, `serialized`, `unknown`."""
        self.waiting: dict[str, None] = {}
        """Names of hosts that the message waits for."""

    def run(self) -> None:
        """Try the hosts in order."""
        if self._lines_too_long():
            return
        hosts = host_list(self.instance, self.copy.items[0].delivery, self.scope)
        port = default_port(self.instance, self.scope)
        position = 0
        while position < len(hosts) and self._pending():
            host = hosts[position]
            position += 1
            if not host.address:
                hosts[position:position] = self._find(host)
                continue
            if self._enough(host, hosts[position:]):
                continue
            if self.total >= self.options.hosts_max_try_hardlimit:
                break
            self._try(host, host.port or port, last=position == len(hosts))
        self._conclude()

    def _pending(self) -> list[Item]:
        return [item for item in self.copy.items if item.pending]

    def _lines_too_long(self) -> bool:
        limit, longest = self.options.message_linelength_limit, self.attempt.message.max_received_linelength
        if not limit or longest <= limit:
            return False
        for item in self.copy.items:
            item.pending = False
            item.result.status = "fail"
            item.result.message = f"message has lines too long for transport (received {longest}, limit {limit})"
        return True

    def _find(self, host: Host) -> list[Host]:
        """Look a host up; [] when it has no address (that is noted)."""
        if host.status == "unusable":  # the router could not look it up
            self.skipped.append("unknown")
            _set_all(self.copy.items, "host lookup did not complete", int(Why.DNS_DEFER))
            return []
        found = resolve(host, self.instance, self.scope)
        if found[0].status != "unusable":
            return found
        self.skipped.append("unknown")
        text = f"failed to lookup IP address for {host.name}"
        number = Why.UNKNOWN_HOST
        if found[0].why == "deferred":
            text, number = "host lookup did not complete", Why.DNS_DEFER
        _set_all(self._pending(), text, int(number))
        return []

    def _enough(self, host: Host, others: list[Host]) -> bool:
        """hosts_max_try is reached, and this host has no new MX value either (Exim spec 30.5)."""
        if self.tried < self.options.hosts_max_try:
            return False
        if host.mx >= 0 and host.mx != self.last_mx:
            self.tried = self.options.hosts_max_try - 1
            return False
        return True

    def _conclude(self) -> None:
        """Word the outcome of addresses for which no host was tried; note what the message waits for."""
        pending = self._pending()
        services = self.scope.services
        for item in pending:
            if not self.total and not item.result.message:
                self._not_tried(item)
        if pending and self.waiting and not self.attempt.message.dont_deliver:
            wait.note_waiting(services.hints, self.instance.name, list(self.waiting), self.attempt.message.id)

    def _not_tried(self, item: Item) -> None:
        result, domain = item.result, item.delivery.domain
        result.basic_errno = int(Why.HOST_RETRY)
        if self.skipped and all(why == "expired" for why in self.skipped):
            item.delivery.timed_out = True
            if self.options.delay_after_cutoff:
                result.message = f"all hosts for '{domain}' {LONG_FAILING} (and retry time not reached)"
            else:
                result.message = f"all hosts {LONG_FAILING} and were last tried after this message arrived"
        elif "serialized" in self.skipped:
            result.message = f"connection limit reached for all hosts for '{domain}'"
        else:
            result.message = f"retry time not reached for any host for '{domain}'"

    # One host.

    def _try(self, host: Host, port: int, *, last: bool) -> None:
        scope = self.scope
        scope.host = host
        host.port = port
        domain = self.copy.items[0].delivery.domain
        state = retry_state(host, port, self.instance, scope, domain, forced=self.attempt.forced)
        if not self._may_try(host, state):
            return
        if self._only_first_pass(host):
            return
        key = self._serial_key(host)
        if key and not self._take_serial(key):
            self.skipped.append("serialized")
            return
        try:
            self.total += 1
            self.tried += not state.old
            self.last_mx = host.mx
            self._deliver_to(host, port, state, last=last)
        finally:
            if key:
                scope.services.hints.delete("misc", key)

    def _may_try(self, host: Host, state: RetryState) -> bool:
        if state.status == EXPIRED and not self.options.delay_after_cutoff:
            if host.last_try < self.attempt.message.received_time:
                return True
        if state.status in (UNUSABLE, EXPIRED):
            self.skipped.append("expired" if state.status == EXPIRED else "retry")
            self.waiting[host.name] = None
            return False
        return True

    def _only_first_pass(self, host: Host) -> bool:
        """queue_smtp_domains and the first pass of -qq: note that the message waits for the host, send nothing."""
        attempt = self.attempt
        later = attempt.queue_smtp or attempt.two_stage_first
        if not later and not attempt.forced and not attempt.queue_run:
            main = self.scope.services.config.main
            if main.queue_smtp_domains:
                domain = self.copy.items[0].delivery.domain
                later = bool(self.scope.services.lists.match_domain(domain, main.queue_smtp_domains, self.scope))
        if later:
            self.waiting[host.name] = None
            _set_all(self._pending(), FIRST_PASS, -1)
        return later

    def _serial_key(self, host: Host) -> str:
        if not listed(self.options.serialize_hosts, "serialize_hosts", host, self.scope):
            return ""
        return f"host-serialize-{host.name}"

    def _take_serial(self, key: str) -> bool:
        """Exim spec 30.4, serialize_hosts: records older than six hours do not count."""
        now = self.scope.services.clock.now()
        taken = [False]

        def take(record: dict[str, Any] | None) -> dict[str, Any] | None:
            if record is not None and now - float(record.get("time", 0)) < 6 * 3600:
                return record
            taken[0] = True
            return {"time": now, "count": 1}

        self.scope.services.hints.update("misc", key, take)
        return taken[0]

    def _deliver_to(self, host: Host, port: int, state: RetryState, *, last: bool) -> None:
        keys = (state.host_key, state.message_key)
        try:
            plan = policy(self.instance, host, port, self.scope)
        except DaneError as error:
            self._dane_failed(host, port, error, state)
            return
        opener = Opener(self.instance, host, port, plan, self.scope)
        try:
            session = self._session(opener, plan)
            try:
                good = self._send_all(session, last, keys)
            except StaleSession:
                session = self._session(opener, plan, fresh=True)
                good = self._send_all(session, last, keys)
        except SessionFailure as failure:
            self._host_failed(host, port, failure, state)
            return
        self._succeeded(session, opener, state, good)

    def _session(self, opener: Opener, plan: TlsPolicy, *, fresh: bool = False) -> SmtpSession:
        """An idle session, or a new one; in the clear when TLS fails and may."""
        services = self.scope.services
        session = None if fresh else smtp_cache.cache_of(services).take(smtp_cache.cache_key(opener))
        if session is None:
            try:
                session = opener.open()
            except SessionFailure as failure:
                if not failure.tls_failed or plan.mandatory or not self.options.tls_tempfail_tryclear:
                    raise
                where = f"H={opener.host.name} [{opener.host.address}]"
                text = f"{failure.text}: delivering unencrypted to {where} (not in hosts_require_tls)"
                services.log.write(text, message_id=self.attempt.message.id)
                opener.clear = True
                session = opener.open()
        for item in self.copy.items:
            item.delivery.extra["tls_out"] = session.tls
        return session

    def _send_all(self, session: SmtpSession, last: bool, keys: tuple[str, str]) -> bool:
        """All pending addresses over one session, in copies of at most max_rcpt. Whether the session is good for more."""
        limit = self._rcpt_limit(session)
        waiting = self._pending()
        good = True
        while waiting and good:
            batch, waiting = waiting[:limit], waiting[limit:]
            try:
                good = send(self.copy, session, batch, last, keys)
                if good and waiting and not any(item.result.status == "ok" for item in batch):
                    good = session.client.reset()
            except BaseException:
                session.close()
                raise
        return good

    def _rcpt_limit(self, session: SmtpSession) -> int:
        try:
            limit = int(self.scope.expand(self.options.max_rcpt) or 0)
        except ValueError:
            raise SetupError(f'"{self.options.max_rcpt}" is not a number, for max_rcpt', int(Why.EXPAND_FAIL)) from None
        offered = session.limits.get("RCPTMAX", 0)
        if offered:
            limit = min(limit, offered) if limit else offered
        return limit or len(self.copy.items)

    # What came of it.

    def _dane_failed(self, host: Host, port: int, error: DaneError, state: RetryState) -> None:
        if not error.permanent:
            self.copy.attempt.log_both(f"{host_text(self.copy, host.name, host.address, port)}: {error}")
            self.waiting[host.name] = None
        for item in self._pending():
            item.result.message, item.result.basic_errno = str(error), error.number
            if error.permanent:
                item.result.status, item.pending = "fail", False
            else:
                item.result.retries.append((state.host_key, "update", error.number, 0, str(error)))

    def _host_failed(self, host: Host, port: int, failure: SessionFailure, state: RetryState) -> None:
        """The session did not come to MAIL: the host's fault (Exim spec 48.2)."""
        if failure.log_host:
            text = f"{host_text(self.copy, host.name, host.address, port)}{' ' if failure.connecting else ': '}{failure.text}"
            if failure.number > 0 and not failure.connecting:
                text += f": {os.strerror(failure.number)}"
            self.copy.attempt.log_both(text)
        self.waiting[host.name] = None
        for item in self._pending():
            if failure.session is not None and failure.show_host:
                item.result = fresh_result(failure.session, self.copy, item)
            result = item.result
            result.message = "" if failure.connecting and failure.number > 0 else failure.text
            result.basic_errno, result.more_errno = failure.number, failure.more
            result.host = replace(host, port=port) if failure.show_host else None
            if failure.permanent:
                result.status = "fail"  # unless another host takes it: the address stays pending
            else:
                result.retries.append((state.host_key, "update", failure.number, failure.more, failure.text))

    def _succeeded(self, session: SmtpSession, opener: Opener, state: RetryState, good: bool) -> None:
        """The host works: its record goes. Keep the session when there is more to send, end it otherwise."""
        delivered = [item for item in self.copy.items if item.result.status == "ok"]
        for item in self.copy.items:
            host_error = any(key == state.host_key and action == "update" for key, action, *_ in item.result.retries)
            if state.host_known and not host_error:
                item.result.retries.append((state.host_key, "delete", 0, 0, ""))
            if state.message_known and item.result.status == "ok":
                item.result.retries.append((state.message_key, "delete", 0, 0, ""))
        opener.save_session(session)
        if not good:
            return
        if not self._keep(session, opener, delivered):
            session.close()

    def _keep(self, session: SmtpSession, opener: Opener, delivered: list[Item]) -> bool:
        """Whether the session was kept for another message (Exim spec 30.1)."""
        services = self.scope.services
        if not may_be_kept(session, opener):
            return False
        next_id = ""
        if self.attempt.may_continue is not None:
            next_id, _ = wait.next_waiting(
                services.hints, self.instance.name, session.host.name, self.attempt.message.id, self.attempt.may_continue
            )
        in_daemon = services.harness is None and hasattr(services.waiter, "start")
        if not next_id and not (in_daemon and delivered):
            return False
        if not delivered and not session.client.reset():
            return False
        if next_id:
            self.copy.items[0].result.detail["next_message"] = next_id
        return smtp_cache.cache_of(services).put(smtp_cache.cache_key(opener), session, services)
