"""What all local transports have in common: who they run as, where, with which return path; and handing the plan over.

A local transport delivers one copy for a batch of addresses. `LocalTransport.deliver` is the entry; drivers say what to do in
`run`, given a `Setup`. Exim spec 23 (environment), 24 (generic options), 25 (batching).
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from angaros.model.delivery import Delivery, DeliveryResult, Owner
from angaros.model.errors import ExpansionError, ForcedFailure, Why
from angaros.model.text import is_tainted
from angaros.routers.users import find_group_id, find_user_id, groups_of
from angaros.transports.headers import TransportError, header_text
from angaros.transports.plan import Copy, Plan

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.message import Message
    from angaros.model.scope import Scope

UNSET = -1


@dataclass(slots=True)
class Setup:
    """One delivery, set up: everything a driver needs to make its plan."""

    instance: DriverInstance[Any]
    deliveries: list[Delivery]
    scope: Scope
    """Names as in the transport; `delivery` is the address, or what the addresses of a batch have in common."""
    return_path: str
    owner: Owner
    home: str
    directory: str
    """Current directory."""

    @property
    def message(self) -> Message:
        """The message."""
        assert self.scope.message is not None
        return self.scope.message

    @property
    def first(self) -> Delivery:
        """The first address."""
        return self.deliveries[0]

    @property
    def name(self) -> str:
        """The transport's name."""
        return self.instance.name


class LocalTransport:
    """Base of the drivers."""

    def __init__(self, instance: DriverInstance[Any]) -> None:
        self.instance = instance
        self.options = instance.options

    def deliver(self, deliveries: list[Delivery], scope: Scope) -> list[DeliveryResult]:
        """One copy for all of `deliveries`; the same result for each."""
        clock = scope.services.clock
        started = clock.now()
        try:
            check_size(self.instance, deliveries, scope)
            setup = prepare(self.instance, deliveries, scope)
            result = self.run(setup)
            result.return_path = setup.return_path
        except TransportError as error:
            result = failure(error, scope)
        except OSError as error:
            result = DeliveryResult("defer", message=error.strerror or str(error), basic_errno=error.errno or 0)
        result.started, result.finished = started, clock.now()
        return [result, *(dataclasses.replace(result) for _ in deliveries[1:])]

    def run(self, setup: Setup) -> DeliveryResult:
        """Deliver. Raises TransportError when it cannot be set up."""
        raise NotImplementedError  # by every driver


def failure(error: TransportError, scope: Scope) -> DeliveryResult:
    """The result for a delivery that could not be set up."""
    status = "fail" if error.fail else "panic" if error.panic else "defer"
    return DeliveryResult(status, message=str(error), basic_errno=error.errno)


def check_size(instance: DriverInstance[Any], deliveries: list[Delivery], scope: Scope) -> None:
    """`message_size_limit` of the transport (Exim spec 24)."""
    limit_text = instance.options.message_size_limit
    if not limit_text:
        return
    assert scope.message is not None
    try:
        text = scope.child(delivery=deliveries[0], transport_name=instance.name).expand(limit_text)
        limit = read_size(text)
    except (ExpansionError, ValueError) as error:
        raise TransportError(
            f"invalid message_size_limit in {instance.name} transport: {error}", Why.UNKNOWN, panic=True
        ) from None
    if limit and scope.message.message_size > limit:
        raise TransportError(f"message is too big (transport limit = {limit})", fail=True)


_SIZE = re.compile(r"\s*(-?\d+)([kKmMgG]?)\s*")


def read_size(text: str) -> int:
    """A number with K, M or G after it. Raises ValueError with Exim's words."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f'invalid integer "{text}"')
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2].lower()]


def prepare(instance: DriverInstance[Any], deliveries: list[Delivery], scope: Scope) -> Setup:
    """Everything before the driver's own part, in Exim's order. Raises TransportError."""
    common = combined(deliveries)
    here = scope.child(delivery=common, transport_name=instance.name)
    return_path = expand_return_path(instance, common, here)
    here.local["return_path"] = return_path
    owner = find_owner(instance, deliveries[0], here)
    here.local["local_user_uid"], here.local["local_user_gid"] = str(owner.uid), str(owner.gid)
    home = _home(instance, common, here)
    here.local["home"] = home
    directory = _directory(instance, common, here) or home or "/"
    return Setup(instance, deliveries, here, return_path, owner, home, directory)


def combined(deliveries: list[Delivery]) -> Delivery:
    """What `$local_part`, `$domain` and their kin mean: for a batch, only what is the same for all (Exim spec 23.4)."""
    first = deliveries[0]
    if len(deliveries) == 1:
        return first
    domain = first.domain if all(one.domain == first.domain for one in deliveries) else ""
    return dataclasses.replace(
        first,
        local_part="",
        cased_local_part="",
        lowered_local_part="",
        prefix="",
        suffix="",
        domain=domain,
        parent=None,
        props=dataclasses.replace(first.props, local_part_data=None),
    )


def expand_return_path(instance: DriverInstance[Any], delivery: Delivery, scope: Scope) -> str:
    """The transport's `return_path`, else the router's errors_to, else the sender."""
    assert scope.message is not None
    default = delivery.props.errors_to if delivery.props.errors_to is not None else scope.message.sender_address
    text = instance.options.return_path
    if text is None:
        return default
    scope.local["return_path"] = default
    try:
        return scope.expand(text)
    except ForcedFailure:
        return default
    except ExpansionError as error:
        _panic(scope, f'Failed to expand return path "{text}" in {instance.name} transport: {error}', Why.EXPAND_FAIL)
    raise AssertionError


def _panic(scope: Scope, text: str, errno: int) -> None:
    """Exim writes these to main and panic log, then defers with an ordinary line."""
    assert scope.message is not None
    scope.services.log.write(text, message_id=scope.message.id, panic=True)
    raise TransportError(text, errno)


# --- User --------------------------------------------------------------------------------------------------------------


def find_owner(instance: DriverInstance[Any], delivery: Delivery, scope: Scope) -> Owner:
    """The user and groups to run as (Exim spec 23.2); refused when on never_users."""
    options, routed = instance.options, delivery.owner
    uid = gid = UNSET
    user_gid = UNSET
    if options.group is not None:
        gid = _expand_group(instance, scope)
    if options.user is not None:
        uid, user_gid = _expand_user(instance, scope)
        initgroups = options.initgroups
    elif getattr(options, "pipe_as_creator", False):
        session = scope.session if scope.session is not None else scope.message.session  # type: ignore[union-attr]
        uid, user_gid = session.originator_uid, session.originator_gid
        initgroups = options.initgroups
    elif routed is not None and routed.uid != UNSET:
        uid = routed.uid
        initgroups = bool(delivery.extra.get("initgroups", False)) or bool(routed.groups)
    else:
        config = scope.services.config
        uid, user_gid, initgroups = config.exim_uid, config.exim_gid, False
    if gid == UNSET and routed is not None and routed.gid != UNSET:
        gid = routed.gid
    if gid == UNSET:
        gid = user_gid
    if gid == UNSET:
        _panic(scope, f"User set without group for {instance.name} transport", Why.GID_FAIL)
    _check_never(instance, uid, scope)
    groups = groups_of(uid, gid) if initgroups else ()
    return Owner(uid, gid, groups)


def _check_never(instance: DriverInstance[Any], uid: int, scope: Scope) -> None:
    config, site = scope.services.config, scope.services.site
    if uid not in config.never_uids:
        return
    fixed = {found[0] for name in site.fixed_never_users.split(":") if (found := find_user_id(name.strip(), scope.services))}
    which = "fixed_never_users" if uid in fixed else "never_users"
    _panic(scope, f"User {uid} set for {instance.name} transport is on the {which} list", Why.UID_FAIL)


def _expand_user(instance: DriverInstance[Any], scope: Scope) -> tuple[int, int]:
    text, name = instance.options.user, instance.name
    try:
        user = scope.expand(text)
    except ExpansionError as error:
        _panic(scope, f'Failed to expand user string "{text}" for the {name} transport: {error}', Why.UID_FAIL)
    found = find_user_id(user, scope.services)
    if found is None:
        origin = f' from expanded string "{text}"' if "$" in text else ""
        _panic(scope, f'Failed to find user "{user}"{origin} for the {name} transport', Why.UID_FAIL)
    assert found is not None
    return found[0], found[1].pw_gid if found[1] is not None else UNSET


def _expand_group(instance: DriverInstance[Any], scope: Scope) -> int:
    text, name = instance.options.group, instance.name
    try:
        group = scope.expand(text)
    except ExpansionError as error:
        _panic(scope, f'Failed to expand group string "{text}" for the {name} transport: {error}', Why.GID_FAIL)
    found = find_group_id(group)
    if found is None:
        origin = f' from expanded string "{text}"' if "$" in text else ""
        _panic(scope, f'Failed to find group "{group}"{origin} for the {name} transport', Why.GID_FAIL)
    assert found is not None
    return found


# --- Directories -------------------------------------------------------------------------------------------------------


def _home(instance: DriverInstance[Any], delivery: Delivery, scope: Scope) -> str:
    text = instance.options.home_directory
    if text is None:
        if delivery.home is None:
            return ""
        text = delivery.home
        if delivery.home_expanded:
            return _absolute(text, "home", instance, scope)
    try:
        return _absolute(scope.expand(text), "home", instance, scope)
    except ExpansionError as error:
        _panic(scope, f'home directory "{text}" failed to expand for {instance.name} transport: {error}', Why.EXPAND_FAIL)
    raise AssertionError


def _directory(instance: DriverInstance[Any], delivery: Delivery, scope: Scope) -> str:
    text = instance.options.current_directory
    if text is None:
        text = delivery.current_directory
    if text is None:
        return ""
    try:
        return _absolute(scope.expand(text), "current", instance, scope)
    except ExpansionError as error:
        _panic(scope, f'current directory "{text}" failed to expand for {instance.name} transport: {error}', Why.EXPAND_FAIL)
    raise AssertionError


def _absolute(path: str, which: str, instance: DriverInstance[Any], scope: Scope) -> str:
    if path and not path.startswith("/"):
        text = f'{which} directory path "{path}" is not absolute for {instance.name} transport'
        _panic(scope, text, Why.NOT_ABSOLUTE)
    return path


# --- The copy and its plan ---------------------------------------------------------------------------------------------


def make_copy(setup: Setup, where: str) -> Copy:
    """The part of a plan that is the same for all drivers. `where`: for messages, `while writing to ...`."""
    options, message = setup.instance.options, setup.message
    header = ""
    if not options.body_only:
        try:
            header = header_text(setup.scope, setup.deliveries, setup.instance, setup.return_path)
        except TransportError as error:
            reason = str(error).rpartition("): ")[2]
            raise TransportError(f"failed to expand headers_add or headers_remove {where}: {reason}", -25, panic=True) from None
    copy = Copy(
        header=header,
        body_offset=message.body_offset,
        body_size=message.body_size,
        wireformat=message.wireformat,
        with_header=not options.body_only,
        with_body=not options.headers_only,
        use_crlf=bool(getattr(options, "use_crlf", False)),
        check=getattr(options, "check_string", None) or "",
        escape=getattr(options, "escape_string", None) or "",
    )
    if options.transport_filter:
        from angaros.transports.arguments import filter_arguments

        copy.filter = filter_arguments(setup)
        copy.filter_timeout = options.transport_filter_timeout
        copy.environment = dict(os.environ)
    return copy


@contextmanager
def body_descriptor(setup: Setup) -> Iterator[int]:
    """The -D file, open for reading."""
    fd = os.open(setup.message.body_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


P = TypeVar("P", bound=Plan)


def perform(setup: Setup, plan: Plan, *, with_body: bool = True) -> DeliveryResult:
    """Have the plan performed as the delivery's user."""
    plan.directory = setup.directory
    courier = setup.scope.services.courier
    try:
        if not with_body:
            return courier.deliver_local(plan, setup.owner)[0]
        with body_descriptor(setup) as fd:
            plan.fds = [fd]
            return courier.deliver_local(plan, setup.owner)[0]
    except PermissionError as error:
        raise TransportError(
            f"unable to set gid={setup.owner.gid} or uid={setup.owner.uid} (euid={os.geteuid()}): local delivery to"
            f" {setup.first.local_part} <{setup.first.address}> transport={setup.name}: {error.strerror}",
            Why.UID_FAIL,
        ) from None


def expand_option(setup: Setup, text: str, what: str = "") -> str:
    """Expand an option of the driver. Raises TransportError; forced failures too. `what`: name for the message."""
    try:
        return setup.scope.expand(text)
    except ExpansionError as error:
        detail = f" ({what} for {setup.name} transport)" if what else f" in {setup.name} transport"
        raise TransportError(f'Expansion of "{text}"{detail} failed: {error}', Why.UNKNOWN, panic=not what) from None


def refuse_tainted(value: str, what: str, setup: Setup) -> None:
    """A file or command name that came from outside is not used (Exim spec 9.? "tainted")."""
    if is_tainted(value):
        raise TransportError(f"Tainted '{value}' ({what} for {setup.name} transport) not permitted", Why.UNKNOWN)


def smtp_batch(setup: Setup) -> str:
    """MAIL, RCPT and DATA of batch SMTP (`use_bsmtp`, Exim spec 49.10)."""
    from angaros.transports.recipients import envelope_recipient

    end = "\r\n" if setup.instance.options.use_crlf else "\n"
    lines = [f"MAIL FROM:<{setup.return_path}>"]
    lines += [f"RCPT TO:<{envelope_recipient(one, setup.instance)}>" for one in setup.deliveries]
    return end.join([*lines, "DATA", ""])
