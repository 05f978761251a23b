"""Running a script. # RFC 5228 2.10

Laws:
- Actions are only set up (`FilterOutcome.items`); delivery comes later, in any order.
- An error anywhere undoes what was set up: the message goes to the inbox (README.SIEVE).
- Nothing of a script or a message is ever expanded by Exim's language.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from angaros.filters.outcome import FilterOutcome, Item
from angaros.filters.sieve.capabilities import EXIM_CAPABILITIES
from angaros.filters.sieve.lexer import SieveError
from angaros.filters.sieve.parser import Checker, parse
from angaros.filters.sieve.tree import Node, Script
from angaros.model.message import Header, Message
from angaros.model.scope import Scope
from angaros.model.text import concat

MAX_ACTIONS = 128
"""Deliveries that one script may set up. # RFC 5228 4.2 wants a limit on redirects"""


@dataclass(slots=True)
class SieveSetting:
    """What the router (or -bf) gives a script."""

    scope: Scope
    own_addresses: tuple[str, ...] = ()
    """The user's addresses, lower case."""
    inbox: str = "inbox"
    """`sieve_inbox`."""
    useraddress: str | None = None
    """`sieve_useraddress`."""
    subaddress: str | None = None
    """`sieve_subaddress`."""
    vacation_directory: str | None = None
    """`sieve_vacation_directory`."""
    enotify_owner: str | None = None
    """`sieve_enotify_mailto_owner`; None: no notifications."""
    script_directories: dict[str, str] = field(default_factory=dict)
    """`personal`, `global` -> where included scripts lie."""
    read_file: Callable[[str, int], bytes] | None = None
    """(path, limit) -> contents of an included script, read as the user; OSError."""
    mailbox_exists: Callable[[str], bool] | None = None
    testing: bool = False
    """-bf: nothing is written."""


class Stop(Exception):
    """`stop`: the script ends here."""


def run_sieve(source: str, setting: SieveSetting) -> FilterOutcome:
    """Run a script; an error is in `FilterOutcome.error`, and the message is kept."""
    script = parse(source)
    run = Run(script, setting)
    try:
        run.script(script)
    except Stop:
        pass
    except SieveError as error:
        outcome = FilterOutcome(delivered=True, error=str(error))
        outcome.items.append(Item("file", setting.inbox))
        return outcome
    return run.finished()


class Run:
    """A script at work."""

    def __init__(self, script: Script, setting: SieveSetting) -> None:
        self.setting = setting
        self.scope = setting.scope
        self.message: Message = setting.scope.message or Message()
        self.outcome = FilterOutcome()
        self.required = set(script.required)
        """Of this script and of those it includes."""
        self.current = script
        """Whose capabilities hold here."""
        self.implicit_keep = True
        self.line = 0
        self.variables: dict[str, str] = {}
        self.captures: tuple[str, ...] = ()
        """`${0}`, `${1}`, ... of the last match. # RFC 5229 3.2"""
        self.memory: dict[str, Any] = {}
        """What an extension remembers during one run, by its name."""
        self.fields: list[Header] = [header for header in self.message.headers if header.kind != "*"]
        """The header as the script sees it (editheader changes it)."""

    @property
    def by_the_letter(self) -> bool:
        """Whether the script asks for something that Exim has not got: then the RFCs hold where Exim deviates."""
        return not self.current.required.issubset(EXIM_CAPABILITIES)

    def fail(self, text: str) -> SieveError:
        """An error of the command that runs."""
        return SieveError(text, self.line)

    # --- running ---------------------------------------------------------------------------------------------------------

    def script(self, script: Script) -> None:
        """Run all commands; then the error that ended reading, if there was one."""
        self.current = script
        self.block(script.commands)
        if script.error is not None:
            raise script.error

    def block(self, nodes: list[Node]) -> None:
        """Run the commands of a block."""
        for node in nodes:
            self.line = node.line
            self._permitted(node)
            node.spec.run(self, self.substituted(node))

    def test(self, node: Node) -> bool:
        """Evaluate a test."""
        self.line = node.line
        self._permitted(node)
        return bool(node.spec.run(self, self.substituted(node)))

    def _permitted(self, node: Node) -> None:
        """What ihave let through is judged here. # RFC 5463 4"""
        capability = node.spec.capability
        if capability and capability not in self.current.required:
            raise self.fail(f'missing previous require "{capability}";')

    def substituted(self, node: Node) -> Node:
        """The node with its variables replaced, judged again. # RFC 5229 3"""
        if "variables" not in self.current.required or node.branches or node.tests:
            return node
        fresh = Node(node.spec, node.line, {key: self._value(value) for key, value in node.tags.items()})
        fresh.args = [self._value(value) for value in node.args]
        if node.spec.check is not None:
            node.spec.check(Checker(node.line, self.current.required, substituted=True), fresh)
        return fresh

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        return [self.text(item) for item in value] if isinstance(value, list) else value

    def text(self, text: str) -> str:
        """A string with `${name}` replaced."""
        if "${" not in text or "variables" not in self.current.required:
            return text
        from angaros.filters.sieve.extensions.variables import substitute

        return substitute(self, text)

    # --- actions ---------------------------------------------------------------------------------------------------------

    def add(self, item: Item) -> None:
        """Set up a delivery, once. # RFC 5228 2.10.3"""
        items = self.outcome.items
        if any(item.kind == other.kind and item.text == other.text and item.reply is None for other in items):
            return
        if len(items) >= MAX_ACTIONS:
            raise self.fail("too many actions")
        items.append(item)

    def keep(self, flags: list[str] | None = None) -> None:
        """File into the inbox. # Exim filter spec 2.7"""
        item = Item("file", self.setting.inbox)
        self.decorate(item, flags)
        self.add(item)

    def decorate(self, item: Item, flags: list[str] | None = None) -> None:
        """Flags and header edits as they are now go with the delivery."""
        marks = " ".join(flags) if flags is not None else " ".join(self.memory.get("imap4flags", []))
        if marks:
            item.flags = marks
        if "editheader" in self.memory:
            item.headers_add, item.headers_remove = self.memory["editheader"].changes(self)

    def finished(self) -> FilterOutcome:
        """The outcome, with the implicit keep. # RFC 5228 2.10.2"""
        outcome = self.outcome
        outcome.implicit_keep = self.implicit_keep
        if self.implicit_keep:
            self.keep()
        outcome.delivered = True
        return outcome

    # --- the message -----------------------------------------------------------------------------------------------------

    @property
    def recipient(self) -> str:
        """The envelope recipient that the script runs for, with prefix and suffix."""
        delivery = self.scope.delivery
        if delivery is None:
            return ""
        local = concat([delivery.prefix, delivery.cased_local_part or delivery.local_part, delivery.suffix])
        return concat([local, "@", delivery.domain])

    @property
    def user(self) -> str:
        """Who answers: local part and domain without prefix and suffix."""
        delivery = self.scope.delivery
        return concat([delivery.local_part, "@", delivery.domain]) if delivery is not None else ""
