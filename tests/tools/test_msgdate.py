"""`exim_msgdate`: ids of all forms."""

from __future__ import annotations

import time

import pytest

from angaros.spool.ids import IdMaker
from angaros.tools.msgdate import Form, read_id, show
from angaros.tools.program import ToolError


@pytest.mark.parametrize(
    ("text", "form", "seconds", "microseconds", "pid", "host"),
    [
        ("000000", Form(), 0, 0, None, None),
        ("E000000-000001-01", Form(), 0, 500, 1, None),
        ("000001-000010-10", Form(36), 1, 36_000, 36, None),
        ("000001-00000000010-0010", Form(), 1, 62, 62, None),
        ("000001-000010-3F", Form(host=1), 1, 5000, 62, 1),
    ],
)
def test_ids(text: str, form: Form, seconds: int, microseconds: int, pid: int | None, host: int | None) -> None:
    moment = read_id(text, form)
    assert moment is not None
    assert (moment.seconds, moment.microseconds, moment.pid, moment.host) == (seconds, microseconds, pid, host)


@pytest.mark.parametrize(
    "text", ["", "00000", "0000000", "000000-00000-00", "000000-000000-0000", "000000-00000000000-00", "00000@"]
)
def test_no_ids(text: str) -> None:
    assert read_id(text, Form()) is None


def test_digits_of_another_base_are_refused() -> None:
    with pytest.raises(ToolError, match="00000z is not base 36"):
        read_id("00000z", Form(36))


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("number", [None, 3, 10])
def test_our_own_ids_tell_their_time(short: bool, number: int | None) -> None:
    now = 1_700_000_000.25
    moment = read_id(IdMaker(number, short=short).new(now), Form(host=number))
    assert moment is not None
    assert moment.seconds == 1_700_000_000
    assert abs(moment.microseconds - 250_000) <= 5000
    assert moment.host == number


def test_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    moment = read_id("000001-00000000010-0010", Form())
    assert moment is not None
    text = show(moment, {"unix", "zulu", "local"}, True)
    assert text == "1.000062\tpid 62\n1970-01-01 00:00:01.000062\tpid 62\n1970-01-01 00:00:01.000062 UTC\tpid 62\n"
