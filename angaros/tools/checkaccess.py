"""`exim_checkaccess`: would this address be accepted from that host? A packaged `exim -bh` (Exim spec 54.8)."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from angaros.tools.program import ToolError, exim_path, finish, write

USAGE = "Usage: exim_checkaccess <IP address> <email address> [exim options]"


def dialogue(sender: str, recipient: str) -> str:
    """What a client would say."""
    return f"HELO [127.0.0.1]\r\nMAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nQUIT\r\n"


def replies(lines: Iterable[str]) -> list[list[str]]:
    """Replies of a server, each with its lines."""
    found: list[list[str]] = []
    current: list[str] = []
    for line in lines:
        if line[:3].isdigit() and line[3:4] in (" ", "-", ""):
            current.append(line)
            if line[3:4] != "-":
                found.append(current)
                current = []
    return found


def verdict(answers: list[list[str]]) -> tuple[str, int]:
    """The text and the status: greeting, HELO, MAIL, RCPT must all be accepted."""
    for answer in answers[:4]:
        if answer[-1][0] not in "23":
            return "Rejected:\n" + "".join(f"{line}\n" for line in answer), 1
    if len(answers) < 4:
        return "Unexpected end of the SMTP session\n", 2
    return "Accepted\n", 0


def _run() -> int:
    import subprocess

    arguments = sys.argv[1:]
    if len(arguments) < 2:
        raise ToolError(USAGE)
    host, address, *options = arguments
    sender = ""
    if "-f" in options and options.index("-f") + 1 < len(options):
        at = options.index("-f")
        sender = options[at + 1].strip("<>")
        del options[at : at + 2]
    elif found := next((one for one in options if one.startswith("-f") and len(one) > 2), ""):
        sender = found[2:].strip("<>")
        options.remove(found)
    try:
        done = subprocess.run(
            [exim_path(), *options, "-bh", host],
            input=dialogue(sender, address).encode("latin-1", "replace"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError as error:
        raise ToolError(f"exim_checkaccess: can't run exim: {error.strerror}") from error
    text, status = verdict(replies(done.stdout.decode("latin-1").splitlines()))
    write(text)
    return status


def main() -> int:
    """`exim_checkaccess address-of-host email-address [exim options]`"""
    return finish(_run)
