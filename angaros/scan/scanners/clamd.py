"""ClamAV's clamd: by file name over a Unix socket (or with `local`), else the contents are sent (INSTREAM)."""

from __future__ import annotations

import struct

from angaros.config.values import parse_time
from angaros.scan.channel import Channel, Place, ScanDefer, connect, parse_place, reason
from angaros.scan.malware import CONNECT_TIMEOUT, Job
from angaros.scan.mbox import CHUNK

DEFAULT = "/tmp/clamd"


def scan(job: Job) -> str | None:
    """Ask one of the servers."""
    channel, local = _connect(job)
    try:
        if local:
            channel.write(f"zSCAN {job.path}\0".encode("latin-1"))
        else:
            _send_contents(job, channel)
        answer = channel.read_all().rstrip(b"\0\r\n ").decode("latin-1")
    finally:
        channel.close()
    if not answer:
        raise ScanDefer("ClamAV returned null")
    text = answer.partition(": ")[2] or answer
    if text.endswith(" FOUND"):
        name = text.removesuffix(" FOUND")
        return name.partition("(")[0] if name.endswith(")") else name
    if text == "OK":
        return None
    if text.endswith("ERROR"):
        raise ScanDefer(f"ClamAV returned: {answer}")
    raise ScanDefer(f"unparseable response from ClamAV: {{{answer}}}")


def _send_contents(job: Job, channel: Channel) -> None:
    channel.write(b"zINSTREAM\0")
    with open(job.path, "rb") as file:
        while chunk := file.read(CHUNK):
            channel.write(struct.pack(">I", len(chunk)) + chunk)
    channel.write(struct.pack(">I", 0))


def _connect(job: Job) -> tuple[Channel, bool]:
    """A connection, and whether the server can open our files."""
    servers: list[tuple[Place, int]] = []
    local = False
    for item in job.options or [DEFAULT]:
        if item == "local":
            local = True
            continue
        words = item.split()
        count = 1 if item.startswith("/") else 2
        try:
            place = parse_place(" ".join(words[:count]))
        except ValueError as error:
            raise ScanDefer(f"{error}") from None
        servers.append((place, _retry(words[count:])))
    if servers and servers[0][0].path:
        return job.connect_to(servers[0][0]), True
    start = job.scope.services.random.below(len(servers)) if len(servers) > 1 else 0
    for place, retry in servers[start:] + servers[:start]:
        channel = _try(job, place, retry)
        if channel is not None:
            return channel, local
    raise ScanDefer("all servers failed")


def _retry(options: list[str]) -> int:
    for option in options:
        name, _, value = option.partition("=")
        if name != "retry" or parse_time(value) < 0:
            raise ScanDefer(f"invalid clamd option: '{option}'")
        return parse_time(value)
    return 0


def _try(job: Job, place: Place, retry: int) -> Channel | None:
    for attempt in range(2 if retry else 1):
        if attempt:
            job.scope.services.waiter.sleep(retry)
        try:
            channel = connect(place, job.scope, min(CONNECT_TIMEOUT, job.timeout), job.deadline)
        except OSError as error:
            problem = reason(error)
            continue
        job.label = channel.label
        return channel
    job.note(f"malware acl condition: clamd: connection to {place.host}, port {place.ports[0]} failed ({problem})")
    return None
