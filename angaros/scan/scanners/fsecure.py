"""F-Secure: four CONFIGURE lines, then SCAN; fields are separated by tabs."""

from __future__ import annotations

import re

from angaros.scan.channel import ScanDefer, reason
from angaros.scan.malware import Job

DEFAULT = "/var/run/.fsav"
_SETTINGS = ("CONFIGURE\tARCHIVE\t1\n", "CONFIGURE\tTIMEOUT\t0\n", "CONFIGURE\tMAXARCH\t5\n", "CONFIGURE\tMIME\t1\n")
_INFECTED = re.compile(r"INFECTED\t[^\t]*\t([^\t]+)\t", re.IGNORECASE)


def scan(job: Job) -> str | None:
    """Configure, scan, read until the final OK."""
    channel = job.connect(DEFAULT)
    try:
        for number, line in enumerate(_SETTINGS):
            channel.write(line.encode("ascii"))
            try:
                channel.read()
            except OSError as error:
                raise ScanDefer(f"unable to read answer {number} ({reason(error)})") from None
        channel.write(f"SCAN\t{job.path}\n".encode("latin-1"))
        found = None
        while (raw := channel.read_line()) is not None:
            text = raw.decode("latin-1")
            match = _INFECTED.search(text)
            if match is not None and found is None:
                found = match.group(1)
            if "OK\tScan ok." in text:
                return found
        return found
    finally:
        channel.close()
