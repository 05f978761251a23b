"""What a look at a message in the queue needs, and nothing more: `-bp`, and choosing messages for a queue run.

Laws:
- A queue has 100,000 messages: no `Message` is made, no header line is kept, each file is read once.
- A -H file in a form that is not understood here is given to `spool.reader`, which knows them all and says what is wrong.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from angaros.spool.journal import Journal
from angaros.spool.reader import SpoolFormatError, read_header, read_recipient

if TYPE_CHECKING:
    from angaros.spool.store import Store

READ_SIZE = 1 << 13
"""Octets of a -H file read at first: few are longer."""

_ITEMS = frozenset({"-receive", "-frozen", "-frozen ", "-sender_", "-deliver"})
"""How the items begin that are looked at."""


class Glance(NamedTuple):
    """The envelope and state of a queued message."""

    sender: str
    recipients: list[str]
    done: set[str]
    """Non-recipients, of -H and -J."""
    received: float
    size: int
    frozen: bool
    first_time: bool
    login: str
    """Of the user who set the sender without being trusted; "" otherwise."""
    release: float = 0.0
    """When it may be delivered at the earliest (RFC 4865)."""

    def pending_domains(self) -> set[str]:
        """Of the recipients that are not done."""
        return {one.rpartition("@")[2].lower() for one in self.recipients if one not in self.done}


def domains_in_spool(store: Store, message_id: str, queue_name: str = "") -> set[str]:
    """Of the recipients of a queued message that are not done; none when it is gone or cannot be read."""
    directory = store.find(message_id, queue_name)
    try:
        return glance(directory, message_id).pending_domains() if directory is not None else set()
    except (SpoolFormatError, OSError):
        return set()


def glance(directory: str, message_id: str) -> Glance:
    """Look at a message. Raises OSError, SpoolFormatError."""
    base = f"{directory}/{message_id}"
    data = _read(f"{base}-H")
    found = _understand(data, message_id) or _by_reader(data, message_id)
    size = found.size + 1  # the empty line
    with suppress(FileNotFoundError):
        size += max(0, os.stat(f"{base}-D").st_size - len(message_id) - 3)
    if os.access(f"{base}-J", os.F_OK):
        found.done.update(Journal.read(f"{base}-J") or ())
    return found._replace(size=size)


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, READ_SIZE)
        if len(data) < READ_SIZE:
            return data
        parts = [data]
        while data := os.read(fd, 1 << 18):
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(fd)


def _understand(data: bytes, message_id: str) -> Glance | None:
    """The usual form; None when it is not that."""
    envelope, _, headers = data.partition(b"\n\n")
    if b"\n-acl" in envelope or b"\n--acl" in envelope or b"\n--(" in envelope:  # a value of several lines; a quoter
        return None
    lines = envelope.decode("latin-1").split("\n")
    try:
        if lines[0] != f"{message_id}-H" or lines[2][:1] != "<" or lines[2][-1:] != ">":
            return None
        received, flags = float(int(lines[3].split()[0])), set()
        at = 4
        while (line := lines[at])[:1] == "-":
            at += 1
            if line[:8] in _ITEMS:
                flags.add(line.partition(" ")[0])
                if line[:20] == "-received_time_usec ":
                    received += float("0" + line[20:])
        done, at = _tree(lines, at)
        count = int(lines[at])
        if len(lines) != at + 1 + count:
            return None
        recipients = [line if not line[-1:].isdigit() else read_recipient(line).address for line in lines[at + 1 :]]
        login = lines[1].rsplit(" ", 2)[0] if "-sender_set_untrusted" in flags else ""
        frozen, first_time = "-frozen" in flags, "-deliver_firsttime" in flags
        return Glance(lines[2][1:-1], recipients, done, received, _header_size(headers), frozen, first_time, login)
    except (ValueError, IndexError):
        return None


def _tree(lines: list[str], at: int) -> tuple[set[str], int]:
    """The non-recipients, and where the line after them is."""
    if lines[at] == "XX":
        return set(), at + 1
    done, pending = set(), 1
    while pending:
        line = lines[at]
        if line[:1] not in "YN" or line[1:2] not in "YN" or line[2:3] != " ":
            raise ValueError(line)
        done.add(line[3:])
        pending += (line[0] == "Y") + (line[1] == "Y") - 1
        at += 1
    return done, at


def _header_size(headers: bytes) -> int:
    """Octets of header lines that are not deleted. Raises ValueError when they are not as they should be."""
    at, end, size = 0, len(headers), 0
    while at < end:
        digits = at + 3
        while 48 <= headers[digits] <= 57:
            digits += 1
        length = int(headers[at:digits])
        if headers[digits + 1] != 32:
            raise ValueError("header")
        if headers[digits] != 42:  # an asterisk
            size += length
        at = digits + 2 + length
    if at != end:
        raise ValueError("header length")
    return size


def _by_reader(data: bytes, message_id: str) -> Glance:
    message = read_header(data, message_id, with_headers=False)
    login = message.session.originator_login if message.sender_set_untrusted else ""
    return Glance(
        message.sender_address,
        [one.address for one in message.recipients],
        message.non_recipients,
        message.received_time,
        message.message_size,
        message.frozen,
        message.deliver_firsttime,
        login,
        message.extensions.release if message.extensions is not None else 0.0,
    )
