"""mks_vir's daemon: `MSQ` and a path; `OK`, `VIR name file` or `ERR`."""

from __future__ import annotations

from angaros.scan.channel import Place, ScanDefer
from angaros.scan.malware import Job

SOCKET = "/var/run/mksd/socket"


def scan(job: Job) -> str | None:
    """Scan the message file. The option is a number of processes, of no use here."""
    option = job.option(0, "1")
    if not option.isdigit() or not 1 <= int(option) <= 64:
        raise ScanDefer(f"invalid option '{option}'")
    channel = job.connect_to(Place(path=SOCKET))
    try:
        channel.write(f"MSQ\n{job.path}\n".encode("latin-1"))
        answer = (channel.read_line() or b"").decode("latin-1")
    finally:
        channel.close()
    if answer.startswith("OK"):
        return None
    if answer.startswith("VIR"):
        words = answer.split()
        return words[1] if len(words) > 1 else "unknown"
    raise ScanDefer(f"scanner failed: {answer}")
