"""DrWeb's daemon: numbers in network order; by path over a Unix socket, else with the contents."""

from __future__ import annotations

import os
import struct

from angaros.scan.channel import Channel, ScanDefer
from angaros.scan.malware import Job
from angaros.scan.mbox import CHUNK

DEFAULT = "/usr/local/drweb/run/drwebd.sock"

SCAN_COMMAND = 1
RETURN_VIRUSES = 1 << 0
IS_MAIL = 1 << 19
FAILURES = (1 << 0) | (1 << 2) | (1 << 9) | (1 << 15)
"""Read error, no memory, time-out, bad call."""
MAX_NAMES = 1000
MAX_NAME = 1024


def scan(job: Job) -> str | None:
    """Scan the message file."""
    channel = job.connect(DEFAULT)
    try:
        if job.option(0, DEFAULT).startswith("/"):
            name = os.fsencode(job.path)
            channel.write(
                struct.pack(">IIII", SCAN_COMMAND, RETURN_VIRUSES | IS_MAIL, len(name), 0)[:12] + name + struct.pack(">I", 0)
            )
        else:
            size = os.path.getsize(job.path)
            channel.write(struct.pack(">IIII", SCAN_COMMAND, RETURN_VIRUSES | IS_MAIL, 0, size))
            with open(job.path, "rb") as file:
                while chunk := file.read(CHUNK):
                    channel.write(chunk)
        return _answer(channel)
    finally:
        channel.close()


def _number(channel: Channel) -> int:
    (value,) = struct.unpack(">I", channel.read_exactly(4))
    return int(value)


def _answer(channel: Channel) -> str | None:
    code, count = _number(channel), _number(channel)
    if count:
        names: list[str] = []
        for _ in range(min(count, MAX_NAMES)):
            size = _number(channel)
            if size > MAX_NAME:
                raise ScanDefer("scanner sent a name that is too long")
            text = channel.read_exactly(size).rstrip(b"\0").decode("latin-1")
            names.append(text.partition("infected with ")[2] or text)
        return "/".join(names)
    if code & FAILURES:
        raise ScanDefer(f"drweb daemon retcode 0x{code:x} (skipped)")
    return None
