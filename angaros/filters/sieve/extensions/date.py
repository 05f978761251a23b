"""date: `date` and `currentdate`. # RFC 5260 4, 5"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from angaros.filters.sieve.fields import check_names, chosen, raw_values
from angaros.filters.sieve.match import MATCH_TAGS, check_comparator, compare
from angaros.filters.sieve.tests import KEYS
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec, Tag

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_JULIAN_OF_ORDINAL = -678576
"""`date.toordinal()` minus this is the modified Julian day (17 November 1858 is day 0)."""


def _zone(moment: datetime, colon: str = "") -> str:
    offset = moment.utcoffset() or timedelta()
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}{colon}{abs(minutes) % 60:02d}"


def _std11(moment: datetime) -> str:
    day = f"{_DAYS[moment.weekday()]}, {moment.day:02d} {_MONTHS[moment.month - 1]} {moment.year:04d}"
    return f"{day} {moment:%H:%M:%S} {_zone(moment)}"


_PARTS: dict[str, Callable[[datetime], str]] = {
    "year": lambda m: f"{m.year:04d}",
    "month": lambda m: f"{m.month:02d}",
    "day": lambda m: f"{m.day:02d}",
    "date": lambda m: f"{m.year:04d}-{m.month:02d}-{m.day:02d}",
    "julian": lambda m: str(m.toordinal() + _JULIAN_OF_ORDINAL),
    "hour": lambda m: f"{m.hour:02d}",
    "minute": lambda m: f"{m.minute:02d}",
    "second": lambda m: f"{m.second:02d}",
    "time": lambda m: f"{m:%H:%M:%S}",
    "iso8601": lambda m: f"{m.year:04d}-{m.month:02d}-{m.day:02d}T{m:%H:%M:%S}{_zone(m, ':')}",
    "std11": _std11,
    "zone": _zone,
    "weekday": lambda m: str((m.weekday() + 1) % 7),
}
"""# RFC 5260 4.2"""


def check_date(checker: Any, node: Node) -> None:
    """Header name, zone and part have to make sense."""
    check_comparator(checker, node)
    *name, part, _ = node.args
    check_names(checker, name)
    if checker.constant(part) and part.lower() not in _PARTS:
        raise checker.fail(f'unknown date part "{part}"')
    zone = node.tags.get("zone")
    if zone not in (None, ":originalzone") and checker.constant(zone) and _parse_zone(zone) is None:
        raise checker.fail(f'invalid time zone "{zone}"')


def _parse_zone(text: str) -> timezone | None:
    """`+hhmm`, `-hhmm`. # RFC 5260 4.1"""
    if len(text) != 5 or text[0] not in "+-" or not text[1:].isdigit() or int(text[3:]) > 59 or int(text[1:3]) > 23:
        return None
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return timezone(-offset if text[0] == "-" else offset)


def _shifted(node: Node, moment: datetime, run: Run) -> datetime:
    """Into the wanted zone; without one, the server's."""
    zone = node.tags.get("zone")
    if zone == ":originalzone" and "zone tag" not in node.tags:
        return moment
    return moment.astimezone(_parse_zone(zone) if zone is not None else None)


def parse_date(text: str) -> datetime | None:
    """A date at the end of a field, as in Received:. # RFC 5260 4"""
    for piece in (text.rpartition(";")[2], text):
        try:
            found = parsedate_to_datetime(piece.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None


def is_date(run: Run, node: Node) -> bool:
    """The first field of that name unless `:index` says otherwise. # RFC 5260 4"""
    values = raw_values(run, node.args[0])
    picked = chosen(node, values) if "index" in node.tags else values[:1]
    moment = parse_date(picked[0]) if picked else None
    return _test(run, node, moment, node.args[1], node.args[2])


def is_currentdate(run: Run, node: Node) -> bool:
    """# RFC 5260 5"""
    now = datetime.fromtimestamp(run.scope.services.clock.now(), UTC)
    return _test(run, node, now, node.args[0], node.args[1])


def _test(run: Run, node: Node, moment: datetime | None, part: str, keys: list[str]) -> bool:
    values: list[str] = []
    if moment is not None:
        try:
            values = [_PARTS[part.lower()](_shifted(node, moment, run))]
        except (OverflowError, ValueError):
            values = []
    return compare(run, node, values, keys)


_ZONE = Tag(":zone", "zone", Argument("string", "missing time zone string"), twice="time zone already specified")
_PART = Argument("string", "missing date part string")

EXTENSION = Extension(
    ("date",),
    tests=(
        Spec(
            "date",
            is_date,
            "date",
            (_ZONE, Tag(":originalzone", "zone", twice="time zone already specified"), *MATCH_TAGS),
            (Argument("string", "header string expected"), _PART, KEYS),
            check_date,
        ),
        Spec("currentdate", is_currentdate, "date", (_ZONE, *MATCH_TAGS), (_PART, KEYS), check_date),
    ),
)
