"""The routers, one after the other, for one address. Exim spec 3.8 to 3.12, 15.

`route` is called to deliver, to verify and to test; `Mode` tells which. It changes the delivery (local part, properties, texts)
and answers with what came of it; it never delivers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from angaros.model.delivery import Delivery
from angaros.model.errors import ExpansionError, ForcedFailure
from angaros.model.interfaces import Services
from angaros.model.scope import Scope
from angaros.model.text import like
from angaros.routers import registry
from angaros.routers.address import apply_percent_hack, child_of, copy_properties, resplit
from angaros.routers.conditions import DEFER, SKIP, check, strip_affixes, tests_of
from angaros.routers.outcome import Answer, Mode, RouteOutcome
from angaros.routers.router import Prepared, Run

UNROUTEABLE = "Unrouteable address"

_TRUE = frozenset({"yes", "true"})
_FALSE = frozenset({"no", "false"})


class Chain:
    """The prepared routers of one configuration."""

    __slots__ = ("routers", "by_name")

    def __init__(self, routers: list[Prepared]) -> None:
        self.routers = routers
        self.by_name = {router.name: router.index for router in routers}


def chain_of(services: Services) -> Chain:
    """The chain of the running configuration, made once."""
    chain: Chain | None = services.extra.get("routers")
    if chain is None:
        routers = []
        for index, instance in enumerate(services.config.routers):
            prepared = Prepared(instance, registry.make(instance), index)
            prepared.tests = tests_of(instance.options)
            routers.append(prepared)
        chain = services.extra["routers"] = Chain(routers)
    return chain


def prepared(services: Services, name: str) -> Prepared | None:
    """The router called `name`."""
    chain = chain_of(services)
    index = chain.by_name.get(name)
    return chain.routers[index] if index is not None else None


def route(delivery: Delivery, scope: Scope, mode: Mode) -> RouteOutcome:
    """Route one address."""
    if not delivery.domain:
        resplit(delivery)
    outcome = RouteOutcome()
    if not apply_percent_hack(delivery, scope):
        return outcome
    work = scope.child(delivery)
    if work.tracing("route"):
        work.trace("route", ">" * 35)
        work.trace("route", f"routing {delivery.address}")
    work.depth += 1
    if mode is Mode.VERIFY_RECIPIENT or mode is Mode.VERIFY_SENDER:
        work.local["verify_mode"] = "R" if mode is Mode.VERIFY_RECIPIENT else "S"
    walk = _Walk(delivery, work, mode, outcome, chain_of(scope.services))
    walk.go()
    if outcome.status == "ok" and work.tracing("route"):
        scope.trace("route", f"routed by {delivery.router} router{' (unseen)' if walk.unseen else ''}")
    return outcome


class _Walk:
    """One address on its way along the chain."""

    __slots__ = ("delivery", "scope", "mode", "outcome", "chain", "index", "errors_to", "unseen")

    def __init__(self, delivery: Delivery, scope: Scope, mode: Mode, outcome: RouteOutcome, chain: Chain) -> None:
        self.delivery = delivery
        self.scope = scope
        self.mode = mode
        self.outcome = outcome
        self.chain = chain
        self.index = chain.by_name.get(delivery.start_router, 0) if delivery.start_router else 0
        self.errors_to = delivery.props.errors_to
        """As it came: a copy (`unseen`) does not get the router's own."""
        self.unseen = False
        """The router that took it has `unseen`."""

    def go(self) -> None:
        """Offer the address to the routers until one has an answer."""
        routers = self.chain.routers
        while self.index < len(routers):
            router = routers[self.index]
            self.index += 1
            self.delivery.router = router.name
            if _is_loop(router, self.delivery):
                continue
            run = Run(router, self.delivery, self.scope, self.mode, self.outcome)
            self._reset(router)
            if not strip_affixes(router, run):
                continue
            verdict = check(router, run)
            if verdict == SKIP:
                continue
            if self._finish(run, Answer.DEFER if verdict == DEFER else self._call(run)):
                return
        self._unrouteable()

    def _reset(self, router: Prepared) -> None:
        """What one router leaves behind is not for the next."""
        delivery, local = self.delivery, self.scope.local
        delivery.local_part = delivery.cased_local_part if router.caseful else delivery.lowered_local_part
        delivery.prefix = delivery.prefix_variable = delivery.suffix = delivery.suffix_variable = ""
        delivery.props.domain_data = delivery.props.local_part_data = None
        self.scope.numeric = ()
        local["router_name"] = router.name
        local["config_location"] = router.location
        local.pop("home", None)

    def _call(self, run: Run) -> Answer:
        """Set variables and address_data, then run the driver."""
        answer = _set_variables(run) or _set_address_data(run)
        if answer is not None:
            return answer
        if self.scope.tracing("route"):
            self.scope.trace("route", f"calling {run.router.name} router")
        return run.router.driver.route(run)

    def _finish(self, run: Run, answer: Answer) -> bool:
        """Act on the answer; True: the walk is over."""
        return _ACTIONS[answer](self, run)

    def _accepted(self, run: Run) -> bool:
        options, mode = run.options, self.mode
        if (mode is Mode.VERIFY_RECIPIENT and options.fail_verify_recipient) or (
            mode is Mode.VERIFY_SENDER and options.fail_verify_sender
        ):
            self.delivery.message = f"{run.router.name} router forced verify fail"
            self.outcome.routed.clear()
            self.outcome.new.clear()
            return self._failed(run)
        self.outcome.status = "ok"
        return self._copy_unseen(run)

    def _rerouted(self, run: Run) -> bool:
        self.outcome.status = "rerouted"
        if self.outcome.new and self.scope.tracing("route"):
            self.scope.depth -= 1
            self.scope.trace("route", f"re-routed to {self.outcome.new[0].address}")
            self.scope.depth += 1
        return True

    def _discarded(self, run: Run) -> bool:
        self.outcome.status = "discard"
        return self._copy_unseen(run)

    def _failed(self, run: Run) -> bool:
        self.outcome.status = "fail"
        if self.scope.tracing("route"):
            self.scope.trace("route", f"{run.router.name} router forced address failure")
        return True

    def _deferred(self, run: Run) -> bool:
        self.outcome.status = "defer"
        if self.scope.tracing("route"):
            self.scope.depth -= 1
            self.scope.trace("route", f"{run.router.name} router: defer for {self.delivery.address}")
            self.scope.trace("route", f"  message: {self.delivery.message or '<none>'}")
            self.scope.depth += 1
        return True

    def _passed(self, run: Run) -> bool:
        """To the next router, or to `pass_router`; `more` does not count."""
        target = run.options.pass_router
        if target is not None:
            self.index = self.chain.by_name[target]
        if self.scope.tracing("route"):
            self.scope.trace("route", f"{run.router.name} router passed {self.delivery.address}")
        return False

    def _declined(self, run: Run) -> bool:
        more = expand_flag(run, "more", default=True)
        if more is None:
            return self._deferred(run)
        if self.scope.tracing("route"):
            self.scope.trace("route", f"{run.router.name} router declined for {self.delivery.address}")
        if not more:
            self.scope.trace("route", '"more" is false: skipping remaining routers')
            self.index = len(self.chain.routers)
        return False

    def _copy_unseen(self, run: Run) -> bool:
        """`unseen`: a copy of the address goes on with the next router."""
        if run.options.unseen is False:
            return True
        unseen = expand_flag(run, "unseen", default=False)
        if unseen is None:
            self.outcome.routed.clear()
            self.outcome.new.clear()
            return self._deferred(run)
        self.unseen = unseen
        if unseen and self.index < len(self.chain.routers):
            copy = _unseen_copy(self.delivery, self.chain.routers[self.index].name)
            copy.props.errors_to = self.errors_to
            self.outcome.new.insert(0, copy)
        return True

    def _unrouteable(self) -> None:
        delivery = self.delivery
        self.outcome.status = "fail"
        self.scope.depth -= 1
        self.scope.trace("route", "no more routers")
        self.scope.depth += 1
        if not delivery.message:
            delivery.message = delivery.user_message = self._cannot_route_message() or UNROUTEABLE
        delivery.router = ""

    def _cannot_route_message(self) -> str:
        router = prepared(self.scope.services, self.delivery.router) if self.delivery.router else None
        text = router.options.cannot_route_message if router is not None else None
        if router is None or text is None:
            return ""
        try:
            return self.scope.expand(text)
        except ForcedFailure:
            return ""
        except ExpansionError as error:
            line = f"failed to expand cannot_route_message in {router.name} router: {error}"
            self.scope.services.log.write(line, panic=True, message_id=self.scope.message.id if self.scope.message else "")
            return ""


_ACTIONS: dict[Answer, Callable[[_Walk, Run], bool]] = {
    Answer.ACCEPT: _Walk._accepted,
    Answer.REROUTED: _Walk._rerouted,
    Answer.DISCARD: _Walk._discarded,
    Answer.FAIL: _Walk._failed,
    Answer.DEFER: _Walk._deferred,
    Answer.PASS: _Walk._passed,
    Answer.DECLINE: _Walk._declined,
}


def _is_loop(router: Prepared, delivery: Delivery) -> bool:
    """Whether this router had an ancestor of the same name, or, without `repeat_use`, any ancestor. Exim spec 3.13, 22.10."""
    node = delivery.parent
    while node is not None:
        if node.router == router.name:
            if not router.repeat_use:
                return True
            same = node.address == delivery.address if router.caseful else node.address.lower() == delivery.address.lower()
            if same:
                return True
        node = node.parent
    return False


def _unseen_copy(delivery: Delivery, next_router: str) -> Delivery:
    """The copy that goes on. It and `delivery` become children of one parent, the address as it was; it inherits data, but not
    changes of headers (Exim spec 15, unseen)."""
    origin = replace(delivery, children=1, hosts=[], fallback_hosts=[], extra={}, props=copy_properties(delivery.props))
    delivery.parent = origin
    delivery.unique = like(f"{delivery.unique}/{delivery.router}", delivery.unique)
    copy = child_of(origin, delivery.address)
    copy.start_router = next_router
    copy.props.headers_add = []
    copy.props.headers_remove = ""
    return copy


def _set_variables(run: Run) -> Answer | None:
    """`set = r_name = value`. Exim spec 15."""
    for name, value in run.router.sets:
        try:
            text = run.scope.expand(value)
        except ForcedFailure:
            return Answer.DECLINE
        except ExpansionError as error:
            return run.defer(f'expansion of "{value}" failed in {run.router.name} router: {error}')
        run.delivery.props.variables[name] = text
    return None


def _set_address_data(run: Run) -> Answer | None:
    text = run.options.address_data
    if text is None:
        return None
    try:
        run.delivery.props.address_data = run.scope.expand(text)
    except ForcedFailure:
        return Answer.DECLINE
    except ExpansionError as error:
        return run.defer(f'expansion of "{text}" failed in {run.router.name} router: {error}')
    return None


def expand_flag(run: Run, option: str, *, default: bool) -> bool | None:
    """A boolean that may be expanded (`more`, `unseen`); None: deferred."""
    value: bool | str = run.options.get(option)
    if isinstance(value, bool):
        return value
    try:
        text = run.scope.expand(value).strip().lower()
    except ForcedFailure:
        return default
    except ExpansionError as error:
        run.defer(f'failed to expand "{option}" in {run.router.name} router: {error}')
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    run.defer(f'"{text}" is not a valid value for the "{option}" option in the {run.router.name} router')
    return None
