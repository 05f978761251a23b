"""`exim_msgdate`: when a message was received, from its id (Exim spec 4.97 NewStuff; 3.4 for the form of ids).

The fraction of an id counts steps; with `localhost_number` its upper part is the host. Which step, and how many in a second,
depends on the form and on the base of the digits.
"""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass

from angaros.spool.ids import DIGITS
from angaros.tools.program import ToolError, complain, finish, long_options, write

_ID = re.compile(r"E?([0-9A-Za-z]{6})(?:-([0-9A-Za-z]{6}|[0-9A-Za-z]{11})-([0-9A-Za-z]{2}|[0-9A-Za-z]{4}))?-?")
FAILED = 255
HOSTS = {36: 10, 62: 16}
"""Highest localhost_number by base (spec 14.23)."""

USAGE = """Usage: exim_msgdate [-u|--unix] [-z|--zulu|--GMT] [-l|--local] [-p|--pid] [--base 36|62] [--b36] [--b62]
       [--localhost_number n] [-C config] [-Dmacro=value] message-id ...
Prints the time at which each message was received. A message id may be as in the log, as in Message-ID: (with a leading E),
or its first six characters.
"""

OPTIONS = {
    "l": ("local", False),
    "local": ("local", False),
    "localtime": ("local", False),
    "u": ("unix", False),
    "unix": ("unix", False),
    "z": ("zulu", False),
    "zulu": ("zulu", False),
    "GMT": ("zulu", False),
    "gmt": ("zulu", False),
    "UTC": ("zulu", False),
    "utc": ("zulu", False),
    "p": ("pid", False),
    "pid": ("pid", False),
    "base": ("base", True),
    "b36": ("36", False),
    "base36": ("36", False),
    "b62": ("62", False),
    "base62": ("62", False),
    "localhost_number": ("host", True),
    "C": ("C", True),
    "config": ("C", True),
    "h": ("help", False),
    "help": ("help", False),
}


@dataclass(frozen=True, slots=True)
class Form:
    """How ids are read."""

    base: int = 62
    host: int | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What an id says."""

    seconds: int
    microseconds: int
    pid: int | None
    host: int | None


def digits(text: str, base: int) -> int:
    """Raises ToolError for characters that are no digits of this base."""
    value = 0
    for char in text:
        digit = DIGITS.index(char)
        if digit >= base:
            raise ToolError(f"{text} is not base {base}", FAILED)
        value = value * base + digit
    return value


def steps(base: int, width: int, with_host: bool) -> tuple[int, int]:
    """Length of a step in microseconds, and steps in a second."""
    if width == 4:
        step = 2 if with_host else 1
    elif base == 36:
        step = 10_000 if with_host else 1000
    else:
        step = 5000 if with_host else 500
    return step, 1_000_000 // step


def read_id(text: str, form: Form) -> Moment | None:
    """None when it is no message id."""
    match = _ID.fullmatch(text)
    if match is None or (match[2] and (len(match[2]) == 6) != (len(match[3]) == 2)):
        return None
    seconds = digits(match[1], form.base)
    if not match[2]:
        return Moment(seconds, 0, None, None)
    fraction = digits(match[3], form.base)
    step, in_second = steps(form.base, len(match[3]), form.host is not None)
    host = None
    if form.host is not None:
        host, fraction = divmod(fraction, in_second)
    return Moment(seconds, fraction * step, digits(match[2], form.base), host)


def show(moment: Moment, zones: set[str], with_pid: bool) -> str:
    """A line a zone: unix, zulu, local."""
    fraction = f".{moment.microseconds:06d}"
    pid = f"\tpid {moment.pid}" if with_pid and moment.pid is not None else ""
    lines = []
    if "unix" in zones:
        lines.append(f"{moment.seconds}{fraction}")
    if "zulu" in zones:
        lines.append(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment.seconds)) + fraction)
    if "local" in zones or not zones:
        local = time.localtime(moment.seconds)
        lines.append(f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}{fraction} {time.strftime('%Z', local)}")
    return "".join(f"{line}{pid}\n" for line in lines)


def _configured(files: str | None, macros: dict[str, str]) -> str:
    """The option, from the configuration read here: a wrong one is no affair of the server's logs."""
    from angaros.assembly.process import read_configuration
    from angaros.config.site import read_site
    from angaros.model.errors import ConfigError

    site = read_site()
    harness = None
    if site.test_harness:
        from angaros.config.harness import Harness

        harness = Harness()
    try:
        return read_configuration(files, macros, site, harness).main.localhost_number or ""
    except ConfigError as error:
        if "localhost_number is greater than" in str(error):
            raise ToolError(f"localhost_number > {HOSTS[62]}", FAILED) from None
        raise ToolError(str(error), FAILED) from None


def _host(given: str, base: int) -> int | None:
    if not given:
        return None
    if not given.isdigit():
        raise ToolError("localhost_number must be a number >=0", FAILED)
    host = int(given)
    # A configuration may not say more than 16 whatever the base (spec 14.23); a given number must fit the base.
    if host > HOSTS[62] or host > HOSTS[base]:
        raise ToolError(f"localhost_number > {HOSTS[62] if host > HOSTS[62] else HOSTS[base]}", FAILED)
    return host


def _run() -> int:
    macros = {one[2:].partition("=")[0]: one.partition("=")[2] for one in sys.argv[1:] if one.startswith("-D")}
    found, ids = long_options([one for one in sys.argv[1:] if not one.startswith("-D")], OPTIONS)
    chosen = dict(found)
    if "help" in chosen or not ids:
        write(USAGE)
        return 0 if "help" in chosen else FAILED
    base = int(next((key for key, _ in found if key in ("36", "62")), "62"))
    if "base" in chosen:
        if chosen["base"] not in ("36", "62"):
            raise ToolError(f"unknown base option {chosen['base']}", FAILED)
        base = int(chosen["base"])
    number = chosen["host"] if "host" in chosen else _configured(chosen.get("C"), macros)
    form = Form(base, _host(number, base))
    zones = {key for key in chosen if key in ("unix", "zulu", "local")}
    for one in ids:
        moment = read_id(one, form)
        if moment is None:
            complain(f"{one} not parsed")
            continue
        if moment.host is not None and moment.host != form.host:
            complain(f"localhost {moment.host} from message-id != given number {form.host}")
        write(show(moment, zones, "pid" in chosen))
    return 0


def main() -> int:
    """`exim_msgdate [options] id ...`"""
    return finish(_run)
