"""Wiring: which implementation stands behind each interface of `model.interfaces.Services`.

Parts are made when first asked for, so that `exim -be` does not load routers and `exim -bp` does not load TLS. The daemon
calls `warm` before it forks, so that its workers share the loaded pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, Protocol, cast

from angaros.config.config import Config
from angaros.config.harness import Harness, PredictableRandom, SystemClock, SystemRandom
from angaros.config.site import Site
from angaros.model.interfaces import Courier, Log, Services, Waiter
from angaros.model.record import dataclass

PARTS = ("dns", "expander", "lists", "lookups", "hints", "acl", "verifier", "store", "courier", "submitter")


MAILAUTH = {
    "spf": "angaros.mailauth.spf_session:evaluate",
    "spf_lookup": "angaros.mailauth.spf_session:lookup",
    "watch_message": "angaros.inbound.dkim:watch_message",
    "dkim_results": "angaros.inbound.dkim:dkim_results",
    "arc": "angaros.inbound.arc:arc_state",
    "dmarc": "angaros.mailauth.dmarc_session:evaluate",
}
"""Who judges mail for ACLs and expansions."""

AUTHRESULTS = {
    "spf": "angaros.mailauth.spf_session:authres",
    "dkim": "angaros.inbound.dkim:dkim_part",
    "dmarc": "angaros.mailauth.dmarc_session:authres",
    "arc": "angaros.inbound.arc:arc_part",
}
"""What they say in `${authresults`."""


class Lazy:
    """Stands in for a part of Services until it is first used, then puts the real one in its place."""

    def __init__(self, services: Services, name: str, factory: Callable[[], Any]) -> None:
        self._services = services
        self._name = name
        self._factory = factory

    def _real(self) -> Any:
        real = self._factory()
        setattr(self._services, self._name, real)
        return real

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._real(), attribute)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class Ports:
    """What differs between the daemon and the command line."""

    waiter: Waiter
    log: Log
    courier: Callable[[Services], Courier]


def build_services(config: Config, site: Site, ports: Ports, harness: Harness | None = None) -> Services:
    """Services for one process. Nothing is opened yet."""
    unset = cast(Any, None)
    services = Services(
        site=site,
        config=config,
        clock=SystemClock(),
        random=PredictableRandom() if harness is not None else SystemRandom(),
        waiter=ports.waiter,
        log=ports.log,
        dns=unset,
        expander=unset,
        lists=unset,
        lookups=unset,
        hints=unset,
        courier=unset,
        acl=unset,
        verifier=unset,
        harness=harness,
    )
    factories: dict[str, Callable[[], Any]] = {
        "dns": lambda: _dns(services),
        "expander": _expander,
        "lists": lambda: _lists(services),
        "lookups": lambda: _lookups(services),
        "hints": lambda: _hints(services),
        "acl": lambda: _acl(services),
        "verifier": lambda: _verifier(services),
        "store": lambda: _store(services),
        "courier": lambda: ports.courier(services),
        "submitter": lambda: _submitter(services),
    }
    services.extra["factories"] = factories
    remake(services, factories)
    services.hooks.look_up_host_name = _late("angaros.net.peer:lookup_host_name")
    services.extra["ldapauth"] = _late("angaros.lookups.ldap:ldapauth")
    services.hooks.queue_size = QueueSize(services)
    services.extra["authresults"] = {method: _late(place) for method, place in AUTHRESULTS.items()}
    services.extra.update({name: _late(place) for name, place in MAILAUTH.items()})
    return services


def remake(services: Services, names: Iterable[str]) -> None:
    """Forget these parts: they are made anew when next asked for."""
    for name in names:
        setattr(services, name, Lazy(services, name, services.extra["factories"][name]))


class QueueSize:
    """`$queue_size`: counted when asked for, and believed for a while. # Exim spec 11.9 (queue_size)"""

    BELIEVED = 60.0
    """Seconds, as Exim's daemon: reading a large directory is not free, and the figure is for policy, not for accounts."""

    def __init__(self, services: Services, kept: KeptSize | None = None) -> None:
        self._services = services
        self._kept: KeptSize = kept if kept is not None else _OwnSize()

    def __call__(self) -> int:
        now, harness = self._services.clock.now(), self._services.harness
        size, counted = self._kept.queue_size()
        if not counted or now - counted >= (self.BELIEVED if harness is None else harness.queue_size_believed):
            size = self._services.store.count()
            self._kept.note_queue_size(size, now)
        return size


class KeptSize(Protocol):
    """Where the last count is: in one process, or shared by all workers."""

    def queue_size(self) -> tuple[int, float]:
        """It, and its time; 0.0 when there was none."""
        ...

    def note_queue_size(self, size: int, now: float) -> None:
        """A new one."""
        ...


class _OwnSize:
    def __init__(self) -> None:
        self._size = (0, 0.0)

    def queue_size(self) -> tuple[int, float]:
        return self._size

    def note_queue_size(self, size: int, now: float) -> None:
        self._size = (size, now)


def warm(services: Services) -> None:
    """Make all parts now (the daemon, before it forks or right after)."""
    for name in PARTS:
        part = getattr(services, name)
        if isinstance(part, Lazy):
            part._real()


def _late(place: str) -> Callable[..., Any]:
    """The function `module:name`, imported when it is first called."""
    module, _, name = place.partition(":")

    def call(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    return call


def _dns(services: Services) -> Any:
    from angaros.net.dns import from_config

    resolver = from_config(services.config, services.waiter, services.clock, services.random)
    resolver.attach(services)
    return resolver


def _expander() -> Any:
    from angaros.expand.engine import Engine

    return Engine()


def _lists(services: Services) -> Any:
    from angaros.lists.match import Matcher

    return Matcher()


def _lookups(services: Services) -> Any:
    from angaros.lookups.engine import LookupEngine

    return LookupEngine()


def _hints(services: Services) -> Any:
    from angaros.hints.db import HintsDb

    config = services.config
    return HintsDb(f"{spool_directory(services)}/db", uid=config.exim_uid, gid=config.exim_gid)


def _acl(services: Services) -> Any:
    from angaros.acl.engine import AclEngine

    return AclEngine(services)


def _verifier(services: Services) -> Any:
    from angaros.delivery.verify import Verifier

    return Verifier(services)


def _store(services: Services) -> Any:
    from angaros.spool.store import Store, StoreSettings

    return Store(StoreSettings.from_services(services), services.clock, services.waiter, services.log)


def _submitter(services: Services) -> Any:
    from angaros.inbound.submission import Submitter

    return Submitter(services)


def spool_directory(services: Services) -> str:
    """The spool directory as resolved when the configuration was read."""
    return services.config.main.spool_directory or services.site.spool_directory
