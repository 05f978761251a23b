"""What a router that accepts an address gives it: errors address, header changes, transport, user, home. Exim spec 15.

The order of expansion is the manual's: errors_to, headers_add, headers_remove, transport.
"""

from __future__ import annotations

from angaros.lists.parse import split_list
from angaros.model.delivery import Host, Owner
from angaros.model.errors import ExpansionError, ForcedFailure, Why
from angaros.net.hosts import build_host_list
from angaros.routers.errors_address import qualified, verifies
from angaros.routers.outcome import Answer, Mode
from angaros.routers.router import Run
from angaros.routers.users import find_group_id, find_user_id

REMOTE_DRIVERS = frozenset({"smtp"})
"""Drivers whose transports take a host list; all others deliver locally."""

UNSET = -1
"""uid or gid that the router does not give."""


def assign(run: Run, hosts: list[Host] | None = None, transport: str | None = None) -> Answer:
    """Queue the address of `run` for its transport (`transport`: name found by the driver, already checked)."""
    delivery = run.delivery
    if not set_owner(run) or not set_envelope(run):
        return Answer.DEFER
    if transport is None:
        found = find_transport(run, run.options.transport)
        if found is None:
            return Answer.DEFER
        transport = found
    delivery.transport = transport
    delivery.hosts = hosts or []
    chosen = run.scope.services.config.transports.get(transport)
    delivery.extra["log_local"] = run.router.log_as_local and chosen is not None and chosen.driver not in REMOTE_DRIVERS
    if hosts and run.options.fallback_hosts:
        answer = _set_fallback(run)
        if answer is not None:
            return answer
    set_directories(run)
    delivery.dsn_lasthop = run.options.dsn_lasthop
    run.outcome.routed.append(delivery)
    run.scope.trace(
        "route", f"queued for {transport} transport: local_part = {delivery.local_part}\ndomain = {delivery.domain}"
    ) if run.scope.services.log.debugging("route") else None
    return Answer.ACCEPT


def _set_fallback(run: Run) -> Answer | None:
    try:
        text = run.scope.expand(run.options.fallback_hosts)
    except ForcedFailure:
        return None
    except ExpansionError as error:
        return run.defer(f'{run.router.name} router failed to expand "{run.options.fallback_hosts}": {error}')
    run.delivery.fallback_hosts = build_host_list(text, False, run.scope)
    return None


def set_directories(run: Run) -> None:
    """Home and current directory for a local transport."""
    delivery, options = run.delivery, run.options
    if options.transport_home_directory is not None:
        delivery.home, delivery.home_expanded = options.transport_home_directory, False
    elif run.user is not None:
        delivery.home, delivery.home_expanded = run.user.pw_dir, True
    elif run.home is not None:
        delivery.home, delivery.home_expanded = run.home, True
    delivery.current_directory = options.transport_current_directory


def set_envelope(run: Run) -> bool:
    """errors_to, headers_add, headers_remove; False: deferred."""
    options = run.options
    if options.errors_to is not None and not _set_errors_to(run):
        return False
    if options.headers_add is not None and not _add_headers(run):
        return False
    return options.headers_remove is None or _remove_headers(run)


def _set_errors_to(run: Run) -> bool:
    text = run.options.errors_to
    try:
        address = run.scope.expand(text).strip()
    except ForcedFailure:
        return True
    except ExpansionError as error:
        run.defer(f'{run.router.name} router failed to expand "{text}": {error}')
        return False
    props = run.delivery.props
    if not address:
        props.errors_to = ""
        return True
    address = qualified(address, run.scope)
    if run.mode is not Mode.DELIVER or verifies(address, run.scope):
        props.errors_to = address
    return True


def _add_headers(run: Run) -> bool:
    text: str = run.options.headers_add
    for item in split_list(text if text.startswith("<") else f"<\n {text}"):
        try:
            header = run.scope.expand(item)
        except ForcedFailure:
            continue
        except ExpansionError as error:
            run.defer(f'{run.router.name} router failed to expand add_headers item "{item}": {error}')
            return False
        if header.strip("\n"):
            run.delivery.props.headers_add.append(header if header.endswith("\n") else header + "\n")
    return True


def _remove_headers(run: Run) -> bool:
    names = [run.delivery.props.headers_remove] if run.delivery.props.headers_remove else []
    for item in split_list(run.options.headers_remove):
        try:
            name = run.scope.expand(item)
        except ForcedFailure:
            continue
        except ExpansionError as error:
            run.defer(f'{run.router.name} router failed to expand remove_headers item "{item}": {error}')
            return False
        if name:
            names.append(name)
    run.delivery.props.headers_remove = ":".join(names)
    return True


def find_transport(run: Run, text: str | None, option: str = "transport") -> str | None:
    """Name of the transport that `text` expands to; "" when none is set; None: deferred."""
    if not text:
        return ""
    name = text
    if "$" in text:
        try:
            name = run.scope.expand(text)
        except ExpansionError as error:
            what = "transport" if option == "transport" else option
            run.defer(f'failed to expand {what} "{text}" in {run.router.name} router: {error}', Why.BAD_TRANSPORT)
            return None
    if name not in run.scope.services.config.transports:
        run.defer(f'transport "{name}" not found in {run.router.name} router', Why.BAD_TRANSPORT)
        return None
    return str(name)


def set_owner(run: Run) -> bool:
    """user, group, initgroups; by default those of `check_local_user`. False: deferred."""
    delivery, options = run.delivery, run.options
    owner = delivery.owner = None
    if run.user is not None:
        owner = Owner(run.user.pw_uid, run.user.pw_gid)
    if options.user is not None:
        found = _expand_user(run)
        if found is None:
            return False
        owner = found
    if options.group is not None:
        gid = _expand_group(run)
        if gid is None:
            return False
        owner = Owner(owner.uid if owner is not None else UNSET, gid)
    if owner is not None and owner.uid != UNSET and owner.gid == UNSET:
        run.defer(f"user set without group for {run.router.name} router")
        return False
    delivery.owner = owner
    if owner is not None:
        delivery.extra["initgroups"] = options.initgroups
    return True


def _expand_user(run: Run) -> Owner | None:
    text, name = run.options.user, run.router.name
    try:
        user = run.scope.expand(text)
    except ExpansionError as error:
        _panic(run, f'Failed to expand user string "{text}" for the {name} router: {error}')
        return None
    found = find_user_id(user, run.scope.services)
    if found is None:
        where = f' from expanded string "{text}"' if "$" in text else ""
        _panic(run, f'Failed to find user "{user}"{where} for the {name} router')
        return None
    return Owner(found[0], found[1].pw_gid if found[1] is not None else UNSET)


def _expand_group(run: Run) -> int | None:
    text, name = run.options.group, run.router.name
    try:
        group = run.scope.expand(text)
    except ExpansionError as error:
        _panic(run, f'Failed to expand group string "{text}" for the {name} router: {error}')
        return None
    gid = find_group_id(group)
    if gid is None:
        where = f' from expanded string "{text}"' if "$" in text else ""
        _panic(run, f'Failed to find group "{group}"{where} for the {name} router')
    return gid


def _panic(run: Run, text: str) -> None:
    message = run.scope.message
    run.scope.services.log.write(text, panic=True, message_id=message.id if message is not None else "")
    run.defer(text)
