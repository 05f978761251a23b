"""Modes about the queue: -bp, -M..., -q."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from angaros.cli.context import Context
from angaros.cli.output import write, write_all
from angaros.model.errors import AngarosError

if TYPE_CHECKING:
    from angaros.model.message import Message
    from angaros.spool.queue import QueueAdmin


def list_queue(context: Context) -> int:
    """-bp and its forms."""
    from angaros.daemon.privilege import become_root
    from angaros.spool.listing import Listing, list_queue

    call, store = context.call, context.services.store
    become_root()
    queue_name = next((run.queue_name for run in call.queue_runs if run.queue_name), call.queue_name)
    if call.queue_list == "c":
        write(f"{store.count(queue_name)}\n")
        return 0
    write_all(list_queue(store, Listing.of(call.queue_list), context.services.clock.now(), call.arguments, queue_name))
    return 0


def _extract(context: Context) -> object:
    from angaros.mime.addresses import AddressRules, extract_address

    main = context.config.main
    rules = AddressRules.of(main)

    def extract(text: str) -> tuple[str, str]:
        found = extract_address(text, rules)
        address = found.address
        if address and "@" not in address:
            address = f"{address}@{main.qualify_recipient or main.qualify_domain}"
        return address, found.error

    return extract


def message_action(context: Context) -> int:
    """-M, -Mc, -Mf, -Mt, -Mrm, -Mg, -Mar, -Mes, -Mmad, -Mmd, -Mvb, -Mvc, -Mvh, -Mvl, -MG."""
    from angaros.daemon.privilege import become_root
    from angaros.spool.queue import Actor, QueueAdmin

    call, services = context.call, context.services
    if call.message_action in ("deliver", "give_up"):
        return _deliver(context)
    if call.message_action == "set_queue":
        return _move(context)
    become_root()
    actor = Actor(context.caller.login, context.caller.uid, context.caller.admin)
    extract = _extract(context)
    admin = QueueAdmin(services.store, services.log, services.clock, actor, write, extract)  # type: ignore[arg-type]
    if context.config.main.event_action:
        _tell_of_removals(context, admin)
    if call.message_action in ("add_recipients", "edit_sender", "mark_delivered"):
        targets = [(call.arguments[0], call.arguments[1:])]
    elif call.message_action.startswith("view_"):
        targets = [(call.arguments[0], [])]
    else:
        targets = [(message_id, []) for message_id in call.arguments]
    done = [admin.act(call.message_action, message_id, rest, call.queue_name) for message_id, rest in targets]
    return 0 if all(done) else 1


def _tell_of_removals(context: Context, admin: QueueAdmin) -> None:
    """Events of a message that is removed: `msg:fail:internal` for each recipient that waited, then `msg:complete`."""
    from angaros.model.events import raise_event
    from angaros.model.scope import Scope
    from angaros.routers.address import new_delivery

    action, services = context.config.main.event_action, context.services

    def removed(message: Message, addresses: list[str]) -> None:
        scope = Scope(services, session=message.session, message=message)
        for address in addresses:
            reason = f"message removed by {context.caller.login}"
            raise_event(action, "msg:fail:internal", reason, scope.child(new_delivery(address)))
        raise_event(action, "msg:complete", "", scope)

    admin.on_removal = removed


def _deliver(context: Context) -> int:
    from angaros.cli.start_delivery import install
    from angaros.daemon.privilege import become_root
    from angaros.delivery.deliver import deliver_message
    from angaros.delivery.options import DeliverOptions, DeliverStatus

    call, services = context.call, context.services
    become_root()
    install(context)
    if call.dont_deliver:
        context.services.run.dont_deliver = True
    give_up = call.message_action == "give_up"
    options = DeliverOptions(
        forced=not call.retry_timing, thaw=not call.retry_timing, give_up=give_up, actor=context.caller.login
    )
    status = 0
    there = {message_id for message_id in call.arguments if services.store.exists(message_id)}
    for message_id in call.arguments:
        found = deliver_message(services, message_id, options)
        if found is DeliverStatus.ERROR or (found is DeliverStatus.MISSING and message_id not in there):
            status = 1  # one that is gone by now went along with an earlier one, over the same connection
    return status


def _move(context: Context) -> int:
    from angaros.daemon.privilege import become_root

    store = context.services.store
    source = next((run.queue_name for run in context.call.queue_runs if run.queue_name), "")
    become_root()
    status = 0
    for message_id in context.call.arguments:
        write(f"Message {message_id} ")
        try:
            store.move(message_id, context.call.queue_name, source)
        except (AngarosError, OSError) as error:
            print(f"exim: {message_id}: {error}", file=sys.stderr)
            status = 1
    write("\n")
    return status


def run_queue(context: Context) -> int:
    """-q... without -bd: one run in this process; with an interval a daemon that does not listen."""
    from angaros.cli.start_delivery import install
    from angaros.daemon.privilege import become_root
    from angaros.delivery.runner import run_queue

    call = context.call
    if any(run.interval for run in call.queue_runs):
        from angaros.cli.server import start_daemon

        return start_daemon(context)
    become_root()
    install(context)
    if call.dont_deliver:
        context.services.run.dont_deliver = True
    if call.queue_times and context.services.harness is not None:
        context.services.harness.set_queue_ages(call.queue_times)
    services = context.services

    def go() -> None:
        for run in call.queue_runs:
            run_queue(services, run)

    if services.harness is not None or context.config.main.queue_run_in_order or services.log.debugging("any"):
        go()  # one after the other, in order
    else:
        from angaros.daemon.looped import run

        run(services, go)
    return 0
