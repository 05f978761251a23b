"""Runs the MIME ACL on each part of a message. Exim spec 45.4."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from angaros.model.outcome import Outcome, Verdict
from angaros.model.text import taint
from angaros.scan.mbox import scan_copy
from angaros.scan.mime_parts import Part, Splitter

if TYPE_CHECKING:
    from angaros.model.scope import Scope

PART = "mime_part"
"""Key in `message.effects.caches` of the part that the ACL is running on."""


def run_mime_acl(acl: str, scope: Scope) -> Verdict:
    """The first verdict that is not an acceptance, else acceptance."""
    message = scope.message
    assert message is not None
    try:
        copy = scan_copy(scope)
        with open(copy.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _run_all(acl, scope, data, copy.start)
    except OSError as error:
        text = f"error while creating mbox spool file: {error.strerror}"
        scope.services.log.write(text, message_id=message.id, panic=True)
        return Verdict(Outcome.DEFER, log_message=text)


def _run_all(acl: str, scope: Scope, data: mmap.mmap, start: int) -> Verdict:
    message = scope.message
    assert message is not None
    verdict = Verdict(Outcome.ACCEPT)
    caches = message.effects.caches
    for part in Splitter(scope.services.config.main.headers_charset or "").parts(data, start):
        scope.state["mime_part_count"] = str(part.number)
        caches[PART] = part
        verdict = scope.services.acl.run(acl, "mime", part_scope(scope, part))
        if not verdict.accepted:
            break
    caches.pop(PART, None)
    return verdict


def part_scope(scope: Scope, part: Part) -> Scope:
    """A scope in which the `$mime_` variables tell of this part."""
    header = part.header
    under = scope.child()
    under.local.update(
        mime_boundary=taint(header.boundary),
        mime_charset=taint(header.charset),
        mime_content_description=taint(header.description),
        mime_content_disposition=taint(header.disposition),
        mime_content_id=taint(header.content_id),
        mime_content_transfer_encoding=taint(header.encoding),
        mime_content_type=taint(header.content_type),
        mime_filename=taint(header.filename),
        mime_is_coverletter=str(int(part.coverletter)),
        mime_is_multipart=str(int(header.is_multipart)),
        mime_is_rfc822=str(int(part.rfc822)),
        mime_part_count=str(part.number),
    )
    return under
