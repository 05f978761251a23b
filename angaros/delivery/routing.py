"""Routing all addresses of an attempt, and what is decided before and after. Exim spec 3.11, 3.13, 14.

Laws:
- Addresses are routed in passes; what a pass generates is the next pass. Within a pass the last recipient is routed first, and
  the results lie in the order of the recipients: that is Exim's order of log lines.
- An address that was delivered in an earlier attempt is not routed again; a copy of an address that has a transport already is a
  duplicate.
"""

from __future__ import annotations

from angaros.delivery import retrying
from angaros.delivery.attempt import Attempt, done_key, mark_homonym, sameness
from angaros.delivery.done import mark_parents
from angaros.delivery.settle import defer, fail, routing_result, succeed
from angaros.model.delivery import Delivery
from angaros.model.errors import ListDefer, Why
from angaros.routers.assign import REMOTE_DRIVERS
from angaros.routers.chain import prepared, route
from angaros.routers.outcome import Mode

MAX_PASSES = 100
"""Generations of addresses; Exim's own limit against loops through redirection."""


def route_all(attempt: Attempt) -> None:
    """Route until nothing is new; then `attempt.local` and `attempt.remote` are ready."""
    passes = 0
    while attempt.new:
        passes += 1
        batch, attempt.new = attempt.new, []
        waiting: list[Delivery] = []
        for delivery in batch:
            if delivery.is_pipe or delivery.is_file or delivery.is_autoreply:
                _place_special(attempt, delivery)
            elif _admit(attempt, delivery, passes):
                waiting.append(delivery)
        _route_pass(attempt, waiting[::-1])
    if len(attempt.local) + len(attempt.remote) > 1 or attempt.message.non_recipients:
        attempt.local = _without_duplicates(attempt, attempt.local)
        attempt.remote = _without_duplicates(attempt, attempt.remote)


def _place_special(attempt: Attempt, delivery: Delivery) -> None:
    """A pipe, file or reply that redirection made."""
    if delivery.unique in attempt.message.non_recipients:
        _note_done_before(attempt, delivery)
    elif delivery.extra.get("forbidden"):
        delivery.message = delivery.extra["forbidden"]
        fail(attempt, delivery, routing_result(delivery, "fail"))
    elif delivery.is_file and delivery.address == "/dev/null":
        delivery.extra["bypassed"] = True
        succeed(attempt, delivery, routing_result(delivery, "ok"))
    elif not delivery.transport:
        defer(attempt, delivery, routing_result(delivery, "defer"), "routing", panic=not delivery.router)
    elif sameness(delivery) in attempt.seen:
        _note_duplicate(attempt, delivery)
    else:
        attempt.seen[sameness(delivery)] = delivery
        attempt.local.insert(0, delivery)


def _note_duplicate(attempt: Attempt, delivery: Delivery) -> None:
    """It is done when the first one is; `Envelope-to:` names both."""
    same = sameness(delivery)
    attempt.duplicates.setdefault(same, []).append(delivery)
    attempt.seen[same].extra.setdefault("duplicates", []).append(delivery)


def _note_done_before(attempt: Attempt, delivery: Delivery) -> None:
    if delivery.parent is not None:
        mark_parents(attempt, delivery)
        attempt.update_spool = True


def _admit(attempt: Attempt, delivery: Delivery, passes: int) -> bool:
    """Whether the address is to be routed now."""
    message, options, main = attempt.message, attempt.options, attempt.services.config.main
    if delivery.parent is not None:
        mark_homonym(delivery)
    if not delivery.extra.get("homonym") and delivery.unique in message.non_recipients:
        _note_done_before(attempt, delivery)
        return False
    if passes > MAX_PASSES:
        delivery.message = "routing loop for " + delivery.address
        delivery.special_action = "freeze"
        defer(attempt, delivery, routing_result(delivery, "defer"))
        return False
    if main.hold_domains is not None and not options.forced and _in_list(attempt, delivery, main.hold_domains, "hold_domains"):
        return _put_off(attempt, delivery, Why.HELD, "domain is held", "")
    if main.queue_domains is not None and options.immediate and _in_list(attempt, delivery, main.queue_domains, "queue_domains"):
        return _put_off(attempt, delivery, Why.QUEUE_DOMAIN, "domain is in queue_domains", "routing")
    if not retrying.may_route(attempt, delivery):
        return _put_off(attempt, delivery, Why.ROUTING_RETRY, "retry time not reached", "routing")
    if options.continued and not options.queue_run and delivery.extra.get("retry_known"):
        text = "reusing SMTP connection skips previous routing defer"
        return _put_off(attempt, delivery, Why.ROUTING_RETRY, text, "routing")
    return True


def _in_list(attempt: Attempt, delivery: Delivery, items: str, option: str) -> bool:
    try:
        return bool(attempt.services.lists.match_domain(delivery.domain, items, attempt.scope.child(delivery), option=option))
    except ListDefer:
        attempt.log(f"{option} lookup deferred for {delivery.domain}", panic=True)
        return False


def _put_off(attempt: Attempt, delivery: Delivery, why: Why, text: str, kind: str) -> bool:
    delivery.basic_errno, delivery.message = why, text
    defer(attempt, delivery, routing_result(delivery, "defer"), kind)
    return False


def _route_pass(attempt: Attempt, waiting: list[Delivery]) -> None:
    by_domain: dict[tuple[str, str], Delivery] = {}
    for delivery in waiting:
        pattern = by_domain.get((delivery.domain, delivery.start_router)) if by_domain else None
        if pattern is not None and delivery.parent is None and pattern.parent is None:
            _copy_routing(attempt, delivery, pattern)
            continue
        outcome = route(delivery, attempt.scope, Mode.DELIVER)
        if delivery.extra.get("headers_changed"):
            attempt.update_spool = True
        if outcome.status == "fail":
            retrying.routed(attempt, delivery)
            fail(attempt, delivery, routing_result(delivery, "fail"))
        elif outcome.status == "defer":
            retrying.routing_deferred(attempt, delivery)
            defer(attempt, delivery, routing_result(delivery, "defer"), "" if delivery.router else "routing")
        else:
            retrying.routed(attempt, delivery)
            if outcome.status == "discard":
                delivery.extra.setdefault("discarded", ":blackhole:")  # a filter says `discarded`
                succeed(attempt, delivery, routing_result(delivery, "ok"))
            if outcome.routed and _copies_routing(attempt, delivery):
                by_domain[delivery.domain, delivery.start_router] = delivery
        for routed in outcome.routed:
            _place(attempt, routed)
        if outcome.new:
            attempt.new = outcome.new + attempt.new


def _place(attempt: Attempt, delivery: Delivery) -> None:
    transport = attempt.services.config.transports.get(delivery.transport)
    if transport is not None and transport.driver in REMOTE_DRIVERS:
        attempt.remote.insert(0, delivery)
    else:
        attempt.local.insert(0, delivery)


def _copies_routing(attempt: Attempt, delivery: Delivery) -> bool:
    """`same_domain_copy_routing`: only to a remote transport, only without changes of headers. Exim spec 17, 20."""
    router = prepared(attempt.services, delivery.router)
    if router is None or not getattr(router.options, "same_domain_copy_routing", False):
        return False
    props = delivery.props
    return bool(delivery.hosts) and not props.headers_add and not props.headers_remove and delivery.parent is None


def _copy_routing(attempt: Attempt, delivery: Delivery, pattern: Delivery) -> None:
    delivery.router, delivery.transport = pattern.router, pattern.transport
    delivery.hosts, delivery.fallback_hosts = list(pattern.hosts), list(pattern.fallback_hosts)
    delivery.owner, delivery.home, delivery.home_expanded = pattern.owner, pattern.home, pattern.home_expanded
    delivery.props.errors_to, delivery.props.domain_data = pattern.props.errors_to, pattern.props.domain_data
    delivery.props.address_data = pattern.props.address_data
    delivery.dsn_lasthop = pattern.dsn_lasthop
    retrying.routed(attempt, delivery)
    _place(attempt, delivery)


def _without_duplicates(attempt: Attempt, deliveries: list[Delivery]) -> list[Delivery]:
    """Drop addresses done before (copies of their ancestors) and those that another one in the list stands for."""
    kept: list[Delivery] = []
    for delivery in deliveries:
        if delivery.is_pipe or delivery.is_file or delivery.is_autoreply:
            kept.append(delivery)
            continue
        same = sameness(delivery)
        done = attempt.message.non_recipients
        if done_key(delivery) in done or f"{delivery.unique}/{delivery.transport}" in done:
            _note_done_before(attempt, delivery)
        elif same in attempt.seen:
            _note_duplicate(attempt, delivery)
        else:
            attempt.seen[same] = delivery
            kept.append(delivery)
    return kept
