"""`message_size_limit` of a transport. Exim spec 24."""

from __future__ import annotations

from typing import Any

from angaros.delivery.attempt import Attempt
from angaros.expand.conditions.compare import integer
from angaros.model.delivery import DeliveryResult
from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope


def size_fault(attempt: Attempt, instance: Any, scope: Scope) -> DeliveryResult | None:
    """None when the message may pass."""
    text: str | None = instance.options.message_size_limit
    if text is None or text == "0":
        return None
    try:
        limit = integer(scope.expand(text))
    except ExpansionError as error:
        fault = f"invalid message_size_limit in {instance.name} transport: {error}"
        return DeliveryResult("defer", message=fault, basic_errno=-1)
    if 0 < limit < attempt.message.message_size:
        return DeliveryResult("fail", message=f"message is too big (transport limit = {limit})")
    return None
