"""What all local transports have in common: the set-up, the copy of the message, and handing the plan over.

A local transport delivers one copy for a batch of addresses. `LocalTransport.deliver` is the entry; drivers say what to do in
`run`, given a `Setup`. User, directories and return path were settled by `delivery.environment`. Exim spec 23, 24, 25.
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
from angaros.model.errors import ExpansionError, Why
from angaros.model.text import is_tainted
from angaros.transports.headers import TransportError, header_text
from angaros.transports.plan import Copy, Plan

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.message import Message
    from angaros.model.scope import Scope


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


_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)([kKmMgG]?)\s*")


def read_size(text: str) -> int:
    """A number, perhaps with a fraction, with K, M or G after it. Raises ValueError with Exim's words."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f'invalid integer "{text}"')
    return int(float(found[1]) * (1 << {"": 0, "k": 10, "m": 20, "g": 30}[found[2].lower()]))


def prepare(instance: DriverInstance[Any], deliveries: list[Delivery], scope: Scope) -> Setup:
    """What `delivery.environment` has put into addresses and scope, in one place."""
    first, common = deliveries[0], combined(deliveries)
    assert scope.message is not None
    owner = first.owner
    if owner is None:
        config = scope.services.config
        owner = Owner(config.exim_uid, config.exim_gid)
    home = first.home or ""
    here = scope.child(common)
    local = here.local
    local.update(transport_name=instance.name, home=home)
    if first.is_file or first.is_pipe:
        local["address_file" if first.is_file else "address_pipe"] = first.address
    errors_to = first.props.errors_to
    default = scope.message.sender_address if errors_to is None else errors_to
    return_path = local.setdefault("return_path", default)
    return Setup(instance, deliveries, here, return_path, owner, home, first.current_directory or home or "/")


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
    services = setup.scope.services
    courier = services.courier
    if services.config.main.deliver_drop_privilege and setup.owner.uid != services.config.exim_uid:
        return _cannot_become(setup, services.config.exim_uid)
    try:
        if not with_body:
            return courier.deliver_local(plan, setup.owner)[0]
        with body_descriptor(setup) as fd:
            plan.fds = [fd]
            return courier.deliver_local(plan, setup.owner)[0]
    except PermissionError:
        return _cannot_become(setup, os.geteuid())


def _cannot_become(setup: Setup, euid: int) -> DeliveryResult:
    """Somebody else's mailbox, and no power (or, with `deliver_drop_privilege`, no will) to become that user: the message is
    frozen until the configuration is right. Exim spec 14, deliver_drop_privilege"""
    first, owner = setup.first, setup.owner
    setup.scope.log(
        f"unable to set gid={owner.gid} or uid={owner.uid} (euid={euid}): local delivery to"
        f" {first.local_part} <{first.address}> transport={setup.name}",
        panic=True,
    )
    return DeliveryResult("defer", basic_errno=Why.UNKNOWN, special_action="freeze")


def expand_option(setup: Setup, text: str, what: str = "") -> str:
    """Expand an option of the driver. Raises TransportError; forced failures too. `what`: name for the message."""
    try:
        return setup.scope.expand(text)
    except ExpansionError as error:
        detail = f" ({what} for {setup.name} transport)" if what else f" in {setup.name} transport"
        raise TransportError(f'Expansion of "{text}"{detail} failed: {error}', Why.UNKNOWN, panic=True) from None


def refuse_tainted(value: str, what: str, setup: Setup) -> None:
    """A file or command name that came from outside is not used. # Exim spec 11"""
    if is_tainted(value):
        raise TransportError(f"Tainted '{value}' ({what} for {setup.name} transport) not permitted", Why.UNKNOWN, panic=True)


def smtp_batch(setup: Setup) -> str:
    """MAIL, RCPT and DATA of batch SMTP (`use_bsmtp`, Exim spec 49.10)."""
    from angaros.transports.recipients import envelope_recipient

    end = "\r\n" if setup.instance.options.use_crlf else "\n"
    lines = [f"MAIL FROM:<{setup.return_path}>"]
    lines += [f"RCPT TO:<{envelope_recipient(one, setup.instance)}>" for one in setup.deliveries]
    return end.join([*lines, "DATA", ""])
