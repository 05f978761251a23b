"""Scope: what `$names` mean at one point of the road.

Each entry point (a connection, a delivery, a command-line probe) makes one base scope; everything below makes child scopes. A
variable is looked for in `local` (this scope and its parents), then in `state` (shared by the whole tree: results such as
`sender_rate`, `runrc`, `dnslist_domain`), then in the table of `expand.variables`, which reads `session`, `message`, `delivery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from angaros.model.delivery import Delivery, Host
    from angaros.model.interfaces import Services
    from angaros.model.message import Message
    from angaros.model.session import Session
    from angaros.model.turned import Turned


class Scope:
    """Names and services at one point. Cheap to make; never shared between connections."""

    __slots__ = (
        "services",
        "session",
        "message",
        "delivery",
        "host",
        "local",
        "state",
        "numeric",
        "where",
        "acl_depth",
        "depth",
        "turned",
        "work",
    )

    def __init__(
        self,
        services: Services,
        session: Session | None = None,
        message: Message | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        self.services = services
        self.session = session
        self.message = message
        self.delivery = delivery
        """The address being checked (RCPT), routed or delivered: `$local_part`, `$domain`."""
        self.host: Host | None = None
        """`$host`, `$host_address`, `$host_port` in a transport."""
        self.local: dict[str, str] = {}
        """`value`, `item`, `auth1`, `acl_arg1`, `transport_name`, ... Names without `$`."""
        self.state: dict[str, str] = {}
        """Results that stay for the whole connection or delivery."""
        self.numeric: tuple[str, ...] = ()
        """`$0`, `$1`, ...; conditions that match set it, `${if` restores it."""
        self.where = ""
        """ACL point (`rcpt`, `data`, ...), else ""."""
        self.acl_depth = 0
        self.turned: Turned | None = None
        """ATRN: the connection that deliveries use."""
        self.depth = 0
        """Indentation of debugging lines (nested lists, ACLs)."""
        self.work: list[int] | None = None
        """What the loops of an expansion that runs now have done so far (`expand.limits`)."""

    def child(self, delivery: Delivery | None = None, **names: str) -> Scope:
        """A scope in which `names` (and `delivery`) are set and all else is as here."""
        scope = Scope.__new__(Scope)
        scope.services = self.services
        scope.session = self.session
        scope.message = self.message
        scope.delivery = delivery if delivery is not None else self.delivery
        scope.host = self.host
        scope.local = {**self.local, **names} if names else self.local.copy()
        scope.state = self.state
        scope.numeric = self.numeric
        scope.where = self.where
        scope.acl_depth = self.acl_depth
        scope.turned = self.turned
        scope.depth = self.depth
        scope.work = self.work
        return scope

    def tracing(self, selector: str) -> bool:
        """Whether `trace` shows something."""
        return self.services.log.debugging(selector, hc=True)

    def trace(self, selector: str, text: str) -> None:
        """A debugging line that -bh shows too (`>>> check hosts = ...`), indented as deep as we are."""
        shift = self.session.extra.get("trace_shift", 0) if self.session is not None else 0
        self.services.log.debug(selector, text, hc=True, indent=self.depth + shift)

    def log(self, text: str, *, selector: str = "", main: bool = True, panic: bool = False) -> None:
        """A log line about what we are doing here, with the id of the message when it has one."""
        message_id = self.message.id if self.message is not None else ""
        self.services.log.write(text, message_id=message_id, selector=selector, main=main, panic=panic)

    def expand(self, text: str) -> str:
        """Expand a string of the configuration here. Raises `model.errors.ExpansionError`."""
        if "$" not in text and "\\" not in text:
            return text
        return self.services.expander.expand(text, self)
