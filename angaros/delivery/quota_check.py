"""`verify = recipient/quota`: would the mailbox take the message? Exim spec 44.45, 44.49.

Results are kept in the hints database `callout` under `quota:<address>`, each with its own lifetime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from angaros.delivery.callout_cache import ACCEPT, DATABASE, REJECT
from angaros.delivery.environment import EnvironmentFault, prepare
from angaros.model.outcome import Outcome, VerifyResult
from angaros.transports import registry

if TYPE_CHECKING:
    from angaros.model.delivery import Delivery
    from angaros.model.interfaces import Services
    from angaros.model.message import Message
    from angaros.model.scope import Scope
    from angaros.model.verify import QuotaOptions

CACHED_FAILURE = "Previous (cached) quota verification failure"
OVER_QUOTA = "Over quota"


@dataclass(slots=True)
class _Probe:
    """What `environment.prepare` needs of a delivery attempt."""

    scope: Scope
    message: Message
    services: Services


def cached(address: str, scope: Scope, options: QuotaOptions) -> VerifyResult | None:
    """A result that is still good."""
    record = scope.services.hints.get(DATABASE, _key(address))
    if record is None:
        return None
    good = record.get("result") == ACCEPT
    stamp = record.get("time_stamp")
    limit = options.positive if good else options.negative
    if not isinstance(stamp, int | float) or scope.services.clock.now() - stamp > limit or not limit:
        return None
    if good:
        return VerifyResult(Outcome.ACCEPT)
    return VerifyResult(Outcome.DENY, CACHED_FAILURE, CACHED_FAILURE, "quota")


def check_quota(address: str, routed: Delivery, scope: Scope, options: QuotaOptions) -> VerifyResult | None:
    """Ask the transport; None for one that has no quota."""
    transports: Any = scope.services.config.transports
    instance = transports.get(routed.transport)
    message = scope.message
    if instance is None or instance.driver != "appendfile" or message is None:
        return None
    probe = _Probe(scope, message, scope.services)
    try:
        environment = prepare(cast(Any, probe), instance, [routed])
    except EnvironmentFault as fault:
        return VerifyResult(Outcome.DEFER, log_message=str(fault))
    answer = registry.check_quota(instance, routed, environment, message_size=max(message.message_size, 0))
    if answer.status == "defer":
        return VerifyResult(Outcome.DEFER, log_message=answer.message)
    good = answer.status == "ok"
    if options.positive if good else options.negative:
        record = {"result": ACCEPT if good else REJECT, "time_stamp": scope.services.clock.now()}
        scope.services.hints.put(DATABASE, _key(address), record)
    if good:
        return VerifyResult(Outcome.ACCEPT)
    text = answer.message or OVER_QUOTA
    return VerifyResult(Outcome.DENY, text, text, "quota")


def _key(address: str) -> str:
    return f"quota:{address}"
