"""Log entries as JSON lines, for programs that would else take Exim's lines apart (our `log_json_file_path`)."""

from __future__ import annotations

import json
import re

_ENTRY = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{3})?(?: [-+]\d{4})?) (?:\[(?P<pid>\d+)\] )?"
    r"(?:(?P<id>[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}) )?(?P<text>.*)",
    re.S,
)
_FLAG = re.compile(r"(<=|\(=|=>|->|>>|\*>|\*\*|==) (\S+)")
_FIELD = re.compile(r'(?<= )([A-Z][A-Za-z0-9]{0,4}|id\*?)=("(?:[^"\\]|\\.)*"|\S+(?: \([^)]*\))?(?: \[[^]]*\](?::\d+)?\*?)?)')


def json_line(kind: str, line: str, now: float) -> bytes:
    """One JSON object and a newline: `time`, `log`, `text`, and where they are there `id`, `pid`, `flag`, `address`, `fields`."""
    record: dict[str, object] = {"time": round(now, 3), "log": kind}
    match = _ENTRY.match(line.removesuffix("\n"))
    text = line.removesuffix("\n")
    if match is not None:
        text = match["text"]
        if match["id"]:
            record["id"] = match["id"]
        if match["pid"]:
            record["pid"] = int(match["pid"])
        flag = _FLAG.match(text)
        if flag is not None:
            record["flag"], record["address"] = flag.groups()
            record["fields"] = {name: value.strip('"') for name, value in _FIELD.findall(text)}
    record["text"] = text
    return json.dumps(_unicode(record), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _unicode(value: object) -> object:
    """Octets as Unicode: UTF-8 where they are that, else latin-1."""
    if isinstance(value, str):
        try:
            return value.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return value
    if isinstance(value, dict):
        return {key: _unicode(item) for key, item in value.items()}
    return value
