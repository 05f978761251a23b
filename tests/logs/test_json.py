"""Log entries as JSON lines beside Exim's own (`log_json_file_path`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from angaros.logs.json import json_line
from tests.logs.test_logs import lines, writer

ID = "1vAaab-00000000abd-0Zz9"
NOW = 1_700_000_000.1234


def record(text: str, kind: str = "main") -> dict[str, Any]:
    data = json_line(kind, f"2026-11-20 09:00:00.123 {text}\n", NOW)
    assert data.endswith(b"}\n")
    assert data.count(b"\n") == 1
    found: dict[str, Any] = json.loads(data)
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Start queue run: pid=7", {"text": "Start queue run: pid=7"}),
        ("[77] Start queue run: pid=7", {"pid": 77, "text": "Start queue run: pid=7"}),
        (f"{ID} Completed", {"id": ID, "text": "Completed"}),
        (
            f'{ID} <= a@b H=mx.x (helo) [192.0.2.1]:99 P=esmtp S=300 T="a \\"subject\\""',
            {
                "id": ID,
                "flag": "<=",
                "address": "a@b",
                "fields": {"H": "mx.x (helo) [192.0.2.1]:99", "P": "esmtp", "S": "300", "T": 'a \\"subject\\'},
            },
        ),
        (
            f'{ID} => c@d R=r T=t C="250 OK"',
            {"id": ID, "flag": "=>", "address": "c@d", "fields": {"R": "r", "T": "t", "C": "250 OK"}},
        ),
        (f"{ID} == c@d R=r defer (-1): x", {"flag": "==", "address": "c@d", "fields": {"R": "r"}}),
        (f"{ID} ** c@d: no", {"flag": "**"}),
    ],
)
def test_entries(text: str, wanted: dict[str, Any]) -> None:
    found = record(text)
    assert {name: found.get(name) for name in wanted} == wanted
    assert (found["time"], found["log"]) == (1_700_000_000.123, "main")


@pytest.mark.parametrize(
    ("text", "shown"), [("sp\xc3\xa4t", "spät"), ("sp\xe4t", "spät"), ('quote " and \\', 'quote " and \\'), ("a\nb", "a\nb")]
)
def test_octets(text: str, shown: str) -> None:
    assert record(text, "reject")["text"] == shown


def test_one_stream_feeds_both(tmp_path: Path) -> None:
    """Each entry of main, reject and panic log is a JSON line of its own kind, with the same text."""
    log = writer(tmp_path, json_path=f"{tmp_path}/json/%s.json")
    log.write("Start queue run: pid=7")
    log.write("H=x [192.0.2.1] rejected RCPT <a@b>: no", reject=True)
    log.write("something is wrong", panic=True)
    shown = {
        path.stem: [json.loads(line)["text"] for line in path.read_text().splitlines()]
        for path in (tmp_path / "json").glob("*.json")
    }
    assert shown == {kind: lines(tmp_path / "log" / f"{kind}log") for kind in ("main", "reject", "panic")}
    assert shown["main"][0] == "Start queue run: pid=7"


def test_without_the_option_there_is_none(tmp_path: Path) -> None:
    writer(tmp_path).write("Start queue run: pid=7")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mainlog"]
