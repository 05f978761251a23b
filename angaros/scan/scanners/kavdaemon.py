"""Kaspersky 4's daemon: a request with a time stamp, two octets of result, then a report."""

from __future__ import annotations

import re
import struct
import time

from angaros.scan.channel import ScanDefer
from angaros.scan.malware import Job

DEFAULT = "/var/run/AvpCtl"
_NAME = re.compile(r"(?:infected|suspicion):\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
INFECTED = frozenset((2, 3, 4))
ERRORS = {
    5: "scanner failed",
    6: "scanner failed",
    1: "reported 'scanning not completed' (code 1).",
    7: "reported 'kavdaemon damaged' (code 7).",
}
MAX_REPORT = 1 << 16


def scan(job: Job) -> str | None:
    """Scan the directory."""
    channel = job.connect(DEFAULT)
    try:
        stamp = time.strftime("%d %b %H:%M:%S", time.localtime(job.scope.services.clock.now()))
        channel.write(f"<0>{stamp}:{job.directory}\0".encode("latin-1"))
        code, flags = channel.read_exactly(2)
        result = code & 0x0F
        if result in ERRORS:
            raise ScanDefer(ERRORS[result])
        report = ""
        if flags & 1:
            (size,) = struct.unpack("=I", channel.read_exactly(4))
            report = channel.read_exactly(min(size, MAX_REPORT)).decode("latin-1")
    finally:
        channel.close()
    if result not in INFECTED:
        return None
    found = _NAME.search(report)
    return found.group(1) if found is not None else "unknown"
