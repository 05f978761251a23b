"""Times as Exim writes them: in log lines, in mail, and as durations."""

from __future__ import annotations

import time

SHORT = 5.0
"""Durations below this many seconds are shown with milliseconds."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def zone(moment: time.struct_time) -> str:
    """Offset of the local time zone, `+0100`."""
    minutes = moment.tm_gmtoff // 60
    sign = "-" if minutes < 0 else "+"
    minutes = abs(minutes)
    return f"{sign}{minutes // 60:02d}{minutes % 60:02d}"


def tod_log(now: float, *, with_zone: bool = False, millisec: bool = False) -> str:
    """The time stamp of log lines: `2002-09-16 16:09:43`, with `.123` and ` +0100` as wanted."""
    moment = time.localtime(now)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", moment)
    if millisec:
        stamp += f".{int(now * 1000) % 1000:03d}"
    return f"{stamp} {zone(moment)}" if with_zone else stamp


def tod_full(now: float) -> str:
    """The time in Date: and Received: lines: `Fri, 07 Jul 1995 14:25:46 +0100`."""
    t = time.localtime(now)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04d}"
        f" {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {zone(t)}"
    )


def tod_iso_utc(now: float) -> str:
    """An Internet date and time: `1995-07-07T13:25:46Z`. # RFC 3339 5.6"""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))


def tod_bsdinbox(now: float) -> str:
    """The time of mbox separator lines: `Thu Oct 17 17:14:09 1995`."""
    t = time.localtime(now)
    return (
        f"{_DAYS[t.tm_wday]} {_MONTHS[t.tm_mon - 1]} {t.tm_mday:2d} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {t.tm_year:04d}"
    )


def duration(seconds: int) -> str:
    """A duration in Exim's units: `1w2d3h4m5s`; `0s` for nothing."""
    if seconds < 0:
        return "-" + duration(-seconds)
    parts = []
    for size, letter in ((604800, "w"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{letter}")
    return "".join(parts) or "0s"


def duration_precise(seconds: float, *, millisec: bool = False) -> str:
    """A duration in a log field (`QT=`, `DT=`, `RT=`): whole seconds in units, or `0.304s` when short and `millisec` is on."""
    if seconds < 0:
        seconds = 0.0
    if millisec and seconds < SHORT:
        return f"{seconds:.3f}s"
    return duration(int(seconds))
