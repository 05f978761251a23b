"""The smtp transport: one message to one list of hosts (Exim spec 30).

Laws:
- `deliver` gives each address a result, whatever happens; the default is defer.
- Hosts are tried in order until no address is left: retry hints, hosts_max_try and what hosts answered decide how far.
- A session that is good for more is kept only when more is to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from angaros.hints import retry, wait
from angaros.model.delivery import Delivery, DeliveryResult, Host
from angaros.model.errors import ExpansionError, ListDefer, Why
from angaros.transports import smtp_cache
from angaros.transports.smtp_hosts import (
    EXPIRED,
    UNUSABLE,
    RetryState,
    SetupError,
    default_port,
    host_list,
    resolve,
    retry_state,
    waiting_key,
)
from angaros.transports.smtp_hosts import expand_host_list_option as listed
from angaros.transports.smtp_one_host import OneHost
from angaros.transports.smtp_send import Copy, Item
from angaros.transports.smtp_session import Opener
from angaros.transports.smtp_tls import DaneError, policy

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope
    from angaros.transports.attempt import Attempt

FIRST_PASS = "first-pass only routing due to -odqs, queue_smtp_domains or control=queue"
NO_CONNECTION = (
    "some host address lookups failed and retry time not reached for other hosts or connection limit reached"  # Exim's words
)
LONG_FAILING = "have been failing for a long time"


def deliver(
    instance: DriverInstance[Any], deliveries: Sequence[Delivery], scope: Scope, attempt: Attempt
) -> list[DeliveryResult]:
    """Try to deliver to all of `deliveries`, which share hosts, transport and envelope sender. Results in the same order."""
    items = [Item(delivery) for delivery in deliveries]
    _deliver(Copy(instance, attempt, scope.child(deliveries[0]), items))
    return [item.result for item in items]


def _deliver(copy: Copy) -> None:
    """One copy; all its items have results afterwards."""
    items = copy.items
    for item in items:
        item.delivery.extra.pop("tls_out", None)
    try:
        _Hosts(copy).run()
    except SetupError as error:
        _set_all(items, error.text, error.number, status="panic" if error.panic else "defer")
    except (ExpansionError, ListDefer) as error:
        _set_all(items, str(error), int(Why.LIST_DEFER))


def _set_all(items: list[Item], text: str, number: int, status: str = "defer") -> None:
    for item in items:
        if item.pending and item.result.status != "fail":
            item.result.status, item.result.message, item.result.basic_errno = status, text, number


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
        """Why hosts were not tried: `retry`, `expired`, `serialized`, `unknown`, `continued`."""

    def run(self) -> None:
        """Try the hosts in order."""
        if self._lines_too_long():
            return
        hosts = host_list(self.instance, self.copy.items[0].delivery, self.scope)
        port = default_port(self.instance, self.scope)
        position = 0
        while position < len(hosts) and self.copy.pending():
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
        if host.why == "failed":  # the router found that there is no such host
            return []
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
        _set_all(self.copy.pending(), text, int(number))
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
        pending = self.copy.pending()
        services = self.scope.services
        for item in pending:
            if not self.total and not item.result.message:
                self._not_tried(item)
        if pending and self.copy.deferred_text:
            self.copy.event("msg:defer", self.copy.deferred_text, self.copy.deferred_errno, pending[0])
        if pending and self.copy.waiting and not self.attempt.message.dont_deliver:
            wait.note_waiting(services.hints, self.instance.name, list(self.copy.waiting), self.attempt.message.id)

    def _not_tried(self, item: Item) -> None:
        result, domain = item.result, item.delivery.domain
        result.basic_errno = int(Why.HOST_RETRY)
        if self.skipped and all(why == "expired" for why in self.skipped):
            item.delivery.timed_out = True
            if self.options.delay_after_cutoff:
                result.message = f"all hosts for '{domain}' {LONG_FAILING} (and retry time not reached)"
            else:
                result.message = f"all hosts {LONG_FAILING} and were last tried after this message arrived"
        elif "continued" in self.skipped:
            result.message = f"{NO_CONNECTION} for '{domain}'"
        elif "serialized" in self.skipped:
            result.message = f"connection limit reached for all hosts for '{domain}'"
        else:
            result.message = f"retry time not reached for any host for '{domain}'"

    # One host.

    def _try(self, host: Host, port: int, *, last: bool) -> None:
        scope = self.scope
        scope.host = host
        host.port = port
        if self.attempt.continued and not self._is_connected(host, port):
            self.skipped.append("continued")
            self.copy.waiting[waiting_key(host)] = None
            return
        domain = self.copy.items[0].delivery.domain
        state = retry_state(host, port, self.instance, scope, domain, forced=self.attempt.forced)
        if not self._may_try(host, state):
            return
        if self._only_first_pass(host):
            return
        if self.attempt.message.dont_deliver:
            self._pretend(host)
            return
        key = self._serial_key(host)
        if key and not self._take_serial(key):
            self.skipped.append("serialized")
            return
        try:
            self.total += 1
            self.tried += not state.old
            self.last_mx = host.mx
            self._one_host(host, port, state, last=last)
            if not state.old and self._past_cutoff(state.host_key, domain):
                self.tried -= 1
        finally:
            if key:
                scope.services.hints.delete("misc", key)

    def _one_host(self, host: Host, port: int, state: RetryState, *, last: bool) -> None:
        configured, self.copy.instance = self.copy.instance, self._instance_for(host)
        try:
            OneHost(self.copy, host, port, state, last=last).run()
        finally:
            self.copy.instance = configured

    def _instance_for(self, host: Host) -> DriverInstance[Any]:
        """A host that an SRV record found speaks SMTP, whatever the transport's protocol."""
        configured = self.instance
        return replace(configured, options=configured.options.with_(protocol="smtp")) if host.smtps else configured

    def _past_cutoff(self, host_key: str, domain: str) -> bool:
        """Whether the message is too old for the host that has just failed: such a try does not count (Exim spec 30.5)."""
        for item in self.copy.pending():
            for key, action, number, more, _ in item.result.retries:
                if key == host_key and action == "update":
                    record = retry.RetryRecord(0.0, 0.0, 0.0, basic_errno=number, more_errno=more)
                    return retry.ultimate_timeout(self.scope, host_key, domain, record)
        return False

    def _may_try(self, host: Host, state: RetryState) -> bool:
        if state.status == EXPIRED and not self.options.delay_after_cutoff:
            if host.last_try < self.attempt.message.queued_since:
                return True
        if state.status in (UNUSABLE, EXPIRED):
            self.skipped.append("expired" if state.status == EXPIRED else "retry")
            self.copy.waiting[waiting_key(host)] = None
            return False
        return True

    def _is_connected(self, host: Host, port: int) -> bool:
        """Whether the message before this one has left a connection open that leads there in the same way."""
        try:
            instance = self._instance_for(host)
            opener = Opener(instance, host, port, policy(instance, host, port, self.scope), self.scope)
        except DaneError:
            return False
        return smtp_cache.cache_of(self.scope.services).has(smtp_cache.cache_key(opener))

    def _only_first_pass(self, host: Host) -> bool:
        """queue_smtp_domains and the first pass of -qq: note that the message waits for the host, send nothing."""
        attempt = self.attempt
        later = attempt.queue_smtp or attempt.two_stage_first
        if not later and not attempt.forced and not attempt.queue_run:
            main = self.scope.services.config.main
            if main.queue_smtp_domains and not main.mua_wrapper:
                domain = self.copy.items[0].delivery.domain
                later = bool(self.scope.services.lists.match_domain(domain, main.queue_smtp_domains, self.scope))
        if later:
            self.copy.waiting[waiting_key(host)] = None
            _set_all(self.copy.pending(), FIRST_PASS, -1)
        return later

    def _pretend(self, host: Host) -> None:
        """-N."""
        for item in self.copy.pending():
            item.pending = False
            item.result = DeliveryResult("ok", host=host, smtp_response="delivery bypassed by -N option")

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
