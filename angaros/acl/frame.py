"""The state of one ACL that is running: what handlers of conditions and modifiers see and change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from angaros.acl.points import label
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.conditions.verify import VerifiedSender
    from angaros.acl.engine import AclEngine
    from angaros.acl.parser import Item, Statement
    from angaros.model.delivery import Delivery
    from angaros.model.effects import ConnectionEffects, MessageEffects
    from angaros.model.message import Message
    from angaros.model.scope import Scope
    from angaros.model.session import Session


@dataclass(slots=True)
class RunState:
    """What the top ACL and all that it calls share."""

    log_targets: tuple[str, ...] = ("main", "reject")
    failed_sender: VerifiedSender | None = None
    """The sender whose verification failed last."""
    temp_details: bool = False
    """A callout deferred: details may be shown (`smtp_return_error_details`)."""
    rates: dict[str, float] = field(default_factory=dict)
    """Rates of `ratelimit = .../per_cmd` that were computed in this run."""


@dataclass(slots=True)
class Frame:
    """One ACL at one nesting level."""

    engine: AclEngine
    scope: Scope
    where: str
    name: str
    """`ACL check_rcpt` or `inline ACL`, for traces."""
    state: RunState
    level: int = 0
    statement: Statement | None = None
    item: Item | None = None
    user_message: str | None = None
    log_message: str | None = None
    tracing: bool = False

    @property
    def point(self) -> str:
        """Exim's name of the point (`RCPT`)."""
        return label(self.where)

    @property
    def verb(self) -> str:
        """Verb of the statement that is running."""
        return self.statement.verb if self.statement is not None else ""

    @property
    def session(self) -> Session:
        """The connection."""
        session = self.scope.session
        assert session is not None, "an ACL needs a session"
        return session

    @property
    def message(self) -> Message:
        """The message being received; before MAIL an empty one."""
        message = self.scope.message
        assert message is not None, "an ACL needs a message"
        return message

    @property
    def effects(self) -> MessageEffects:
        """Effects on the message."""
        return self.message.effects

    @property
    def connection(self) -> ConnectionEffects:
        """Effects on the connection."""
        return self.session.effects

    @property
    def delivery(self) -> Delivery:
        """The recipient, at the points that have one."""
        delivery = self.scope.delivery
        assert delivery is not None, "this point has no recipient"
        return delivery

    def trace(self, text: str) -> None:
        """A line of -d+acl and of -bh."""
        if self.tracing:
            self.scope.trace("acl", text)

    def trace_inside(self, text: str) -> None:
        """The same, one column deeper."""
        if self.tracing:
            self.scope.depth += 1
            self.scope.trace("acl", text)
            self.scope.depth -= 1

    def error(self, text: str) -> Outcome:
        """The ACL is wrong: `text` goes to the log, the peer gets a temporary error."""
        self.log_message = text
        return Outcome.ERROR

    def defer(self, text: str) -> Outcome:
        """The answer cannot be had now."""
        self.log_message = text
        return Outcome.DEFER

    def log(self, text: str, selector: str = "") -> None:
        """A line for the main log."""
        self.scope.services.log.write(text, message_id=self.message.id, selector=selector)

    def panic(self, text: str) -> None:
        """A line for main and panic log."""
        self.scope.services.log.write(text, message_id=self.message.id, panic=True)


def test(value: bool) -> Outcome:
    """Outcome of a plain condition."""
    return Outcome.ACCEPT if value else Outcome.DENY
