"""Kaspersky 5's aveserver: SMTP-like lines; 322 names what was found."""

from __future__ import annotations

from angaros.scan.channel import ScanDefer
from angaros.scan.malware import Job

DEFAULT = "/var/run/aveserver"


def scan(job: Job) -> str | None:
    """Scan the message file."""
    channel = job.connect(DEFAULT)
    found: str | None = None
    try:
        greeting = (channel.read_line() or b"").decode("latin-1")
        if not greeting.startswith("2"):
            raise ScanDefer(f"unavailable (Responded: {greeting or 'nothing'}).")
        channel.write(f"SCAN bPQRSTUW {job.path}\r\n".encode("latin-1"))
        while (raw := channel.read_line()) is not None:
            line = raw.decode("latin-1")
            if line.startswith("2"):
                break
            if line.startswith("5"):
                raise ScanDefer(f"unable to scan file {job.path} (Responded: {line})")
            if line.startswith("322"):
                found = line[4:].partition(" ")[0]
        channel.say_goodbye(b"quit\r\n")
    finally:
        channel.close()
    return found
