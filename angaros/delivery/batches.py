"""Which addresses a local transport may take together. Exim spec 25."""

from __future__ import annotations

from typing import Any

from angaros.delivery.attempt import Attempt
from angaros.model.delivery import Delivery
from angaros.model.errors import ExpansionError


def take_batch(attempt: Attempt) -> list[Delivery]:
    """The first local address, with others that can go along with it, taken out of the list."""
    first = attempt.local.pop(0)
    instance = attempt.services.config.transports[first.transport]
    limit = batch_max(instance)
    if limit <= 1 or not attempt.local:
        return [first]
    batch, rest = [first], []
    wanted = _batch_id(attempt, instance, first)
    use_local_part = depends(attempt, instance, "local_part")
    use_domain = depends(attempt, instance, "domain")
    for delivery in attempt.local:
        if (
            len(batch) < limit
            and _goes_along(delivery, first)
            and (not use_local_part or delivery.local_part == first.local_part)
            and (not use_domain or delivery.domain == first.domain)
            and _batch_id(attempt, instance, delivery) == wanted
        ):
            batch.append(delivery)
        else:
            rest.append(delivery)
    attempt.local = rest
    return batch


def batch_max(instance: Any) -> int:
    """`batch_max`; 1 for transports without it."""
    return int(getattr(instance.options, "batch_max", 1) or 1)


def _goes_along(one: Delivery, other: Delivery) -> bool:
    return (
        one.transport == other.transport
        and one.is_pipe == other.is_pipe
        and one.is_file == other.is_file
        and not one.is_autoreply
        and (one.address == other.address or not (one.is_pipe or one.is_file))
        and same_envelope(one, other)
        and one.owner == other.owner
        and one.home == other.home
        and one.current_directory == other.current_directory
        and [host.name for host in one.hosts[:1]] == [host.name for host in other.hosts[:1]]
    )


def same_envelope(one: Delivery, other: Delivery) -> bool:
    """Same errors address and same changes of header lines."""
    a, b = one.props, other.props
    return a.errors_to == b.errors_to and a.headers_add == b.headers_add and a.headers_remove == b.headers_remove


def _batch_id(attempt: Attempt, instance: Any, delivery: Delivery) -> str | None:
    text: str | None = getattr(instance.options, "batch_id", None)
    if text is None:
        return None
    try:
        return attempt.scope.child(delivery).expand(text)
    except ExpansionError as error:
        attempt.log(f"Failed to expand batch_id setting in {instance.name} transport: {error}", panic=True)
        return None


def depends(attempt: Attempt, instance: Any, name: str) -> bool:
    """Whether an option of the transport, other than `batch_id`, mentions `$name`: then batches may not mix values of it."""
    cache: dict[tuple[str, str], bool] = attempt.services.extra.setdefault("transport_depends", {})
    key = (instance.name, name)
    if key not in cache:
        needles = (f"${name}", f"${{{name}")
        cache[key] = any(
            isinstance(value, str) and option != "batch_id" and any(needle in value for needle in needles)
            for option, value in instance.options.given().items()
        )
    return cache[key]
