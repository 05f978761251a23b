"""As whom and where a transport runs, and what `$names` mean to it. Exim spec 23, 24."""

from __future__ import annotations

from typing import Any

from angaros.delivery.attempt import Attempt
from angaros.model.delivery import Delivery, Host, Owner
from angaros.model.errors import ExpansionError, ForcedFailure, Why
from angaros.model.interfaces import Services
from angaros.model.scope import Scope
from angaros.routers.assign import UNSET
from angaros.routers.users import find_group_id, find_user_id, groups_of


class EnvironmentFault(Exception):
    """The transport cannot be run; `str()` is the log's text."""

    def __init__(self, text: str, errno: int, *, status: str = "defer", panic: bool = False) -> None:
        super().__init__(text)
        self.errno = errno
        self.status = status
        self.panic = panic


def prepare(attempt: Attempt, instance: Any, batch: list[Delivery]) -> Scope:
    """The scope of a local transport; owner, home and current directory are put into the addresses."""
    first = batch[0]
    scope = transport_scope(attempt, instance, first)
    owner = _owner(attempt, instance, first, scope)
    home = _directory(instance, scope, "home", instance.options.home_directory, first.home, first.home_expanded)
    if home is not None:
        scope.local["home"] = home
    current = _directory(instance, scope, "current", instance.options.current_directory, first.current_directory, False)
    for delivery in batch:
        delivery.owner, delivery.home, delivery.home_expanded = owner, home, True
        delivery.current_directory = current
    set_return_path(attempt, instance, first, scope)
    if len(first.hosts) > 1:  # of no use to a local transport but as a text
        scope.host = Host(":".join(host.name for host in first.hosts))
    return scope


def transport_scope(attempt: Attempt, instance: Any, delivery: Delivery) -> Scope:
    """What `$names` mean to a transport that handles `delivery` (and maybe others)."""
    scope = attempt.scope.child(delivery)
    local = scope.local
    local["transport_name"] = instance.name
    local["router_name"] = delivery.router
    local["config_location"] = f"transport {instance.name}, {instance.position.file} {instance.position.line}"
    if delivery.filter_generated and delivery.parent is not None and delivery.parent.address == "system-filter":
        local["recipients"] = ", ".join(recipient.address for recipient in attempt.message.recipients)
    if delivery.hosts:
        scope.host = delivery.hosts[0]
    return scope


def set_return_path(attempt: Attempt, instance: Any, delivery: Delivery, scope: Scope) -> None:
    """`$return_path`: errors address, else sender; `return_path` of the transport overrides. Exim spec 24."""
    errors_to = delivery.props.errors_to
    scope.local["return_path"] = attempt.message.sender_address if errors_to is None else errors_to
    text = instance.options.return_path
    if text is None:
        return
    try:
        scope.local["return_path"] = scope.expand(text)
    except ForcedFailure:
        return
    except ExpansionError as error:
        fault = f'Failed to expand return path "{text}" in {instance.name} transport: {error}'
        raise EnvironmentFault(fault, Why.EXPAND_FAIL, panic=True) from error


def show_debug_print(instance: Any, scope: Scope) -> None:
    """`debug_print` of a transport, for who watches. Exim spec 24"""
    text, log = instance.options.debug_print, scope.services.log
    if text is None or not log.debugging("v"):
        return
    try:
        shown = scope.expand(text)
    except ExpansionError as error:
        shown = f'failed to expand debug_output "{text}": {error}'
    log.debug("v", shown.rstrip("\n"))


def _directory(instance: Any, scope: Scope, what: str, own: str | None, given: str | None, expanded: bool) -> str | None:
    """Home or current directory: the transport's, else the router's."""
    raw = own if own is not None else given
    if raw is None:
        return None
    path = raw
    if own is not None or not expanded:
        try:
            path = scope.expand(raw)
        except ExpansionError as error:
            text = f'{what} directory "{raw}" failed to expand for {instance.name} transport: {error}'
            raise EnvironmentFault(text, Why.EXPAND_FAIL, panic=True) from error
        if not path.startswith("/") and (path or what == "home"):
            text = f'{what} directory path "{path}" is not absolute for {instance.name} transport'
            raise EnvironmentFault(text, Why.NOT_ABSOLUTE, panic=True)
    return path


def _owner(attempt: Attempt, instance: Any, delivery: Delivery, scope: Scope) -> Owner:
    """User and group: the transport's, else the address's, else the Exim user's. Exim spec 23.3."""
    options, config, services = instance.options, attempt.services.config, attempt.services
    given = delivery.owner or Owner(UNSET, UNSET)
    uid, gid, init = UNSET, UNSET, False
    if options.group is not None:
        gid = _find_group(scope, instance, options.group)
    if options.user is not None:
        text = _expand(scope, instance, "user", options.user)
        found = find_user_id(text, services)
        if found is None:
            raise _not_found(instance, "user", text, options.user)
        uid, init = found[0], options.initgroups
        if gid == UNSET and found[1] is not None:
            gid = found[1].pw_gid
    elif getattr(options, "pipe_as_creator", False):
        creator = attempt.message.session
        uid, init = creator.originator_uid, options.initgroups
        gid = given.gid if gid == UNSET else gid
        gid = creator.originator_gid if gid == UNSET else gid
    elif given.uid != UNSET:
        uid, init = given.uid, bool(delivery.extra.get("initgroups"))
        gid = given.gid if gid == UNSET else gid
    else:
        uid = config.exim_uid
        if gid == UNSET:
            gid = given.gid if given.gid != UNSET else config.exim_gid
    if gid == UNSET:
        raise EnvironmentFault(f"User set without group for {instance.name} transport", Why.GID_FAIL, status="panic")
    if uid in config.never_uids:
        text = f"User {uid} set for {instance.name} transport is on the {_never_list(services, uid)} list"
        raise EnvironmentFault(text, Why.UID_FAIL, status="panic", panic=True)
    return Owner(uid, gid, groups_of(uid, gid) if init else ())


def _never_list(services: Services, uid: int) -> str:
    """Which of the two lists it is on, for the message."""
    for name in services.site.fixed_never_users.split(":"):
        found = find_user_id(name.strip(), services)
        if found is not None and found[0] == uid:
            return "fixed_never_users"
    return "never_users"


def _expand(scope: Scope, instance: Any, what: str, text: str) -> str:
    try:
        return scope.expand(text)
    except ExpansionError as error:
        fault = f'Failed to expand {what} string "{text}" for the {instance.name} transport: {error}'
        raise EnvironmentFault(fault, Why.UID_FAIL if what == "user" else Why.GID_FAIL, status="panic", panic=True) from error


def _find_group(scope: Scope, instance: Any, text: str) -> int:
    name = _expand(scope, instance, "group", text)
    gid = find_group_id(name)
    if gid is None:
        raise _not_found(instance, "group", name, text)
    return gid


def _not_found(instance: Any, what: str, name: str, text: str) -> EnvironmentFault:
    where = f' from expanded string "{text}"' if "$" in text else ""
    fault = f'Failed to find {what} "{name}"{where} for the {instance.name} transport'
    return EnvironmentFault(fault, Why.UID_FAIL if what == "user" else Why.GID_FAIL, status="panic", panic=True)
