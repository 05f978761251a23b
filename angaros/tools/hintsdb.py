"""`exim_dumpdb`, `exim_tidydb`, `exim_fixdb`: look into, clean and change hints databases (Exim spec 54.11-54.14)."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from angaros.config.values import parse_time
from angaros.hints.db import HintsDb, HintsError

MONTH = 30 * 86400
"""`exim_tidydb` removes what is older, unless told otherwise."""
MESSAGE_ID = re.compile(r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})")
DATABASES = ("retry", "misc", "callout", "ratelimit", "seen", "tls", "dmarc", "mta_sts", "ocsp", "tlsrpt", "tlsrpt_waiting")


def stamp(moment: float, utc: bool) -> str:
    """`31-Oct-1995 12:00:12`."""
    return time.strftime("%d-%b-%Y %H:%M:%S", time.gmtime(moment) if utc else time.localtime(moment))


def _say(text: str) -> None:
    sys.stdout.buffer.write(text.encode("latin-1", "replace") + b"\n")


# --- Dumping ------------------------------------------------------------------------------------------------------------

Record = dict[str, Any]


def _retry(key: str, changed: float, record: Record, utc: bool) -> list[str]:
    times = "  ".join(stamp(record.get(name, 0), utc) for name in ("first_failed", "last_try", "next_try"))
    error = f"{record.get('basic_errno', 0)} {record.get('more_errno', 0)} {record.get('text', '')}"
    return [f"  {key} {error}", f"{times} {'*' if record.get('expired') else ''}"]


def _wait(key: str, changed: float, record: Record, utc: bool) -> list[str]:
    return [f"{key} " + "".join(f"{one} " for one in record.get("ids", []))]


def _misc(key: str, changed: float, record: Record, utc: bool) -> list[str]:
    if key.endswith(".EHLO"):
        from angaros.hints.early import describe

        return [f"{stamp(record.get('time_stamp', changed), utc)} {key}", describe(key, record)]
    lines = [f"{stamp(record.get('time_stamp', changed), utc)} {key}"]
    if key.startswith("etrn-"):
        lines.append(f"serialize etrn: {record.get('count', 1)} running")
    return lines


CALLOUT_WORDS = {0: "unknown", 1: "accept", 2: "reject", 3: "reject"}


def _callout(key: str, changed: float, record: Record, utc: bool) -> list[str]:
    word = "accept" if record.get("result") == 1 else "reject_mfnull" if record.get("result") == 3 else "reject"
    line = f"{stamp(record.get('time_stamp', changed), utc)} {key} callout={word}"
    if "postmaster_result" in record:
        for name in ("postmaster", "random"):
            result = record.get(f"{name}_result", 0)
            line += f" {name}={CALLOUT_WORDS.get(result, result)}"
            if result:
                line += f" ({stamp(record.get(f'{name}_stamp', 0), utc)})"
    return [line]


def _ratelimit(key: str, changed: float, record: Record, utc: bool) -> list[str]:
    when = float(record.get("time_stamp", changed))
    return [f"{stamp(when, utc)}.{int(when % 1 * 1e6):06d} rate: {record.get('rate', 0):10.3f} key: {key}"]


def _plain(key: str, changed: float, record: Record, utc: bool) -> list[str]:
    return [f"{key}\t{stamp(record.get('time_stamp', changed), utc)}"]


def _whole(key: str, changed: float, record: Record, utc: bool) -> list[str]:
    return [f"{stamp(changed, utc)} {key} {json.dumps(record)}"]


SHOW: dict[str, Callable[[str, float, Record, bool], list[str]]] = {
    "retry": _retry,
    "misc": _misc,
    "callout": _callout,
    "ratelimit": _ratelimit,
    "seen": _plain,
    "tls": _plain,
    "dmarc": _whole,
    "mta_sts": _whole,
    "ocsp": _whole,
    "tlsrpt": _whole,
    "tlsrpt_waiting": _whole,
}


def _usage(name: str, options: str) -> int:
    print(f"Usage: {name}{options} <spool-directory> <database-name>", file=sys.stderr)
    print("  <database-name> = retry | misc | wait-<transport-name> | callout | ratelimit | tls | seen", file=sys.stderr)
    return 1


def _arguments(flags: str) -> tuple[set[str], dict[str, str], list[str]]:
    """Single-letter flags; `t` takes a value."""
    found: set[str] = set()
    values: dict[str, str] = {}
    rest = sys.argv[1:]
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        option = rest.pop(0)[1:]
        if option not in flags.split():
            raise SystemExit(_usage(os.path.basename(sys.argv[0]), f" [-{'] [-'.join(flags.split())}]"))
        if option == "t":
            values["t"] = rest.pop(0) if rest else ""
        found.add(option)
    return found, values, rest


def _open(spool: str, database: str) -> HintsDb | None:
    hints = HintsDb(f"{spool}/db")
    known = database in DATABASES or database.startswith("wait-")
    try:
        there = known and hints.exists(database)
    except HintsError:
        there = False
    if not there:
        print(f"** Failed to open hintsdb {spool}/db/{database}: No such file or directory")
        return None
    return hints


def dumpdb() -> int:
    """`exim_dumpdb [-z] [-k] spool database`, or `exim_dumpdb -L file` for any file that `dbm` lookups can read."""
    flags, _, rest = _arguments("z k L")
    if "L" in flags and len(rest) == 1:
        return _dump_file(rest[0])
    if len(rest) != 2:
        return _usage("exim_dumpdb", " [-z] [-k]")
    hints = _open(rest[0], rest[1])
    if hints is None:
        return 1
    show = SHOW.get(rest[1], _wait)
    for key, changed, record in hints.items(rest[1]):
        for line in [f"  {key}"] if "k" in flags else show(key, changed, record, "z" in flags):
            _say(line)
    return 0


def _dump_file(path: str) -> int:
    from angaros.lookups.bdb import BdbError
    from angaros.lookups.dbm import read_all

    try:
        records = read_all(path)
    except (OSError, BdbError) as error:
        print(f"** Failed to open hintsdb {path}: {getattr(error, 'strerror', None) or error}")
        return 1
    for key, value in records:
        _say(f"{key.rstrip(chr(0))}\t{value.rstrip(chr(0))}")
    return 0


# --- Tidying ------------------------------------------------------------------------------------------------------------


def _queued(spool: str) -> set[str]:
    """Ids of all messages in the spool, all queues."""
    return {name[:-2] for _, _, names in os.walk(spool) for name in names if name.endswith("-H")}


def tidydb() -> int:
    """`exim_tidydb [-f] [-t time] spool database`."""
    _, values, rest = _arguments("f t")
    if len(rest) != 2:
        return _usage("exim_tidydb", " [-t <time>] [-f]")
    limit = parse_time(values["t"]) if "t" in values else MONTH
    hints = _open(rest[0], rest[1])
    if hints is None:
        return 1
    print(f"Tidying Exim hints database {rest[0]}/db/{rest[1]}")
    oldest = time.time() - limit
    queued = _queued(rest[0])
    for key, changed, record in list(hints.items(rest[1])):
        if rest[1] == "mta_sts" and record.get("mode"):
            if record["fetched"] + record["max_age"] < time.time():  # until then it holds, however old. RFC 8461 5.1
                hints.delete(rest[1], key)
                _say(f"deleted {key} (ended)")
        elif changed < oldest:
            hints.delete(rest[1], key)
            _say(f"deleted {key} (too old)")
        elif rest[1].startswith("wait-"):
            _tidy_wait(hints, rest[1], key, record, queued)
        elif rest[1] == "retry" and (ids := MESSAGE_ID.findall(key)) and not queued.intersection(ids):
            hints.delete(rest[1], key)
            _say(f"deleted {key} (no message)")
    print("Tidying complete")
    return 0


def _tidy_wait(hints: HintsDb, database: str, key: str, record: Record, queued: set[str]) -> None:
    left = [one for one in record.get("ids", []) if one in queued]
    if not left:
        hints.delete(database, key)
        _say(f"deleted {key} (empty)")
    elif len(left) < len(record["ids"]):
        hints.put(database, key, {"ids": left})


# --- Fixing -------------------------------------------------------------------------------------------------------------

FIELDS = ("basic_errno", "more_errno", "first_failed", "last_try", "next_try", "expired", "text")


def _show_fields(record: Record, utc: bool) -> None:
    values = [
        ("error number:", record.get("basic_errno", 0), record.get("text", "")),
        ("extra data:  ", record.get("more_errno", 0), ""),
        ("first failed:", stamp(record.get("first_failed", 0), utc), ""),
        ("last try:    ", stamp(record.get("last_try", 0), utc), ""),
        ("next try:    ", stamp(record.get("next_try", 0), utc), ""),
        ("expired:     ", "yes" if record.get("expired") else "no", ""),
    ]
    for number, (label, value, more) in enumerate(values):
        _say(f"{number} {label} {value} {more}".rstrip())


def _input_time(text: str, utc: bool) -> float | None:
    """`951102:1000`: pairs of digits for year, month, day, hour, minute."""
    digits = text.replace(":", "")
    if not digits.isdigit() or len(digits) not in (10, 12):
        return None
    try:
        moment = time.strptime(digits[-10:], "%y%m%d%H%M")
    except ValueError:
        return None
    import calendar

    return float(calendar.timegm(moment)) if utc else time.mktime(moment)


def _change(record: Record, command: str, utc: bool) -> str:
    """`4 951102:1000`; "" or what is wrong."""
    number, _, value = command.partition(" ")
    if not number.isdigit() or int(number) > 5:
        return "unknown field number"
    field = FIELDS[int(number)]
    if field in ("basic_errno", "more_errno"):
        try:
            record[field] = int(value)
        except ValueError:
            return "bad number"
    elif field == "expired":
        if value not in ("yes", "no"):
            return '"yes" or "no" expected'
        record[field] = value == "yes"
    else:
        moment = _input_time(value, utc)
        if moment is None:
            return "bad time value"
        record[field] = moment
    return ""


def fixdb() -> int:
    """`exim_fixdb [-z] spool database`: interactive."""
    flags, _, rest = _arguments("z")
    if len(rest) != 2:
        return _usage("exim_fixdb", " [-z]")
    hints = _open(rest[0], rest[1])
    if hints is None:
        return 1
    utc = "z" in flags
    print(f"Modifying Exim hints database {rest[0]}/db/{rest[1]}")
    key = ""
    while True:
        print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line or line.strip() == "q":
            return 0
        command = line.strip()
        record = hints.get(rest[1], key) if key else None
        if record is not None and command == "d":
            hints.delete(rest[1], key)
            print("deleted")
            key = ""
        elif record is not None and rest[1] == "retry" and command[:1].isdigit():
            problem = _change(record, command, utc)
            print(problem) if problem else hints.put(rest[1], key, record)
        elif command:
            key = command
            _show_record(hints, rest[1], key, utc)


def _show_record(hints: HintsDb, database: str, key: str, utc: bool) -> None:
    record = hints.get(database, key)
    if record is None:
        print(f"record {key} not found")
        return
    print(stamp(hints.touched(database, key), utc))
    if database == "retry":
        _show_fields(record, utc)
    else:
        for line in SHOW.get(database, _wait)(key, hints.touched(database, key), record, utc):
            _say(line)
