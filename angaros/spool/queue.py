"""Looking at messages in the queue and changing them: `-M...` (Exim spec 5.3). See `spool.listing` for `-bp`.

Texts on the standard output are Exim's. Permissions that concern the whole command are the command line's affair; here is only
the rule that anybody may remove a message that they submitted themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.model.message import Message, Recipient
from angaros.spool.codec import SpoolFormatError
from angaros.spool.locks import SpoolLock
from angaros.spool.store import Store

if TYPE_CHECKING:
    from angaros.model.interfaces import Clock, Log

Write = Callable[[str], None]
Extract = Callable[[str], tuple[str, str]]
"""Takes an address; returns the qualified, cleaned address and "", or "" and the error."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts."""

    login: str
    uid: int
    admin: bool


class QueueAdmin:
    """Performs `-M...` actions on one message at a time. Each returns whether all went well (exit status 0)."""

    def __init__(self, store: Store, log: Log, clock: Clock, actor: Actor, write: Write, extract: Extract) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._actor = actor
        self._write = write
        self._extract = extract
        self.on_removal: Callable[[Message, list[str]], None] | None = None
        """Called for a removed message with the recipients that waited (events)."""

    def act(self, action: str, message_id: str, arguments: Sequence[str] = (), queue_name: str = "") -> bool:
        """Perform `freeze`, `thaw`, `remove`, `add_recipients`, `edit_sender`, `mark_delivered`, `mark_all_delivered`,
        `view_body`, `view_header`, `view_log` or `view_copy`."""
        if action.startswith("view_"):
            return self._view(action, message_id, queue_name)
        complaint = _WITHOUT_ADDRESS.get(action)
        if complaint is not None and not arguments:
            self._write(f"Message {message_id} - error while {complaint}: no address given\n")
            return False
        lock = self._hold(action, message_id, queue_name)
        if lock is None and action != "remove":
            return False
        if lock is _LOCKED:
            return False
        try:
            return self._change(action, message_id, arguments, lock, queue_name)
        finally:
            if lock is not None:
                lock.release()

    def _hold(self, action: str, message_id: str, queue_name: str) -> SpoolLock | None:
        try:
            lock = self._store.lock(message_id, queue_name)
        except FileNotFoundError:
            self._log.write(f"Spool file {message_id}-D not found", message_id=message_id)
            self._write(f"Spool data file for {message_id} does not exist\n")
            if action == "remove":
                self._write("Continuing, to ensure all files removed\n")
            return None
        except OSError as error:
            self._write(f"Couldn't open spool file for {message_id}: {error.strerror}\n")
            return _LOCKED
        if lock is None:
            text = f"Spool file for {message_id} is locked (another process is handling this message)"
            self._log.write(text, message_id=message_id, selector="skip_delivery")
            self._write(f"Message {message_id} is locked\n")
            return _LOCKED
        return lock

    def _change(self, action: str, message_id: str, arguments: Sequence[str], lock: SpoolLock | None, queue_name: str) -> bool:
        try:
            message = self._store.load(message_id, lock, queue_name)
        except (SpoolFormatError, OSError) as error:
            if isinstance(error, SpoolFormatError):
                self._write(f"Spool format error for {message_id}-H\n")
                self._log.write(str(error), message_id=message_id)
            else:
                self._write(f"Spool read error for {message_id}-H: {error.strerror}\n")
            if action != "remove" or not self._actor.admin:
                return False
            self._write("Continuing to ensure all files removed\n")
            return self._remove_remains(message_id, queue_name, lock is not None)
        actor = self._actor
        if not actor.admin and (action != "remove" or actor.uid != message.session.originator_uid):
            self._write("Permission denied\n")
            return False
        if action == "remove":
            return self._remove(message)
        changed = self._CHANGES[action](self, message, arguments)
        if changed is None:
            return False
        self._store.update(message)
        self._write(changed)
        return True

    # --- each action: changes the message and returns what to say, or says itself why not and returns None -------------------

    def _freeze(self, message: Message, arguments: Sequence[str]) -> str | None:
        if message.frozen:
            self._write(f"Message {message.id} is already frozen\n")
            return None
        message.frozen = True
        message.frozen_time = self._clock.now()
        message.manually_thawed = False
        self._note(message, f"frozen by {self._actor.login}")
        return f"Message {message.id} is now frozen\n"

    def _thaw(self, message: Message, arguments: Sequence[str]) -> str | None:
        if not message.frozen:
            self._write(f"Message {message.id} is not frozen\n")
            return None
        message.frozen = False
        message.manually_thawed = True
        self._note(message, f"unfrozen by {self._actor.login}")
        return f"Message {message.id} is no longer frozen\n"

    def _mark_all_delivered(self, message: Message, arguments: Sequence[str]) -> str | None:
        for one in message.recipients:
            if one.address not in message.non_recipients:
                self._mark(message, one.address)
        return f"Message {message.id} has been modified\n"

    def _mark_delivered(self, message: Message, arguments: Sequence[str]) -> str | None:
        addresses = self._addresses(message, arguments, "marking as delivered")
        if addresses is None:
            return None
        recipients = {one.address for one in message.recipients}
        for address in addresses:
            if address not in recipients:
                self._fail(message, "marking as delivered", f"{address} is not a recipient: message not updated")
                return None
            self._mark(message, address)
        return f"Message {message.id} has been modified\n"

    def _mark(self, message: Message, address: str) -> None:
        message.non_recipients.add(address)
        self._note(message, f"address <{address}> marked delivered by {self._actor.login}")

    def _add_recipients(self, message: Message, arguments: Sequence[str]) -> str | None:
        addresses = self._addresses(message, arguments, "adding recipient")
        if addresses is None:
            return None
        for address in addresses:
            message.recipients.append(Recipient(address))
            self._note(message, f"recipient <{address}> added by {self._actor.login}")
        return f"Message {message.id} has been modified\n"

    def _edit_sender(self, message: Message, arguments: Sequence[str]) -> str | None:
        if arguments[0] == "<>" or not arguments[0]:
            sender = ""
        else:
            found = self._addresses(message, arguments[:1], "editing sender")
            if found is None:
                return None
            sender = found[0]
        message.sender_address = sender
        self._note(message, f"sender address changed to <{sender}> by {self._actor.login}")
        return f"Message {message.id} has been modified\n"

    _CHANGES: dict[str, Callable[[QueueAdmin, Message, Sequence[str]], str | None]] = {
        "freeze": _freeze,
        "thaw": _thaw,
        "mark_all_delivered": _mark_all_delivered,
        "mark_delivered": _mark_delivered,
        "add_recipients": _add_recipients,
        "edit_sender": _edit_sender,
    }

    def _addresses(self, message: Message, arguments: Sequence[str], doing: str) -> list[str] | None:
        """The arguments as addresses; None, and a complaint, when one is not good."""
        found = []
        for argument in arguments:
            address, error = self._extract(argument)
            if not error and "@" not in address:
                error = "domain missing"
            if error:
                self._fail(message, doing, f"bad address {argument}: {error}")
                return None
            found.append(address)
        return found

    def _fail(self, message: Message, doing: str, reason: str) -> None:
        self._write(f"Message {message.id} - error while {doing}:\n  {reason}\n")

    def _note(self, message: Message, text: str) -> None:
        self._log.write(text, message_id=message.id)

    # --- removal ------------------------------------------------------------------------------------------------------

    def _remove(self, message: Message) -> bool:
        self._store.remove(message)
        self._write(f"Message {message.id} has been removed\n")
        if self.on_removal is not None:
            done = message.non_recipients
            self.on_removal(message, [one.address for one in message.recipients if one.address not in done])
        self._note(message, f"removed by {self._actor.login}")
        self._note(message, "Completed")
        return True

    def _remove_remains(self, message_id: str, queue_name: str, existed: bool) -> bool:
        removed = False
        for suffix in ("-H", "-D", "-J"):
            directory = self._store.find(message_id, queue_name, suffix)
            if directory is not None:
                with suppress(FileNotFoundError):
                    os.unlink(f"{directory}/{message_id}{suffix}")
                    removed = True
        self._store.remove_message_log(message_id, queue_name)
        self._write(f"Message {message_id} has been removed or did not exist\n")
        if removed or existed:
            self._log.write(f"removed by {self._actor.login}", message_id=message_id)
            self._log.write("Completed", message_id=message_id)
        return existed

    # --- viewing ------------------------------------------------------------------------------------------------------

    def _view(self, action: str, message_id: str, queue_name: str) -> bool:
        if action == "view_copy":
            return self._view_copy(message_id, queue_name)
        what, name = _VIEWS[action]
        try:
            if action == "view_log":
                data = self._store.read_message_log(message_id, queue_name)
            else:
                suffix = name[-2:]
                directory = self._store.find(message_id, queue_name, suffix)
                if directory is None:
                    raise FileNotFoundError(2, "No such file or directory")
                with open(f"{directory}/{message_id}{suffix}", "rb") as file:
                    data = file.read()
        except OSError as error:
            self._write(f"Failed to open {what} file for {message_id}{name}: {error.strerror}\n")
            return False
        self._write(data.decode("latin-1"))
        return True

    def _view_copy(self, message_id: str, queue_name: str) -> bool:
        try:
            message = self._store.load(message_id, queue_name=queue_name)
        except (SpoolFormatError, OSError) as error:
            reason = "format" if isinstance(error, SpoolFormatError) else "read"
            detail = "" if isinstance(error, SpoolFormatError) else f": {error.strerror}"
            self._write(f"Spool {reason} error for {message_id}-H{detail}\n")
            return False
        for header in message.headers:
            if header.kind != "*":
                self._write(header.text)
        self._write("\n")
        for chunk in self._store.body_chunks(message):
            self._write(chunk.decode("latin-1"))
        return True


_LOCKED = SpoolLock("", "", "", -1)
"""Stands for "cannot be had, and that has been said"."""

_WITHOUT_ADDRESS = {
    "add_recipients": "adding recipient",
    "edit_sender": "editing sender",
    "mark_delivered": "marking as delivered",
}

_VIEWS = {"view_header": ("input", "-H"), "view_body": ("input", "-D"), "view_log": ("msglog", "")}
