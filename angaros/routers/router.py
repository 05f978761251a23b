"""One configured router, made ready: what is needed per address is looked up once, when the configuration is read."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from angaros.lists.parse import split_list
from angaros.model.delivery import Delivery
from angaros.routers.outcome import Answer, Mode, RouteOutcome

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.scope import Scope


class Driver(Protocol):
    """What a router's file offers: `routers/<driver>.py` has a class `Router` with this shape."""

    def __init__(self, instance: DriverInstance[Any]) -> None: ...

    def route(self, run: Run) -> Answer:
        """Handle the address of `run`."""
        ...


class Prepared:
    """A router of the configuration with its driver object and what can be computed beforehand."""

    __slots__ = (
        "name", "driver_name", "options", "driver", "index", "prefixes", "suffixes", "caseful", "repeat_use", "has_conditions",
        "retry_use_local_part", "log_as_local", "sets", "tests", "location",
    )  # fmt: skip

    def __init__(self, instance: DriverInstance[Any], driver: Driver, index: int) -> None:
        options: Any = instance.options
        self.name: str = instance.name
        self.driver_name: str = instance.driver
        self.options = options
        self.driver = driver
        self.index = index
        self.prefixes = split_list(options.local_part_prefix) if options.local_part_prefix else []
        self.suffixes = split_list(options.local_part_suffix) if options.local_part_suffix else []
        self.caseful: bool = options.caseful_local_part
        self.repeat_use: bool = getattr(options, "repeat_use", True)
        self.retry_use_local_part = self._retry_by_local_part()
        self.log_as_local: bool = options.log_as_local if options.is_set("log_as_local") else instance.driver == "accept"
        self.sets = _parse_sets(options.set) if options.set else []
        self.location = f"router {instance.name}, {instance.position.file} {instance.position.line}"
        """For messages about tainted queries."""
        self.tests: list[Callable[[Prepared, Run], str]] = []
        """Preconditions to test, filled by the chain."""

    def _retry_by_local_part(self) -> bool:
        """Exim spec 15, retry_use_local_part."""
        options = self.options
        if options.is_set("retry_use_local_part"):
            return bool(options.retry_use_local_part)
        names = ("local_parts", "condition", "local_part_prefix", "local_part_suffix", "senders", "require_files")
        return bool(options.check_local_user or any(options.get(name) is not None for name in names))


def _parse_sets(text: str) -> list[tuple[str, str]]:
    """`set = name = value; ...`: pairs, values not yet expanded. Exim spec 15."""
    pairs = []
    if not text.startswith("<"):
        text = "<; " + text
    for item in split_list(text):
        name, equals, value = item.partition("=")
        if equals:
            pairs.append((name.strip(), value.strip()))
    return pairs


class Run:
    """One router at work on one address."""

    __slots__ = ("router", "delivery", "scope", "mode", "outcome", "user", "index", "pass_to")

    def __init__(self, router: Prepared, delivery: Delivery, scope: Scope, mode: Mode, outcome: RouteOutcome) -> None:
        self.router = router
        self.delivery = delivery
        self.scope = scope
        """`scope.delivery` is `delivery`; `scope.local` belongs to this address and may be changed."""
        self.mode = mode
        self.outcome = outcome
        self.user: pwd.struct_passwd | None = None
        """From `check_local_user`."""
        self.index = router.index
        self.pass_to = ""

    @property
    def options(self) -> Any:
        """The router's options."""
        return self.router.options

    @property
    def home(self) -> str | None:
        """`$home` while the router runs."""
        return self.scope.local.get("home")

    def defer(self, message: str, errno: int = 0) -> Answer:
        """Defer with a text for the log."""
        self.delivery.message = message
        if errno:
            self.delivery.basic_errno = errno
        return Answer.DEFER

    def fail(self, message: str) -> Answer:
        """Fail with a text for the log."""
        self.delivery.message = message
        return Answer.FAIL
