"""Avast core security: a line protocol with three-digit codes; results are `path<TAB>[+]`, `[L]...` or `[E]...`."""

from __future__ import annotations

import re

from angaros.scan.channel import Channel, ScanDefer
from angaros.scan.malware import Job

DEFAULT = "/var/run/avast/scan.sock"
INTERNAL_ERRORS = 42000
"""Numbers from here on are about the file (bombs, broken archives), not about the scanner."""

_CLEAN = re.compile(r"\t\[\+\]")
_VIRUS = re.compile(r"\t\[L\][0-9]+\.[0-9]+\t0\s(.*)")
_ERROR = re.compile(r"\t\[E\][0-9]+\.[0-9]+\tError\s([0-9]+)\s(.*)")


def scan(job: Job) -> str | None:
    """Give it our options, one a line, then the directory."""
    options = job.options[1:]
    pass_unscanned = "pass_unscanned" in options
    channel = job.connect(DEFAULT)
    try:
        code, line = _line(channel)
        if code != 220:
            raise ScanDefer(f"unexpected greeting: {line}")
        for option in options:
            if option != "pass_unscanned":
                channel.write(f"{option}\n".encode("latin-1"))
                _until_done(channel, [])
        found: list[str] = []
        channel.write(f"SCAN {job.directory}\n".encode("latin-1"))
        final = _until_done(channel, found)
        channel.say_goodbye(b"QUIT\n")
    finally:
        channel.close()
    return _judge(job, found, final, pass_unscanned)


def _line(channel: Channel) -> tuple[int, str]:
    raw = channel.read_line()
    if raw is None:
        raise EOFError
    text = raw.decode("latin-1")
    return (int(text[:3]) if text[:3].isdigit() else 0), text


def _until_done(channel: Channel, found: list[str]) -> str:
    """Lines until a final code; data lines go to `found`."""
    while True:
        code, line = _line(channel)
        if code == 200 or code >= 400:
            return line
        if code != 210:
            found.append(line)


def _judge(job: Job, found: list[str], final: str, pass_unscanned: bool) -> str | None:
    trouble = ""
    for line in found:
        if _CLEAN.search(line):
            continue
        virus = _VIRUS.search(line)
        if virus is not None:
            return _unescaped(virus.group(1))
        error = _ERROR.search(line)
        if error is None:
            trouble = trouble or line
        elif int(error.group(1)) >= INTERNAL_ERRORS:
            if not pass_unscanned:
                return _unescaped(error.group(2))
            job.note(f"internal scanner error (ignored): {line}")
    if not final.startswith("200"):
        raise ScanDefer(final)
    if trouble:
        raise ScanDefer(f"unexpected line from scanner: {trouble}")
    return None


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text).strip()
