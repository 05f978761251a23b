"""`eximstats`: options, reasons, bins; the figures are compared with Debian's in test_against_debian."""

from __future__ import annotations

import xml.dom.minidom
from pathlib import Path

import pytest

from angaros.tools.eximstats import main
from angaros.tools.eximstats.collect import host_domain, interval
from angaros.tools.eximstats.options import parse
from angaros.tools.eximstats.reasons import culprit, is_rejection, reason
from angaros.tools.eximstats.sections import duration, volume
from angaros.tools.eximstats.stats import Times
from angaros.tools.program import ToolError
from tests.tools.logs import day
from tests.tools.rejections import OTHERS, REJECTIONS
from tests.tools.running import run


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "mainlog"
    path.write_text(day(1, short=False))
    return str(path)


@pytest.mark.parametrize("option", ["-foo", "-h7", "-q", "-qx", "-tx", "-pattern"])
def test_unknown_options(option: str) -> None:
    with pytest.raises(ToolError, match=f"Eximstats: Unknown or malformed option {option}"):
        parse([option])


def test_options() -> None:
    options = parse(["-h4", "-t0", "-q1,2*30,60*60", "-byemail", "-byhost", "-nr/x/", "-html=-", "log"])
    assert (options.divisions, options.top, options.queue_times) == (4, 0, (1, 60, 3600))
    assert (options.by, options.relay_pattern, options.outputs, options.files) == (("host", "email"), "x", {"html": ""}, ["log"])


@pytest.mark.parametrize(("text", "name", "temporary", "host"), REJECTIONS)
def test_reasons(text: str, name: str, temporary: bool, host: str) -> None:
    assert is_rejection(text)
    assert (reason(text), culprit(text)) == ((name, temporary), host)


@pytest.mark.parametrize("text", OTHERS)
def test_other_lines(text: str) -> None:
    assert not is_rejection(text)


def test_the_time_covered_is_that_of_lines_that_count(tmp_path: Path) -> None:
    entries = ["08 Start queue run: pid=1", "09 1vAaaa-000001-01 <= a@b U=root P=local S=10", "10 1vAaaa-000001-01 Completed"]
    entries += ["11 End queue run: pid=1"]
    (tmp_path / "log").write_text("".join(f"2026-11-20 {line[:2]}:00:00{line[2:]}\n" for line in entries))
    assert "from 2026-11-20 09:00:00 to 2026-11-20 10:00:00\n" in run(main, str(tmp_path / "log")).out


def test_small_things() -> None:
    assert [interval(text) for text in ("3s", "1m3s", "0.250s", "1h")] == [3, 63, 0.25, 3600]
    assert [duration(number) for number in (60, 5400, 86400)] == ["1m", "1h30m", "1d"]
    assert [volume(size, parse([])) for size in (9999, 10_000, 10_240_000)] == ["9999", "10KB", "10MB"]
    assert [host_domain(host) for host in ("mx.a.co.uk", "x.com", "local", "[192.0.2.1]")] == [
        "a.co.uk",
        "localdomain",
        "localdomain",
        "[192.0.2.1]",
    ]
    times = Times((60, 300))
    for spent in (0, 59, 60, 300, 9999):
        times.add(spent)
    assert times.bins == [2, 1, 2]


def test_no_valid_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("nothing\n")
    result = run(main, str(tmp_path / "log"))
    assert (result.status, result.out, result.err) == (1, "", "**** No valid log lines read\n")
    assert run(main, "-emptyok", str(tmp_path / "log")).status == 0


def test_long_and_short_ids_count_alike(log: str, tmp_path: Path) -> None:
    (tmp_path / "short").write_text(day(1, short=True))
    assert run(main, log).out == run(main, str(tmp_path / "short")).out


def test_a_merged_report_is_the_report(log: str, tmp_path: Path) -> None:
    text = run(main, log).out
    for kind in ("txt", "html"):
        report = tmp_path / kind
        run(main, f"-{kind}={report}", log)
        merged = run(main, "-merge", str(report)).out
        assert merged.splitlines()[:12] == text.splitlines()[:12]
        assert "sending hosts by message count" in merged


def test_what_senders_write_is_no_markup(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("2026-11-20 09:00:00 1vAaaa-000001-01 ** <script>x</script>@y: no\n")
    assert "<script>" not in run(main, "-html", str(tmp_path / "log")).out


def test_workbook_and_charts(log: str, tmp_path: Path) -> None:
    xml.dom.minidom.parseString(run(main, "-xls", log).out.encode("latin-1"))
    page = run(main, "-html", "-charts", "-chartdir", str(tmp_path), "-chartrel", "pics", log).out
    assert '<img src="pics/Transport.svg">' in page
    for picture in tmp_path.glob("*.svg"):
        xml.dom.minidom.parse(str(picture))
