"""Verification of addresses: routing in verify mode, then perhaps a callout or a look at the quota. Exim spec 44.45, 44.51.

`Verifier` implements `interfaces.Verifier`: the one call back up the road, from an ACL to routing.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from angaros.model.delivery import Delivery
from angaros.model.errors import Why
from angaros.model.outcome import Outcome, VerifyResult
from angaros.model.verify import PLAIN, VerifyOptions
from angaros.rewriting import rewrite_address
from angaros.routers.address import new_delivery
from angaros.routers.chain import route
from angaros.routers.outcome import Mode, RouteOutcome

if TYPE_CHECKING:
    from angaros.model.interfaces import Services
    from angaros.model.scope import Scope

MAX_REDIRECTIONS = 100
"""Addresses on the way from one child to the next; more is a loop of the configuration."""


class Verifier:
    """Verifies one address at a time."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def verify_address(
        self,
        address: str,
        scope: Scope,
        *,
        is_recipient: bool,
        options: VerifyOptions = PLAIN,
        purpose: str = "",
    ) -> VerifyResult:
        """Route `address`, following a redirection to one child, and do what the options ask for."""
        if "@" not in address:
            return VerifyResult(Outcome.DENY, failure="qualify")
        work = scope.child()
        if not is_recipient and scope.message is not None:
            work.message = copy(scope.message)
            work.message.sender_address = ""  # a sender is verified as a bounce to it would be routed (Exim spec 15, senders)
        rewritten: str | None = None
        if self.services.config.rewrite_rules:
            given, address = address, rewrite_address(address, work, "T" if is_recipient else "F")
            rewritten = address if address != given else None
            if not address:
                return VerifyResult(Outcome.ACCEPT, rewritten="")  # a bounce's sender
        if options.quota is not None:
            from angaros.delivery.quota_check import cached

            if (known := cached(address, work, options.quota)) is not None:
                return known
        run = _Run(work, options, is_recipient=is_recipient, header_sender=purpose == "header_sender")
        result = run.go(new_delivery(address))
        return result if rewritten is None else replace(result, rewritten=rewritten)


class _Run:
    """One verification."""

    def __init__(self, scope: Scope, options: VerifyOptions, *, is_recipient: bool, header_sender: bool) -> None:
        self.scope = scope
        self.options = options
        self.is_recipient = is_recipient
        self.header_sender = header_sender
        self.address = ""
        self.mode = Mode.VERIFY_RECIPIENT if is_recipient else Mode.VERIFY_SENDER

    def go(self, delivery: Delivery) -> VerifyResult:
        """Route until it is decided."""
        self.address = delivery.address
        for _ in range(MAX_REDIRECTIONS):
            outcome = route(delivery, self.scope, self.mode)
            if outcome.status == "fail":
                return self._failed(delivery)
            if outcome.status == "defer":
                return self._deferred(delivery)
            child = self._next(outcome)
            if outcome.status == "ok" and outcome.routed and (result := self._beyond_routing(outcome.routed[0])) is not None:
                return self._with_data(result, delivery)
            if child is None:
                return self._with_data(VerifyResult(Outcome.ACCEPT), delivery)
            delivery = child
        return VerifyResult(Outcome.DEFER, log_message="too many redirections")

    def _next(self, outcome: RouteOutcome) -> Delivery | None:
        """The one child that verification goes on with. Exim spec 44.51."""
        if outcome.status == "discard" or len(outcome.new) != 1:
            return None
        child = outcome.new[0]
        if child.is_pipe or child.is_file or child.is_autoreply:
            return None
        if outcome.status != "rerouted" and self.options.success_on_redirect and not child.extra.get("unseen"):
            return None
        return child

    def _beyond_routing(self, routed: Delivery) -> VerifyResult | None:
        """Callout or quota check; None when nothing of that is to be done, or it succeeded without a word."""
        options = self.options
        if options.callout is not None:
            from angaros.delivery.callout import callout

            result = callout(
                routed,
                self.scope,
                options.callout,
                is_recipient=self.is_recipient,
                header_sender=self.header_sender,
            )
            plain = result.outcome is Outcome.ACCEPT and not result.failure and result.domain_data is None
            return None if plain else result
        if options.quota is not None:
            from angaros.delivery.quota_check import check_quota

            return check_quota(self.address, routed, self.scope, options.quota)
        return None

    def _with_data(self, result: VerifyResult, delivery: Delivery) -> VerifyResult:
        props = delivery.props
        return VerifyResult(
            result.outcome,
            result.user_message,
            result.log_message,
            result.failure,
            result.callout,
            result.pass_message,
            props.address_data,
            result.local_part_data if result.local_part_data is not None else props.local_part_data,
            result.domain_data if result.domain_data is not None else props.domain_data,
            delivery.address,
            result.details,
        )

    def _failed(self, delivery: Delivery) -> VerifyResult:
        result = VerifyResult(Outcome.DENY, delivery.user_message or delivery.message, delivery.message, "route")
        return self._with_data(result, delivery)

    def _deferred(self, delivery: Delivery) -> VerifyResult:
        result = VerifyResult(
            Outcome.DEFER,
            delivery.user_message,
            delivery.message,
            "route",
            callout=delivery.basic_errno == Why.CALLOUT_DEFER,
            pass_message=bool(delivery.extra.get("pass_message")),
        )
        return self._with_data(result, delivery)
