"""F-Prot 6's FPSCAND: `SCAN FILE path`, answer `0 <clean>` or `1 <infected: name> path`."""

from __future__ import annotations

import re

from angaros.scan.channel import ScanDefer
from angaros.scan.malware import Job

DEFAULT = "localhost 10200"
_VIRUS = re.compile(r"^[0-9]+\s<infected:\s+(.+?)>\s+.+$", re.IGNORECASE)
_OTHER = re.compile(r"^([0-9]+)\s<(.+?)>", re.IGNORECASE)


def scan(job: Job) -> str | None:
    """Scan the message file."""
    channel = job.connect(DEFAULT)
    try:
        channel.write(f"SCAN FILE {job.path}\n".encode("latin-1"))
        answer = (channel.read_line() or b"").decode("latin-1").strip()
    finally:
        channel.close()
    virus = _VIRUS.match(answer)
    if virus is not None:
        return virus.group(1)
    other = _OTHER.match(answer)
    if other is not None and other.group(2).lower() == "clean":
        return None
    raise ScanDefer(f"scanner reported error ({other.group(2) if other is not None else answer})")
