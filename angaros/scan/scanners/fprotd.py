"""F-Prot's daemon, asked by HTTP; it answers in a little XML."""

from __future__ import annotations

import re
from urllib.parse import quote

from angaros.scan.channel import ScanDefer
from angaros.scan.malware import Job

DEFAULT = "localhost 10200-10204"
_NAME = re.compile(r"<name>(.+?)</name>")
_SUMMARY = re.compile(r'<summary code="([0-9]+)">')
ERRORS = frozenset((11,))
"""Codes with which it says that it could not scan."""


def scan(job: Job) -> str | None:
    """Scan the directory."""
    channel = job.connect(DEFAULT)
    try:
        path = quote(job.directory, safe="/")
        channel.write(f"GET {path}?-dumb%20-archive%20-packed HTTP/1.0\r\n\r\n".encode("latin-1"))
        answer = channel.read_all().decode("latin-1")
    finally:
        channel.close()
    found = _NAME.search(answer)
    if "<detected type=" in answer and found is not None:
        return found.group(1)
    summary = _SUMMARY.search(answer)
    if summary is None:
        raise ScanDefer("no summary in the scanner's answer")
    if int(summary.group(1)) in ERRORS:
        raise ScanDefer(f"scanner reported error code {summary.group(1)}")
    return found.group(1) if found is not None else None
