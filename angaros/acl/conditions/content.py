"""Conditions on the contents of a message: `regex`, `mime_regex`, `decode`, `malware`, `spam`, `dcc`. Exim spec 45."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from angaros import regex as pcre
from angaros.acl.frame import test
from angaros.lists.parse import split_list
from angaros.model.outcome import Outcome
from angaros.model.text import is_tainted, taint

if TYPE_CHECKING:
    from angaros.acl.frame import Frame

MAX_LINE = 32768
"""Octets of a line, or of a decoded part, that regular expressions see (Exim spec 45.5)."""
MAX_GROUPS = 9
"""`$regex1` to `$regex9`."""
KILOBYTE = 1024

_UNSAFE = re.compile(r"[/\x00]")


def regex(frame: Frame, argument: str) -> Outcome:
    """One of the expressions matches a line of the message, or of the current part."""
    return _match(frame, argument, _lines(frame))


def mime_regex(frame: Frame, argument: str) -> Outcome:
    """One of the expressions matches the decoded part (its first 32K)."""
    part = _part(frame)
    if part is None:
        return Outcome.DENY
    return _match(frame, argument, iter((part.decode(MAX_LINE).decode("latin-1"),)))


def _part(frame: Frame) -> Any:
    from angaros.scan.mime import PART

    return frame.effects.caches.get(PART)


def _lines(frame: Frame) -> Iterator[str]:
    part = _part(frame) if frame.where == "mime" else None
    if part is not None:
        for line in part.lines(MAX_LINE):
            yield line.decode("latin-1")
        return
    from angaros.scan.mbox import scan_copy

    with open(scan_copy(frame.scope).path, "rb") as file:
        while line := file.readline(MAX_LINE):
            yield line.rstrip(b"\n").decode("latin-1")


def _match(frame: Frame, argument: str, subjects: Iterator[str]) -> Outcome:
    state = frame.scope.state
    for name in ("regex_match_string", *(f"regex{number}" for number in range(1, MAX_GROUPS + 1))):
        state.pop(name, None)
    compiled = _compile(frame, argument)
    if not compiled:
        return Outcome.DENY
    try:
        for subject in subjects:
            for pattern, expression in compiled:
                found = expression.match(subject)
                if found is not None:
                    state["regex_match_string"] = pattern
                    for number, group in enumerate(found[1 : MAX_GROUPS + 1], 1):
                        state[f"regex{number}"] = taint(group)
                    return Outcome.ACCEPT
    except OSError as error:
        return frame.defer(f"regex acl condition: error while creating mbox spool file: {error.strerror}")
    return Outcome.DENY


def _compile(frame: Frame, argument: str) -> list[tuple[str, pcre.Regex]]:
    found: list[tuple[str, pcre.Regex]] = []
    for pattern in split_list(argument):
        if pattern in ("", "false", "0"):
            continue
        try:
            found.append((pattern, pcre.compile(str(pattern))))
        except pcre.RegexError as error:
            frame.log(
                f"regex acl condition warning - error in regular expression '{pattern}': "
                f"{error.message} at offset {error.offset}, skipped."
            )
    return found


# --- decode --------------------------------------------------------------------------------------------------------------


def decode(frame: Frame, argument: str) -> Outcome:
    """Write the decoded part to a file; `$mime_decoded_filename`, `$mime_content_size`."""
    part = _part(frame)
    name = argument.strip()
    if part is None or name in ("", "0", "false"):
        return Outcome.DENY
    try:
        path = _decode_path(frame, name)
        if path is None:
            return Outcome.DENY
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640), "wb") as file:
            for chunk in part.decoded_chunks():
                file.write(chunk)
            size = file.tell()
    except OSError as error:
        return frame.defer(f"error writing decoded MIME part: {error.strerror}")
    local = frame.scope.local
    local["mime_decoded_filename"] = path
    local["mime_content_size"] = str(-(-size // KILOBYTE))
    if part.anomalies:
        level, text = part.anomalies[0]
        local.update(mime_anomaly_level=str(level), mime_anomaly_text=text)
    return Outcome.ACCEPT


def _decode_path(frame: Frame, name: str) -> str | None:
    """Where to. A name from the message itself stays in the scan directory and has no slash."""
    from angaros.scan.mbox import scan_copy

    copy = scan_copy(frame.scope)
    directory = copy.directory
    if name.startswith("/"):
        if is_tainted(name):
            frame.log_message = f"Tainted name '{name}' for MIME decode not permitted"
            return None
        if not os.path.isdir(name):
            return name
        directory = name.rstrip("/")
    elif name.lower() not in ("default", "true"):
        if _UNSAFE.search(name) or name in (".", ".."):
            return None
        return f"{directory}/{name}"
    number = copy.next_number
    copy.next_number += 1
    return f"{directory}/{frame.message.id}-{number:05d}"


# --- Scanners ------------------------------------------------------------------------------------------------------------


def malware(frame: Frame, argument: str) -> Outcome:
    """A virus was found (and its name matches). Exim spec 45.1."""
    from angaros.scan.malware import scan_message

    result = scan_message(frame.scope, argument)
    if result.deferred:
        if result.message:
            frame.panic(f"malware acl condition: {result.message}")
        return Outcome.DENY if result.defer_ok else frame.defer("")
    return test(result.matched)


def spam(frame: Frame, argument: str) -> Outcome:
    """The spam scanner's threshold is reached. Exim spec 45.2, 45.3."""
    from angaros.scan.spam import scan_message

    result = scan_message(frame.scope, argument)
    if result.deferred:
        return Outcome.DENY if result.defer_ok else frame.defer("")
    return test(result.matched)


def dcc(frame: Frame, argument: str) -> Outcome:
    """What dccifd says: accepted is true, rejected or greylisted false. Experimental specification, DCC."""
    from angaros.scan.dcc import scan_message

    result = scan_message(frame.scope, argument)
    if result.outcome is Outcome.DEFER:
        return Outcome.DENY if result.defer_ok else frame.defer("")
    return result.outcome
