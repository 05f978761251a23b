"""Sophie, the Sophos daemon: a path in, `1:name`, `0` or `-1` out."""

from __future__ import annotations

from angaros.scan.channel import ScanDefer
from angaros.scan.malware import Job

DEFAULT = "/var/run/sophie"


def scan(job: Job) -> str | None:
    """Have it scan the directory."""
    channel = job.connect(DEFAULT)
    try:
        channel.write(f"{job.directory}\n".encode("latin-1"))
        answer = (channel.read_line() or b"").decode("latin-1")
    finally:
        channel.close()
    if answer.startswith("1"):
        return answer.partition(":")[2].strip() or "unknown"
    if answer.startswith("-1"):
        raise ScanDefer("scanner reported error")
    return None
