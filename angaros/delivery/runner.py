"""Queue runs: every message of a queue is tried once. Exim spec 5.3 (-q, -R, -S), 14.

Laws:
- On the command line messages are delivered one after the other in this process; in a daemon up to CONCURRENCY at a time, so that
  one slow host does not hold up the others.
- The queue is read as names; a message is opened when its turn comes. Memory does not grow with the queue beyond that.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable
from typing import Any

from angaros.delivery.deliver import deliver_message
from angaros.delivery.options import DeliverOptions, DeliverStatus
from angaros.model.errors import AngarosError
from angaros.model.interfaces import Services
from angaros.model.queue_run import QueueRun
from angaros.model.turned import Turned
from angaros.routers.address import new_delivery
from angaros.spool.glance import glance

CONCURRENCY = 200
"""Messages of one run that a daemon has in hand at a time: each holds a lock, a greenlet and a few kilobytes."""


def describe(request: QueueRun) -> str:
    """What the log lines say after the process id."""
    flags = "".join(
        letter
        for letter, on in (
            ("q", request.two_stage),
            ("i", request.first_only),
            ("ff" if request.force_frozen else "f", request.force or request.force_frozen),
            ("l", request.local_only),
        )
        if on
    )
    out = f" -q{flags}" if flags else ""
    for letter, text, regex in (
        ("R", request.select_recipient, request.select_recipient_regex),
        ("S", request.select_sender, request.select_sender_regex),
    ):
        if text:
            out += f" -{letter}{'r' if regex else ''} {text}"
    return out


def run_queue(services: Services, request: QueueRun, turned: Turned | None = None) -> None:
    """One run. Exim spec 5.3. `turned`: its mail goes over the connection of an ATRN client."""
    if services.config.main.dmarc_aggregate_reports:
        from angaros.mailauth.dmarc_aggregate import send_due

        send_due(services)
    named = f"'{request.queue_name}' " if request.queue_name else ""
    what = f"{named}queue run: pid={os.getpid()}{describe(request)}"
    services.log.write(f"Start {'ODMR ' if turned is not None else ''}{what}", selector="queue_run")
    if request.two_stage:
        _Run(services, request, first_pass=True, turned=turned).go()
    _Run(services, request, first_pass=False, turned=turned).go()
    if turned is not None:
        from angaros.transports.smtp_cache import close_turned

        close_turned(services, turned)
    services.log.write(f"End {what}", selector="queue_run")


class _Run:
    """One pass over the queue."""

    def __init__(self, services: Services, request: QueueRun, *, first_pass: bool, turned: Turned | None = None) -> None:
        self.services = services
        self.request = request
        self.first_pass = first_pass
        self.turned = turned
        self.waiting: deque[str] = deque()
        self.abandoned = False
        self.selected = 0
        self.recipient_test = _selector(request.select_recipient, request.select_recipient_regex)
        self.sender_test = _selector(request.select_sender, request.select_sender_regex)

    def go(self) -> None:
        """Deliver."""
        main = self.services.config.main
        ordered = main.queue_run_in_order or self.services.harness is not None
        self.waiting.extend(self._within(entry.message_id for entry in self._entries(ordered)))
        workers = 1 if main.queue_run_in_order or self.turned is not None else CONCURRENCY
        workers = min(workers, len(self.waiting))
        if workers:
            self.services.waiter.gather([self._work] * workers, workers)

    def _entries(self, ordered: bool) -> list[Any]:
        entries: list[Any] = self.services.store.scan(self.request.queue_name, ordered=ordered)
        if not ordered:
            random = self.services.random
            for index in range(len(entries) - 1, 0, -1):
                other = random.below(index + 1)
                entries[index], entries[other] = entries[other], entries[index]
        main = self.services.config.main
        if main.mt_priority_advertise_hosts is not None or main.mt_priority_header_hosts is not None:
            entries.sort(key=lambda entry: -self.services.store.priority(entry))  # RFC 6710 4.1
        return entries

    def _within(self, ids: Iterable[str]) -> list[str]:
        """`-q start stop`."""
        start, stop = self.request.start_id, self.request.stop_id
        return [one for one in ids if (not start or one >= start) and (not stop or one <= stop)]

    def _work(self) -> None:
        """Take messages until there are none."""
        while self.waiting and not self.abandoned:
            message_id = self.waiting.popleft()
            if self._overloaded():
                return
            if self._wanted(message_id):
                self._deliver(message_id)

    def _overloaded(self) -> bool:
        """`deliver_queue_load_max`."""
        limit = self.services.config.main.deliver_queue_load_max
        if limit < 0:
            return False
        load = load_average(self.services)
        if load <= limit:
            return False
        self.abandoned = True
        what = f"queue run: {self.request.queue_name}" if self.request.queue_name else "queue run"
        self.services.log.write(f"Abandon {what} (load {load / 1000:.2f}, max {limit / 1000:.2f})", selector="queue_run")
        return True

    def _wanted(self, message_id: str) -> bool:
        """-qi, -R and -S need the message's header."""
        request = self.request
        if not (request.first_only or self.recipient_test or self.sender_test):
            return True
        store = self.services.store
        try:
            directory = store.find(message_id, request.queue_name)
            if directory is None:
                return False
            found = glance(directory, message_id)
        except (AngarosError, OSError):
            return False
        if request.first_only and not found.first_time:
            return False
        if self.sender_test is not None and not self.sender_test.search(found.sender):
            return False
        return self.recipient_test is None or any(
            self.recipient_test.search(address) and new_delivery(address).unique not in found.done for address in found.recipients
        )

    def _deliver(self, message_id: str) -> None:
        request = self.request
        self.selected += 1
        selecting = self.recipient_test is not None or self.sender_test is not None
        options = DeliverOptions(
            forced=request.force or request.force_frozen or (selecting and self.selected == 1),
            thaw=request.force_frozen,
            queue_run=True,
            first_pass=self.first_pass,
            local_only=request.local_only,
            turned=self.turned,
            age=int(self.services.harness.queue_age(-1)) if self.services.harness is not None else -1,
        )
        try:
            status = deliver_message(self.services, message_id, options, queue_name=request.queue_name)
        except AngarosError as error:
            self.services.log.write(f"delivery failed: {error}", message_id=message_id, panic=True)
            return
        if status is DeliverStatus.LOCKED and selecting:
            self.selected -= 1


def _selector(text: str, regex: bool) -> re.Pattern[str] | None:
    """A case-independent search for a string or a pattern."""
    if not text:
        return None
    return re.compile(text if regex else re.escape(text), re.IGNORECASE)


def load_average(services: Services) -> int:
    """In thousandths; made up in test mode."""
    harness = services.harness
    if harness is not None and hasattr(harness, "load_average"):
        return int(harness.load_average())
    return int(os.getloadavg()[0] * 1000)
