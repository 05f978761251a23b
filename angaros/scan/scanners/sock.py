"""Any simple daemon: a line goes in, expressions read what comes back."""

from __future__ import annotations

from angaros import regex
from angaros.scan.channel import ScanDefer
from angaros.scan.malware import Job, first_match

DEFAULT_COMMAND = "%s\n"


def scan(job: Job) -> str | None:
    """`sock : place : command : trigger expression : name expression`."""
    if len(job.options) < 4:
        raise ScanDefer("missing options: place, command line, trigger expression and name expression are wanted")
    place, command, trigger, name = job.options[:4]
    command = command or DEFAULT_COMMAND
    if command.count("%s") > 1:
        raise ScanDefer(f"unsafe sock scanner call spec '{command}'")
    try:
        wanted = regex.compile(trigger)
        regex.compile(name)
    except regex.RegexError as error:
        raise ScanDefer(str(error)) from None
    job.options[0] = place
    channel = job.connect("")
    try:
        channel.write(command.replace("%s", job.path).encode("latin-1"))
        while (line := channel.read_line()) is not None:
            text = line.decode("latin-1")
            if wanted.matches(text):
                return first_match(name, text) or "unknown"
    finally:
        channel.close()
    return None
