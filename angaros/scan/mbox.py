"""The MBOX copy of a message for scanners: `<spool>/scan/<id>/<id>.eml`. Exim spec 45.

Made when the first scanner wants it; the directory (decoded parts lie there too) is removed when the DATA ACL is done.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angaros.logs.times import tod_bsdinbox
from angaros.model.text import octets

if TYPE_CHECKING:
    from angaros.model.message import Message
    from angaros.model.scope import Scope

DIRECTORY_MODE = 0o750
FILE_MODE = 0o640
CHUNK = 1 << 16

_KEY = "scan"


@dataclass(slots=True)
class ScanCopy:
    """The copy of one message."""

    directory: str
    path: str
    start: int
    """Offset of the message's own header, after the envelope lines."""
    size: int
    next_number: int = 0
    """Of decoded parts."""


def scan_copy(scope: Scope) -> ScanCopy:
    """The copy of `scope.message`; OSError when it cannot be made."""
    message = scope.message
    assert message is not None
    kept = message.effects.caches.get(_KEY)
    if isinstance(kept, ScanCopy):
        return kept
    directory = scan_directory(scope)
    path = f"{directory}/{message.id}.eml"
    envelope = _envelope(scope, message)
    header = "".join(header.text for header in message.headers if header.kind != "*")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE), "wb") as file:
        file.write(octets(envelope))
        file.write(octets(header) + b"\n")
        for chunk in body_of(message):
            file.write(chunk)
        size = file.tell()
    copy = message.effects.caches[_KEY] = ScanCopy(directory, path, len(envelope), size)
    return copy


def scan_directory(scope: Scope) -> str:
    """The message's own directory, made if need be."""
    message = scope.message
    assert message is not None
    config = scope.services.config
    spool = config.main.spool_directory or scope.services.site.spool_directory
    directory = f"{spool}/scan/{message.id}"
    os.makedirs(directory, DIRECTORY_MODE, exist_ok=True)
    return directory


def _envelope(scope: Scope, message: Message) -> str:
    sender = message.sender_address
    lines = f"From MAILER-DAEMON {tod_bsdinbox(scope.services.clock.now())}\n"
    if sender:
        lines += f"X-Envelope-From: <{sender}>\n"
    if message.recipients:
        lines += f"X-Envelope-To: {', '.join(recipient.address for recipient in message.recipients)}\n"
    return lines


def body_of(message: Message) -> Iterator[bytes]:
    """The body with LF line ends."""
    if not message.body_path:
        return
    with open(message.body_path, "rb") as file:
        file.seek(message.body_offset)
        pending_cr = b""
        while chunk := file.read(CHUNK):
            if not message.wireformat:
                yield chunk
                continue
            chunk = pending_cr + chunk
            pending_cr = b"\r" if chunk.endswith(b"\r") else b""
            yield chunk[: len(chunk) - len(pending_cr)].replace(b"\r\n", b"\n")
        if pending_cr:
            yield pending_cr


def forget_copy(message: Message) -> None:
    """The message has changed: the next scanner gets a new copy."""
    kept = message.effects.caches.pop(_KEY, None)
    if isinstance(kept, ScanCopy):
        os.unlink(kept.path)


def discard(message: Message) -> None:
    """Remove copy and decoded parts, unless `control = no_mbox_unspool` wants them kept."""
    kept = message.effects.caches.pop(_KEY, None)
    if isinstance(kept, ScanCopy) and not message.effects.no_mbox_unspool:
        shutil.rmtree(kept.directory, ignore_errors=True)
