"""Which messages are in delivery at once in a process: so many that nobody waits for somebody else's slow or dead host.

Laws:
- At most LIMIT messages that make their way. One that is in hand for longer than SLOW seconds only waits for its host and holds
  up nobody: it does not count, and the next one begins; up to MOST in all, which bounds memory and connections.
- Of the slow ones at one host only PER_HOST are let off so: a host for everything, when it is dead, is not called by thousands.
  All slow local deliveries are as one host: a slow command is not run by thousands.
- Of one domain with PER_DOMAIN slow messages no more begin as long as there are others. Those that wait come in when some of
  these are done: one for a slow one, two for a quick one. They wait as names.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T", bound=Hashable)

LIMIT = 200
"""Each holds a lock, a greenlet and a few kilobytes."""
MOST = 2000
"""About 100 KiB and three descriptors each: 200 MiB where all hosts are slow."""
SLOW = 1.0
"""Seconds. What takes longer waits for the network; a delivery on a good host is done by then."""
PER_HOST = 20
PER_DOMAIN = 20
"""As many as other servers let in from one client at a time."""


class _Slow(NamedTuple):
    domains: frozenset[str]
    host: Hashable


class Crowd(Generic[T]):
    """Messages in hand and messages that wait. It starts nothing itself: `take` says who may begin, `done` who has ended."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        domains_of: Callable[[T], Collection[str]],
        host_of: Callable[[T], Hashable | None] = lambda item: None,
        limit: int = LIMIT,
        most: int = MOST,
    ) -> None:
        """`domains_of`: of the recipients that wait, asked only when there are slow messages. `host_of`: who is talked to now."""
        self._monotonic, self._domains_of, self._host_of = monotonic, domains_of, host_of
        self._limit, self._most = limit, max(most, limit)
        self._waiting: deque[T] = deque()
        self._later: dict[str, deque[T]] = {}
        self._released: dict[T, str] = {}
        self._fresh: dict[T, float] = {}
        """In hand, with the time of the beginning; the oldest first."""
        self._slow: dict[T, _Slow] = {}
        self._domains: Counter[str] = Counter()
        self._full: set[str] = set()
        """Domains that have PER_DOMAIN slow ones or more."""
        self._hosts: Counter[Hashable] = Counter()
        self._counted = 0
        """Slow ones beyond PER_HOST: they count."""

    @property
    def waiting(self) -> int:
        """How many have not begun."""
        return len(self._waiting) + sum(map(len, self._later.values()))

    @property
    def in_hand(self) -> int:
        """How many have begun and not ended."""
        return len(self._fresh) + len(self._slow)

    def __contains__(self, item: T) -> bool:
        return item in self._fresh or item in self._slow

    def add(self, items: Iterable[T]) -> None:
        """They wait for their turn."""
        self._waiting.extend(items)

    def room(self) -> int:
        """How many may begin now."""
        self._look_at_the_clock()
        free = min(self._limit - len(self._fresh) - self._counted, self._most - self.in_hand)
        return max(0, min(free, len(self._waiting)))

    def take(self) -> T | None:
        """One that begins now; None when nobody may, or nobody waits."""
        while self.room():
            item = self._waiting.popleft()
            full = self._full_domain(item)
            if full:
                self._later.setdefault(full, deque()).append(item)
                continue
            self._fresh[item] = self._monotonic()
            return item
        return None

    def done(self, item: T) -> None:
        """It has ended, however."""
        released = self._released.pop(item, "")
        if self._fresh.pop(item, None) is not None:
            if released:
                self._release(released, 2)
            return
        slow = self._slow.pop(item)
        self._hosts[slow.host] -= 1
        if self._hosts[slow.host] >= PER_HOST:
            self._counted -= 1
        elif not self._hosts[slow.host]:
            del self._hosts[slow.host]
        for domain in slow.domains:
            self._domains[domain] -= 1
            if self._domains[domain] < PER_DOMAIN:
                self._full.discard(domain)
                self._release(domain, 1 if self._domains[domain] else len(self._later.get(domain, ())))
            if not self._domains[domain]:
                del self._domains[domain]

    def pause(self) -> float | None:
        """Seconds until more may begin though nobody has ended; None when that cannot be."""
        if not self._waiting or self.in_hand >= self._most:
            return None
        oldest = next(iter(self._fresh.values()), self._monotonic())
        return max(0.0, oldest + SLOW - self._monotonic())

    def _look_at_the_clock(self) -> None:
        slow_since = self._monotonic() - SLOW
        while self._fresh:
            item, began = next(iter(self._fresh.items()))
            if began > slow_since:
                return
            del self._fresh[item]
            domains = frozenset(self._domains_of(item))
            host = self._host_of(item) or min(domains, default="")
            self._slow[item] = _Slow(domains, host)
            self._domains.update(domains)
            self._full.update(domain for domain in domains if self._domains[domain] >= PER_DOMAIN)
            if self._hosts[host] >= PER_HOST:
                self._counted += 1
            self._hosts[host] += 1

    def _full_domain(self, item: T) -> str:
        """One of its domains when all of them have enough slow messages."""
        if not self._full:
            return ""
        domains = self._domains_of(item)
        if not domains or not self._full.issuperset(domains):
            return ""
        return min(domains)

    def _release(self, domain: str, number: int) -> None:
        """Let some that wait for this domain come next."""
        queue = self._later.get(domain)
        for _ in range(number):
            if not queue:
                break
            item = queue.popleft()
            self._released[item] = domain
            self._waiting.appendleft(item)
        if queue is not None and not queue:
            del self._later[domain]


def work_through(crowd: Crowd[T], work: Callable[[T], None], waiter: Any) -> None:
    """Do `work` on all that wait, side by side on the loop. Raises the first error of one of them when all have ended."""
    from angaros.net.loop import Run, current_run

    here = current_run()
    hands: set[Run] = set()
    errors: list[BaseException] = []

    def hand() -> None:
        while (item := crowd.take()) is not None:
            try:
                work(item)
            finally:
                crowd.done(item)
            if crowd.room() > 1:
                here.wake(here.serial)  # to start more of these
            waiter.sleep(0)

    def ended(run: Run) -> None:
        hands.discard(run)
        if run.error is not None:
            errors.append(run.error)
        here.wake(here.serial)

    try:
        while hands or crowd.waiting:
            for _ in range(crowd.room()):
                hands.add(waiter.start(hand, done=ended))
            try:
                here.park(crowd.pause())
            except TimeoutError:
                pass
    except BaseException:
        for run in hands:
            run.cancel()
        raise
    if errors:
        raise errors[0]
