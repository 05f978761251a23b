"""The system filter: run once for each attempt, before any routing. Exim spec 47."""

from __future__ import annotations

import os

from angaros.delivery.attempt import Attempt
from angaros.delivery.recipients import delivery_for
from angaros.delivery.settle import defer, routing_result
from angaros.filters.exim.run import FilterSetting, run_exim_filter
from angaros.filters.outcome import FilterError, FilterOutcome, Item
from angaros.model.delivery import Delivery, DeliveryResult, Owner
from angaros.model.errors import ExpansionError, Why
from angaros.model.text import concat, is_tainted, text
from angaros.routers.address import new_delivery
from angaros.routers.users import find_group_id, find_user_id

PARENT = "system-filter"

MAX_FILTER = 1 << 20
"""Octets."""

CONTINUE = ""


def run_system_filter(attempt: Attempt) -> str:
    """Run it. Answers a text with which all recipients fail; "" to go on (`attempt` says how)."""
    try:
        source = _read(attempt)
        setting = _setting(attempt)
        outcome = run_exim_filter(source, setting)
    except (FilterError, ExpansionError) as error:
        return _broken(attempt, str(error))
    for number in range(10):
        attempt.scope.local[f"sn{number}"] = setting.scope.local[f"n{number}"]
    if outcome.headers_changed:
        attempt.update_spool = True
    for item in outcome.items:
        _add(attempt, item)
    return _conclude(attempt, outcome)


def _broken(attempt: Attempt, text_: str) -> str:
    """The filter cannot be used: nothing is delivered now."""
    attempt.log(f"Error in system filter: {text_}", panic=True)
    attempt.extra["recipients_ignored"] = True
    _hold_all(attempt, f"error in system filter: {text_}", Why.FILTER_FAIL, quiet=True)
    return CONTINUE


def _hold_all(attempt: Attempt, message: str, errno: int, *, quiet: bool = False) -> None:
    """All recipients that are left wait."""
    for number, recipient in enumerate(attempt.message.recipients):
        delivery = delivery_for(attempt, recipient, number)
        if delivery.unique in attempt.message.non_recipients:
            continue
        if quiet:
            from angaros.delivery.attempt import Fate

            attempt.deferred.append(Fate(delivery, DeliveryResult("defer")))
        else:
            delivery.message, delivery.basic_errno = message, errno
            defer(attempt, delivery, routing_result(delivery, "defer"))


def _read(attempt: Attempt) -> str:
    main = attempt.services.config.main
    try:
        path = attempt.scope.expand(main.system_filter or "")
    except ExpansionError as error:
        raise FilterError(f'failed to expand "{main.system_filter}": {error}') from error
    if not path.startswith("/"):
        raise FilterError(f'"{path}" is not an absolute path')
    if is_tainted(path):
        raise FilterError(f"Tainted name '{path}' for system filter not permitted")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILTER + 1)
    except OSError as error:
        raise FilterError(f"failed to open {path}: {error.strerror}") from error
    if len(data) > MAX_FILTER:
        raise FilterError(f"{path} is too big (max {MAX_FILTER})")
    return text(data)


def _setting(attempt: Attempt) -> FilterSetting:
    scope = attempt.scope.child()
    message = attempt.message
    scope.local["recipients"] = ", ".join(recipient.address for recipient in message.recipients)
    scope.local["filter_recipients"] = "1"

    def write(path: str, mode: int, line: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(line.encode("latin-1"))

    return FilterSetting(scope, system=True, allowed=frozenset({"fail", "freeze", "defer"}), may_log=True, write_log=write)


def _conclude(attempt: Attempt, outcome: FilterOutcome) -> str:
    if outcome.action == "fail":
        reason = outcome.text or "failed by system filter"
        shown = f": {outcome.text}" if outcome.text else ""
        quiet = ""
        if outcome.text.startswith("<<"):
            quiet, _, rest = outcome.text[2:].partition(">>")
            reason, shown = rest.lstrip(), f": {quiet}"
        attempt.log_both(f"cancelled by system filter{shown}")
        return reason or "Message failed by the system filter"
    if outcome.action == "freeze" and not attempt.message.manually_thawed:
        attempt.frozen_now = True
        attempt.freeze_reason = f" by the system filter{': ' + outcome.text if outcome.text else ''}"
        attempt.extra["filter_frozen"] = True
        _hold_all(attempt, "", 0, quiet=True)
        attempt.extra["recipients_ignored"] = True
        return CONTINUE
    if outcome.action == "defer":
        attempt.extra["recipients_ignored"] = True
        attempt.log_both("Delivery deferred by system filter")
        _hold_all(attempt, outcome.text, Why.UNKNOWN, quiet=True)
        return CONTINUE
    if outcome.delivered:
        _ignore_recipients(attempt)
    return CONTINUE


def _ignore_recipients(attempt: Attempt) -> None:
    """The filter delivered: nobody else gets the message."""
    attempt.extra["recipients_ignored"] = True
    message = attempt.message
    for number, recipient in enumerate(message.recipients):
        message.non_recipients.add(delivery_for(attempt, recipient, number).unique)
    attempt.update_spool = True
    attempt.log_both("original recipients ignored (system filter)")


def _add(attempt: Attempt, item: Item) -> None:
    """A delivery that the filter set up; its parent is `system-filter`."""
    parent = attempt.extra.get("filter_parent")
    if parent is None:
        domain = attempt.services.config.main.qualify_domain
        parent = attempt.extra["filter_parent"] = Delivery(PARENT, PARENT, domain=domain, unique=PARENT)
    delivery = _special(attempt, item) if item.kind != "address" else new_delivery(item.text)
    delivery.parent = parent
    delivery.recipient_number = -1
    parent.children += 1
    delivery.props.ignore_error = item.ignore_error
    if item.errors_to is not None:
        delivery.props.errors_to = item.errors_to
    delivery.filter_generated = True
    attempt.new.append(delivery)


def _special(attempt: Attempt, item: Item) -> Delivery:
    """A file, pipe or reply with the transport that main options name."""
    prefix = {"pipe": "|", "reply": ">"}.get(item.kind, "")
    delivery = Delivery(concat([prefix, item.text]))
    delivery.unique = concat([delivery.address, ":", PARENT])
    delivery.is_pipe, delivery.is_file, delivery.is_autoreply = item.kind == "pipe", item.kind == "file", item.kind == "reply"
    delivery.file_mode, delivery.reply = item.mode, item.reply
    delivery.pipe_expand_numeric, delivery.pipe_expand = item.numeric, dict(item.variables)
    if item.failure:
        delivery.extra["forbidden"] = item.failure
    main = attempt.services.config.main
    delivery.local_part = delivery.cased_local_part = delivery.lowered_local_part = PARENT
    delivery.domain = main.qualify_domain or ""
    option = (
        "system_filter_directory_transport"
        if item.kind == "file" and item.text.endswith("/")
        else {
            "pipe": "system_filter_pipe_transport",
            "file": "system_filter_file_transport",
            "reply": "system_filter_reply_transport",
        }[item.kind]
    )
    name = getattr(main, option)
    if name is None:
        delivery.message = f"{option} is unset"
        return delivery
    _set_transport(attempt, delivery, option, name)
    delivery.owner = _owner(attempt)
    return delivery


def _set_transport(attempt: Attempt, delivery: Delivery, option: str, name: str) -> None:
    try:
        scope = attempt.scope.child()
        if not delivery.is_autoreply:
            scope.local["address_pipe" if delivery.is_pipe else "address_file"] = delivery.address
        transport = scope.expand(name)
    except ExpansionError as error:
        delivery.message = f'failed to expand "{name}" as a system filter transport name: {error}'
        return
    if transport in attempt.services.config.transports:
        delivery.transport = transport
    else:
        delivery.message = f'failed to find "{transport}" transport for system filter delivery'


def _owner(attempt: Attempt) -> Owner | None:
    """`system_filter_user`, `system_filter_group`."""
    main, services = attempt.services.config.main, attempt.services
    found = find_user_id(main.system_filter_user, services) if main.system_filter_user else None
    if found is None:
        return None
    gid = find_group_id(main.system_filter_group) if main.system_filter_group else None
    if gid is None:
        gid = found[1].pw_gid if found[1] is not None else services.config.exim_gid
    return Owner(found[0], gid)
