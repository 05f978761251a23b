"""Queue runs: every message of a queue is tried once. Exim spec 5.3 (-q, -R, -S), 14.

Laws:
- On a loop messages are delivered side by side, so that no slow host holds up the others (`delivery.crowd`); without one, in test
  mode or with `queue_run_in_order`, one after the other.
- The queue is read as names; a message is opened when its turn comes. Memory does not grow with the queue beyond that.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Collection, Iterable
from typing import Any

from angaros.delivery.crowd import Crowd, work_through
from angaros.delivery.deliver import deliver_message
from angaros.delivery.options import DeliverOptions, DeliverStatus
from angaros.model.errors import AngarosError
from angaros.model.interfaces import Services
from angaros.model.queue_run import QueueRun
from angaros.model.turned import Turned
from angaros.routers.address import new_delivery
from angaros.spool.glance import domains_in_spool, glance


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
    _send_reports(services)
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
    if any(getattr(t.options, name, None) for t in services.config.transports.values() for name in _POLICY_OPTIONS):
        from angaros.net.mta_sts_cache import refresh_sometimes

        refresh_sometimes(services)


_POLICY_OPTIONS = ("hosts_try_mta_sts", "hosts_require_mta_sts")


def _send_reports(services: Services) -> None:
    """Reports about the days before, once a day."""
    main = services.config.main
    if main.dmarc_aggregate_reports:
        from angaros.mailauth.dmarc_aggregate import send_due as send_dmarc

        send_dmarc(services)
    if main.tls_reports:
        from angaros.net.tls_report_send import send_due as send_tls

        send_tls(services)


class _Run:
    """One pass over the queue."""

    def __init__(self, services: Services, request: QueueRun, *, first_pass: bool, turned: Turned | None = None) -> None:
        self.services = services
        self.request = request
        self.first_pass = first_pass
        self.turned = turned
        self.abandoned = False
        self.selected = 0
        self.recipient_test = _selector(request.select_recipient, request.select_recipient_regex)
        self.sender_test = _selector(request.select_sender, request.select_sender_regex)

    def go(self) -> None:
        """Deliver."""
        main = self.services.config.main
        ordered = main.queue_run_in_order or self.services.harness is not None
        ids = self._within(entry.message_id for entry in self._entries(ordered))
        one_by_one = main.queue_run_in_order or self.turned is not None
        if one_by_one or not hasattr(self.services.waiter, "start"):
            for message_id in ids:
                self._work(message_id)
            return
        services = self.services
        crowd = Crowd(services.clock.monotonic, self._domains, services.run.trying.get)
        crowd.add(ids)
        work_through(crowd, self._work, services.waiter)

    def _entries(self, ordered: bool) -> list[Any]:
        return self.services.waiter.in_thread(lambda: self._scan(ordered))  # of a long queue it takes its time

    def _scan(self, ordered: bool) -> list[Any]:
        main, store = self.services.config.main, self.services.store
        entries: list[Any] = store.scan(self.request.queue_name, ordered=ordered)
        if not ordered:
            random.Random(self.services.random.below(1 << 32)).shuffle(entries)  # an order that two runs do not share
        if main.mt_priority_advertise_hosts is not None or main.mt_priority_header_hosts is not None:
            entries.sort(key=lambda entry: -store.priority(entry))  # RFC 6710 4.1
        return entries

    def _within(self, ids: Iterable[str]) -> list[str]:
        """`-q start stop`."""
        start, stop = self.request.start_id, self.request.stop_id
        return [one for one in ids if (not start or one >= start) and (not stop or one <= stop)]

    def _domains(self, message_id: str) -> Collection[str]:
        """Of the recipients that are not done."""
        return domains_in_spool(self.services.store, message_id, self.request.queue_name)

    def _work(self, message_id: str) -> None:
        """One message, unless the run has been given up."""
        if not self.abandoned and not self._overloaded() and self._wanted(message_id):
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
        directory = self.services.store.find(message_id, request.queue_name)
        try:
            found = glance(directory or "", message_id)
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
