"""Remote deliveries: grouped by transport, hosts and envelope; several groups at a time. Exim spec 3.13, 14."""

from __future__ import annotations

from typing import Any

from angaros.delivery import parallel
from angaros.delivery.attempt import Attempt
from angaros.delivery.batches import depends, same_envelope
from angaros.delivery.environment import EnvironmentFault, set_return_path, show_debug_print, transport_scope
from angaros.delivery.settle import quiet, settle
from angaros.delivery.size import size_fault
from angaros.hints.wait import note_waiting
from angaros.lists.parse import split_list
from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import AngarosError, ExpansionError, ListDefer, Why
from angaros.model.scope import Scope
from angaros.net.hosts import build_host_list
from angaros.transports import smtp
from angaros.transports.attempt import Attempt as SmtpAttempt
from angaros.transports.smtp_hosts import SetupError, expand_host_list_option, host_list, waiting_key
from angaros.transports.smtp_one_host import rcpt_limit

EXPLICITLY_QUEUED = "SMTP delivery explicitly queued"


def deliver_remote(attempt: Attempt) -> None:
    """Deliver all of `attempt.remote`, then what is left to fallback hosts."""
    if not attempt.remote:
        return
    if attempt.options.local_only:
        _put_all_off(attempt, "", Why.LOCAL_ONLY)
        return
    options = attempt.options
    if not options.queue_run and (options.queue_smtp or (options.immediate and attempt.message.effects.queue_smtp)):
        _note_waiting(attempt)
        _put_all_off(attempt, EXPLICITLY_QUEUED, 0)
        return
    sort_by_domains(attempt)
    fallback: list[Delivery] = []
    _deliver_groups(attempt, take_groups(attempt), fallback)
    if fallback:
        attempt.remote = fallback
        _deliver_groups(attempt, take_groups(attempt), None)


def _put_all_off(attempt: Attempt, text: str, errno: int) -> None:
    while attempt.remote:
        delivery = attempt.remote.pop(0)
        settle(attempt, delivery, DeliveryResult("defer", message=text or "remote deliveries suppressed", basic_errno=errno))


def _note_waiting(attempt: Attempt) -> None:
    """Connections to these hosts may take this message along (Exim spec 48.2)."""
    transports = attempt.services.config.transports
    for delivery in attempt.remote:
        instance = transports.get(delivery.transport)
        if instance is None or instance.driver != "smtp":
            continue
        scope = attempt.scope.child(delivery)
        try:
            keys = [waiting_key(host) for host in host_list(instance, delivery, scope)]
        except (AngarosError, SetupError):  # it will be told when the message is sent
            continue
        note_waiting(attempt.services.hints, instance.name, keys, attempt.message.id)


def sort_by_domains(attempt: Attempt) -> None:
    """`remote_sort_domains`. Exim spec 14."""
    text = attempt.services.config.main.remote_sort_domains
    if text is None or len(attempt.remote) < 2:
        return
    patterns = split_list(attempt.scope.expand(text))
    ranked = [(_rank(attempt, delivery, patterns), delivery) for delivery in attempt.remote]
    ranked.sort(key=lambda pair: pair[0])
    attempt.remote = [delivery for _, delivery in ranked]


def _rank(attempt: Attempt, delivery: Delivery, patterns: list[str]) -> int:
    for number, pattern in enumerate(patterns):
        try:
            if attempt.services.lists.match_domain(delivery.domain, pattern.replace(":", "::"), attempt.scope, expand=False):
                return number
        except ListDefer:
            continue
    return len(patterns)


def take_groups(attempt: Attempt) -> list[list[Delivery]]:
    """Addresses that can go over one connection together; `attempt.remote` is empty afterwards."""
    groups: list[list[Delivery]] = []
    waiting, attempt.remote = attempt.remote, []
    total = len(waiting)
    while waiting:
        first = waiting[0]
        instance = attempt.services.config.transports[first.transport]
        one_domain = (
            not _multi_domain(attempt, instance, first)
            or depends(attempt, instance, "domain")
            or _secured(attempt, instance, first)
        )
        group = [first]
        rest: list[Delivery] = []
        for delivery in waiting[1:]:
            same = (
                delivery.transport == first.transport
                and (not one_domain or delivery.domain == first.domain)
                and same_hosts(delivery, first)
                and same_envelope(delivery, first)
            )
            (group if same else rest).append(delivery)
        groups += _split(attempt, instance, group, total)
        waiting = rest
    return groups


def _split(attempt: Attempt, instance: Any, group: list[Delivery], total: int) -> list[list[Delivery]]:
    """More than `max_rcpt` addresses go over connections of their own, if these may be side by side; with `max_rcpt = 1` each
    goes alone. `total`: remote addresses of the message. Exim spec 30.4, 14 (remote_max_parallel)"""
    if len(group) == 1:
        return [group]
    try:
        limit = rcpt_limit(instance, attempt.scope.child(group[0]))
        alone = instance.options.max_rcpt.strip() == "1"  # written so; a computed 1 keeps the connection
    except (SetupError, ExpansionError):
        return [group]  # the transport will tell
    parallel = attempt.services.config.main.remote_max_parallel
    share = len(group)
    if alone:
        share = 1
    elif limit and parallel > 1:
        share = limit
        if limit * parallel < total:  # several transactions over each connection
            share = max(limit, min(total // parallel, limit * (instance.options.connection_max_messages or total)))
    return [group[start : start + share] for start in range(0, len(group), share)]


def _multi_domain(attempt: Attempt, instance: Any, delivery: Delivery) -> bool:
    value = instance.options.multi_domain
    if isinstance(value, bool):
        return value
    text = attempt.scope.child(delivery).expand(value).strip().lower()
    return text in ("true", "yes")


def _secured(attempt: Attempt, instance: Any, delivery: Delivery) -> bool:
    """A connection under DANE is for the one domain whose hosts were looked up securely (Exim spec 30.4, multi_domain); one under
    MTA-STS for the domain whose policy names them."""
    host = delivery.hosts[0] if delivery.hosts else None
    if instance.driver != "smtp" or host is None:
        return False
    names = [*(("hosts_try_dane", "hosts_require_dane") if host.dnssec else ()), "hosts_try_mta_sts", "hosts_require_mta_sts"]
    options = instance.options
    return any(
        getattr(options, name) and expand_host_list_option(getattr(options, name), name, host, attempt.scope.child(delivery))
        for name in names
    )


def same_hosts(one: Delivery, other: Delivery) -> bool:
    """The same hosts; those of equal MX preference, or of a group that the router has shuffled, may be in another order."""
    a, b = one.hosts, other.hosts
    if len(a) != len(b):
        return False
    if not a or (len(a) == 1 and a[0].name == b[0].name and a[0].port == b[0].port and a[0].dnssec == b[0].dnssec):
        return True
    return _host_keys(one) == _host_keys(other)


def _host_keys(delivery: Delivery) -> list[tuple[int, list[tuple[str, str, int, bool]]]]:
    """Runs of equal preference, each in an order of its own. # Exim spec 20.3, hosts_randomize"""
    shuffled = bool(delivery.extra.get("hosts_randomized"))
    runs: list[tuple[int, list[tuple[str, str, int, bool]]]] = []
    for host in delivery.hosts:
        key = (host.name.lower(), host.address, host.port, host.dnssec)
        if (host.mx >= 0 or shuffled) and runs and runs[-1][0] == host.mx:
            runs[-1][1].append(key)
            runs[-1][1].sort()
        else:
            runs.append((host.mx, [key]))
    return runs


def _deliver_groups(attempt: Attempt, groups: list[list[Delivery]], fallback: list[Delivery] | None) -> None:
    attempt.open_count = sum(len(group) for group in groups)
    limit = attempt.services.config.main.remote_max_parallel
    if len(groups) == 1:
        _deliver_group(attempt, groups[0], fallback)
    else:
        calls = [lambda group=group: _deliver_group(attempt, group, fallback) for group in groups]
        gather = attempt.services.hooks.side_by_side  # on the command line
        if gather is not None and limit != 1:
            gather(attempt.services, calls, limit)
        else:
            attempt.services.waiter.gather(calls, limit)
    attempt.open_count = 0


def _deliver_group(attempt: Attempt, group: list[Delivery], fallback: list[Delivery] | None) -> None:
    instance = attempt.services.config.transports[group[0].transport]
    results = _results(attempt, instance, group)
    for delivery, result in zip(group, results, strict=True):
        attempt.open_count -= 1
        if fallback is not None and result.status == "defer" and _falls_back(attempt, instance, delivery, result):
            fallback.append(delivery)
            continue
        flag = "*>" if attempt.message.dont_deliver else "->" if result.followed else "=>"
        settle(attempt, delivery, result, flag)


def _falls_back(attempt: Attempt, instance: Any, delivery: Delivery, result: DeliveryResult) -> bool:
    """Give the address its fallback hosts, if it has any: the router's, else the transport's. Exim spec 15, 30.4."""
    hosts = delivery.fallback_hosts
    if not hosts and instance.options.fallback_hosts:
        text = attempt.scope.child(delivery).expand(instance.options.fallback_hosts)
        hosts = build_host_list(text, bool(instance.options.hosts_randomize), attempt.scope)
    if not hosts or result.basic_errno == Why.CONCURRENCY:
        return False
    delivery.extra.setdefault("retries", []).extend(result.retries)
    delivery.hosts, delivery.fallback_hosts = hosts, []
    return True


def _results(attempt: Attempt, instance: Any, group: list[Delivery]) -> list[DeliveryResult]:
    scope = transport_scope(attempt, instance, group[0])
    try:
        set_return_path(attempt, instance, group[0], scope)
    except EnvironmentFault as fault:
        text = str(fault).replace(f" in {instance.name} transport:", ":")
        return [DeliveryResult("panic", message=text, basic_errno=Why.UNKNOWN) for _ in group]
    show_debug_print(instance, scope)
    refusal = size_fault(attempt, instance, scope)
    if refusal is not None:
        return [DeliveryResult(refusal.status, message=refusal.message, basic_errno=refusal.basic_errno) for _ in group]
    with parallel.slot(attempt, instance, scope) as free:
        if not free:
            text = "concurrency limit reached for transport"
            return [DeliveryResult("defer", message=text, basic_errno=Why.CONCURRENCY) for _ in group]
        return _call(attempt, instance, group, scope)


def _smtp_attempt(attempt: Attempt, scope: Scope) -> SmtpAttempt:
    options, queue = attempt.options, attempt.message.queue_name
    first = scope.delivery
    return SmtpAttempt(
        message=attempt.message,
        return_path=scope.local.get("return_path", ""),
        lock=attempt.lock,
        forced=options.forced,
        queue_run=options.queue_run,
        continued=options.continued,
        first=options.immediate,
        two_stage_first=options.first_pass,
        queue_smtp=options.first_pass,
        log_both=attempt.msglog.append if first is not None and quiet(attempt, first) else attempt.log_both,
        log_message=attempt.msglog.append,
        may_continue=lambda message_id: attempt.services.store.exists(message_id, queue),
        sender_of=lambda message_id: attempt.services.store.load(message_id, queue_name=queue).sender_address,
    )


def _call(attempt: Attempt, instance: Any, group: list[Delivery], scope: Scope) -> list[DeliveryResult]:
    started = attempt.services.clock.now()
    results = smtp.deliver(instance, group, scope, _smtp_attempt(attempt, scope))
    finished = attempt.services.clock.now()
    for result in results:
        if result.detail.get("next_message"):
            attempt.next_messages.append(result.detail["next_message"])
        result.started = result.started or started
        result.finished = result.finished or finished
        result.return_path = result.return_path or scope.local.get("return_path", "")
    return results
