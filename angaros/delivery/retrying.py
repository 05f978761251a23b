"""Retry hints around routing and local delivery: what may be tried now, what to note afterwards. Exim spec 32.

Hosts are the smtp transport's business; it sends what is to be noted in `DeliveryResult.retries`.
"""

from __future__ import annotations

from angaros.delivery.attempt import Attempt, Fate
from angaros.hints import retry
from angaros.hints.retry import RetryItem
from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import Why
from angaros.routers.assign import REMOTE_DRIVERS
from angaros.routers.chain import prepared


def routing_keys(delivery: Delivery) -> tuple[str, str]:
    """Keys by domain and by address."""
    return f"R:{delivery.domain}", f"R:{delivery.cased_local_part}@{delivery.domain}"


def may_route(attempt: Attempt, delivery: Delivery) -> bool:
    """Whether the retry time for routing is reached; outside of queue runs it always is. Notes the records there are."""
    services, now = attempt.services, attempt.services.clock.now()
    domain_key, address_key = delivery.retry_keys = routing_keys(delivery)
    sender_key = f"{address_key}:<{attempt.message.sender_address}>"
    options = attempt.options
    in_run = options.queue_run and not options.forced
    known = []
    for keys, heeded in (((domain_key,), in_run), ((address_key, sender_key), in_run or options.continued)):
        for key in keys:
            record = retry.find(services, key)
            if record is None:
                continue
            known.append(key)
            if heeded and now < record.next_try and not record.expired:
                if record.basic_errno == Why.RCPT_4XX:  # what a server said, a delay warning may say
                    delivery.user_message = record.text
                return False
            break
    if known:
        delivery.extra["retry_known"] = known
    return True


def routed(attempt: Attempt, delivery: Delivery) -> None:
    """Routing came to an end: its records go."""
    for key in delivery.extra.get("retry_known", ()):
        delivery.extra.setdefault("retries", []).append((key, "delete", 0, 0, ""))


def routing_deferred(attempt: Attempt, delivery: Delivery) -> None:
    """The router's kind of key gets a record."""
    router = prepared(attempt.services, delivery.router) if delivery.router else None
    domain_key, address_key = delivery.retry_keys
    key = address_key if router is None or router.retry_use_local_part else domain_key
    item = (key, "update", int(delivery.basic_errno or Why.UNKNOWN), int(delivery.more_errno), delivery.message)
    delivery.extra.setdefault("retries", []).append(item)


def local_key(attempt: Attempt, delivery: Delivery) -> str:
    """Key of a local delivery: by address unless the transport says by domain; a pipe or file is its own key."""
    if delivery.is_pipe or delivery.is_file or delivery.is_autoreply:
        return f"T:{delivery.unique}"
    options = attempt.services.config.transports[delivery.transport].options
    by_local_part = options.retry_use_local_part if options.is_set("retry_use_local_part") else True
    return f"T:{delivery.cased_local_part}@{delivery.domain}" if by_local_part else f"T:{delivery.domain}"


def may_deliver_locally(attempt: Attempt, delivery: Delivery) -> bool:
    """Whether the retry time of a local delivery is reached; only queue runs care. Exim spec 3.13."""
    key = local_key(attempt, delivery)
    record = retry.find(attempt.services, key)
    if record is None:
        return True
    delivery.extra["local_retry_known"] = True
    if not attempt.options.queue_run or attempt.options.forced:
        return True
    if attempt.services.clock.now() >= record.next_try:
        return True
    return retry.ultimate_timeout(attempt.scope.child(delivery), key, delivery.domain, record)


def note_local(attempt: Attempt, delivery: Delivery, result: DeliveryResult) -> None:
    """After a local delivery."""
    key = local_key(attempt, delivery)
    if result.status == "defer":
        result.retries.append((key, "update", int(result.basic_errno), int(result.more_errno), result.message))
    elif delivery.extra.get("local_retry_known"):
        result.retries.append((key, "delete", 0, 0, ""))


def update_hints(attempt: Attempt) -> None:
    """Write everything that the attempt taught; addresses that have timed out move from deferred to failed."""
    seen: dict[str, bool] = {}
    for fate in attempt.succeeded:
        _apply(attempt, fate, seen, failed=False)
    for fate in attempt.failed:
        _apply(attempt, fate, seen, failed=True)
    kept: list[Fate] = []
    for fate in attempt.deferred:
        if _apply(attempt, fate, seen, failed=True) or fate.delivery.timed_out:
            attempt.extra.setdefault("timed_out", []).append(fate)
        else:
            kept.append(fate)
    attempt.deferred = kept


def _apply(attempt: Attempt, fate: Fate, seen: dict[str, bool], *, failed: bool) -> bool:
    """Whether all destinations of the address have timed out."""
    delivery = fate.delivery
    items: list[RetryItem] = [*delivery.extra.get("retries", ()), *fate.result.retries]
    if not items:
        return False
    transport = attempt.services.config.transports.get(delivery.transport)
    remote = transport is not None and transport.driver in REMOTE_DRIVERS
    scope = attempt.scope.child(delivery)
    updates = timeouts = 0
    failing = {item[0] for item in items if item[1] == "update"} if failed else set()
    for item in items:
        if item[1] == "update" and not failed:
            continue
        if item[1] == "delete" and item[0] in failing:
            continue  # what failed later counts
        if item[0] not in seen:
            seen[item[0]] = retry.update_address(scope, delivery.domain, [item], failed=failed, remote=remote)
        if item[1] == "update":
            updates += 1
            timeouts += seen[item[0]]
    return updates > 0 and updates == timeouts
