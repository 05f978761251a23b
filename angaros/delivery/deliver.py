"""Delivering one message: `deliver_message` by its id, `deliver_held` when it is in memory already. Exim spec 3.13.

Laws:
- Whoever holds the lock delivers; the lock is released here, however the attempt ends.
- Works on the command line (blocking, perhaps as root) and in a worker (greenlets, no privilege) alike: nothing forks here.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from angaros.config.values import show_time
from angaros.delivery import freezing
from angaros.delivery.attempt import Attempt
from angaros.delivery.deliver_by import is_held
from angaros.delivery.finish import finish
from angaros.delivery.options import DeliverOptions, DeliverStatus
from angaros.delivery.recipients import take_recipients
from angaros.delivery.routing import route_all
from angaros.model.interfaces import Services
from angaros.model.message import Message
from angaros.model.scope import Scope
from angaros.spool.ids import id_time

if TYPE_CHECKING:
    from angaros.spool.locks import SpoolLock

IMMEDIATE = DeliverOptions(immediate=True)
LATER = DeliverOptions()


def deliver_message(
    services: Services, message_id: str, options: DeliverOptions = LATER, *, queue_name: str = ""
) -> DeliverStatus:
    """Deliver a message from the spool."""
    held = _take(services, message_id, queue_name, quiet=options.queue_run)
    return held if isinstance(held, DeliverStatus) else deliver_held(services, *held, options)


def _take(services: Services, message_id: str, queue_name: str, *, quiet: bool) -> tuple[Message, SpoolLock] | DeliverStatus:
    """The message and its lock, or why it cannot be had. `quiet`: that it is gone meanwhile is nothing to tell."""
    from angaros.spool.codec import SpoolFormatError

    store = services.store
    try:
        lock = store.lock(message_id, queue_name)
    except FileNotFoundError:
        if not quiet:
            services.log.write(f"Spool file {message_id}-D not found", message_id=message_id, selector="")
        return DeliverStatus.MISSING
    if lock is None:
        services.log.write(
            "Spool file is locked (another process is handling this message)", message_id=message_id, selector="skip_delivery"
        )
        return DeliverStatus.LOCKED
    try:
        return store.load(message_id, lock, queue_name), lock
    except FileNotFoundError:
        lock.release()
        return DeliverStatus.MISSING
    except SpoolFormatError as error:
        services.log.write(str(error), message_id=message_id)
        error.message.queue_name = queue_name
        _remove_malformed(services, error.message)
        lock.release()
        return DeliverStatus.ERROR
    except BaseException:
        lock.release()
        raise


def _remove_malformed(services: Services, message: Message) -> None:
    """A message whose -H nobody can read goes when it is older than `keep_malformed`. # Exim spec 14.23"""
    keep = services.config.main.keep_malformed
    directory = services.store.find(message.id, message.queue_name, "-D")
    received = message.received_time or id_time(message.id)
    if directory is not None and services.clock.now() - received > keep:
        message.body_path = f"{directory}/{message.id}-D"
        services.store.remove(message)
        services.log.write(f"Message removed because older than {show_time(keep)}", message_id=message.id)


def deliver_held(
    services: Services, message: Message, lock: SpoolLock | None, options: DeliverOptions = IMMEDIATE
) -> DeliverStatus:
    """Deliver a message that is in memory and locked; then the messages that wait for a host it went to, over the same
    connection (Exim spec 30.1)."""
    services.run.deliveries_open += 1
    open_now = services.run.deliveries_open
    try:
        status, waiting = _deliver_one(services, message, lock, options)
        later = replace(options, immediate=False, give_up=False, continued=True)
        if not options.queue_run:  # -M was about that one message
            later = replace(later, forced=False, thaw=False)
        while waiting:
            held = _take(services, waiting.pop(0), message.queue_name, quiet=True)
            if not isinstance(held, DeliverStatus):
                waiting += _deliver_one(services, *held, later)[1]
    finally:
        services.run.deliveries_open -= 1
        if open_now == 1 and not hasattr(services.waiter, "start"):
            _close_connections(services)
    return status


def _close_connections(services: Services) -> None:
    """On the command line nobody else ends the connections that were kept; a bounce delivered meanwhile does not."""
    if "smtp_connections" in services.extra:
        from angaros.transports.smtp_cache import close_all

        close_all(services)


def _deliver_one(
    services: Services, message: Message, lock: SpoolLock | None, options: DeliverOptions
) -> tuple[DeliverStatus, list[str]]:
    """One message, and the ids of those that should follow it."""
    try:
        attempt = _attempt(services, message, lock, options)
        status = _run(attempt)
        return status, attempt.next_messages
    finally:
        if message.effects.open_transaction is not None:
            from angaros.transports.smtp_held import release

            release(message)
        if lock is not None:
            lock.release()


def _attempt(services: Services, message: Message, lock: SpoolLock | None, options: DeliverOptions) -> Attempt:
    scope = Scope(services, session=message.session, message=message)
    scope.where = "delivery"
    if options.turned is not None:
        scope.state.update(atrn_mode="P", atrn_host=options.turned.host)
        scope.turned = options.turned
    msglog = message.effects.caches.pop("message_log", None) or services.store.message_log(message.id, message.queue_name)
    attempt = Attempt(services, message, lock, options, scope, msglog, started=services.clock.now())
    message.first_delivery, message.queue_running = message.deliver_firsttime, options.queue_run
    if services.run.dont_deliver:  # -N
        message.dont_deliver = True
    if services.harness is not None:
        services.random = services.harness.start_delivery()
        if options.age >= 0:
            message.received_time = services.clock.now() - options.age
    return attempt


def _run(attempt: Attempt) -> DeliverStatus:
    run = f" (queue run pid {os.getpid()})" if attempt.options.queue_run else ""
    attempt.services.log.debug("v", f"delivering {attempt.message.id}{run}")
    failure = ""
    if attempt.message.extensions is not None and is_held(attempt):
        return DeliverStatus.SKIPPED
    if attempt.message.frozen:
        decision = freezing.consider(attempt)
        if decision == "skip":
            return DeliverStatus.SKIPPED
        failure = decision
    if attempt.options.give_up:
        failure = "delivery cancelled by administrator"
        attempt.log(f"cancelled by {attempt.options.actor}")
    system_filter = attempt.services.config.main.system_filter
    if system_filter is not None and not failure:
        from angaros.delivery.system_filter import run_system_filter

        failure = run_system_filter(attempt)
    if not attempt.extra.get("recipients_ignored"):
        take_recipients(attempt, failure)
    route_all(attempt)
    if attempt.options.mua_wrapper:
        from angaros.delivery.mua import fits_one_transaction

        if not fits_one_transaction(attempt):
            return finish(attempt)
    _deliver(attempt)
    return finish(attempt)


def _deliver(attempt: Attempt) -> None:
    if attempt.local:
        from angaros.delivery.local import deliver_local

        deliver_local(attempt)
    if attempt.remote:
        from angaros.delivery.remote import deliver_remote

        deliver_remote(attempt)
