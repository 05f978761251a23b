"""Lines of a main log, as `exigrep` and `eximstats` take them apart: Exim's own files, and syslog's with Exim's lines in them."""

from __future__ import annotations

import calendar
import re
import time
from typing import NamedTuple

MESSAGE_ID = r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})"
_STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [-+]\d{4})?"
_LINE = re.compile(rf"({_STAMP}) (?:\[\d+\] )?(?:({MESSAGE_ID}) )?(.*)", re.DOTALL)
_SYSLOG = re.compile(
    r"(?:<\d+>)?(?:(?P<month>[A-Z][a-z]{2}) +(?P<day>\d+) (?P<time>\d\d:\d\d:\d\d)"
    r"|(?P<date>\d{4}-\d\d-\d\d)T(?P<clock>\d\d:\d\d:\d\d)\S*)"
    r" (?:\[[^\]]*\] )?\S+ (?:\[[^\]]*\] )?exim\w*(?:\[\d+\])?: (?:\[ID \d+ \S+\] )?(?:\[\d+[/\\]\d+\] )?(?P<rest>.*)",
    re.DOTALL,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class LogLine(NamedTuple):
    """A line without its prefixes."""

    text: str
    """The whole entry, as Exim writes it to a file."""
    stamp: str
    """`2026-11-20 09:00:00`, with fraction and zone where they are logged."""
    message_id: str
    """"" for lines about no message."""
    rest: str
    """What comes after the id."""


def parse_line(line: str) -> LogLine | None:
    """None for a line that is not Exim's."""
    match = _LINE.match(line)
    if match is None:
        found = _SYSLOG.match(line)
        if found is None:
            return None
        line = found["rest"]
        match = _LINE.match(line)
        if match is None:  # syslog_timestamp is off: syslog's own time stands for it
            line = f"{_syslog_stamp(found)} {line}"
            match = _LINE.match(line)
            if match is None:
                return None
    return LogLine(line, match[1], match[2] or "", match[3])


def _syslog_stamp(found: re.Match[str]) -> str:
    if found["date"]:
        return f"{found['date']} {found['clock']}"
    now = time.localtime()
    month = _MONTHS.index(found["month"]) + 1 if found["month"] in _MONTHS else now.tm_mon
    year = now.tm_year - (1 if month > now.tm_mon else 0)
    return f"{year}-{month:02d}-{int(found['day']):02d} {found['time']}"


def seconds(stamp: str) -> float:
    """A stamp as a number whose differences are seconds; the zone, where there is one, is taken into account."""
    moment: float = calendar.timegm(
        (int(stamp[:4]), int(stamp[5:7]), int(stamp[8:10]), int(stamp[11:13]), int(stamp[14:16]), int(stamp[17:19]), 0, 0, 0)
    )
    rest = stamp[19:]
    if rest.startswith("."):
        fraction, _, rest = rest.partition(" ")
        moment += float(f"0{fraction}")
    zone = rest.strip()
    if zone:
        offset = int(zone[1:3]) * 3600 + int(zone[3:5]) * 60
        moment += offset if zone[0] == "-" else -offset
    return moment
