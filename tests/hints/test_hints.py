"""Hints database, retry and wait."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from angaros.config.config import RetryError
from angaros.config.rules import parse_retry_rule
from angaros.hints import retry, wait
from angaros.hints.db import HintsDb, HintsError, MemoryHints
from angaros.model.errors import Why
from angaros.model.message import Message
from angaros.model.scope import Scope

NOW = 1_700_000_000.0


def test_database(tmp_path: Path) -> None:
    hints = HintsDb(str(tmp_path / "db"), now=lambda: NOW)
    assert hints.get("retry", "k") is None
    assert not hints.exists("retry")
    hints.put("retry", "R:\xe9", {"a": 1})
    assert hints.get("retry", "R:\xe9") == {"a": 1}
    assert list(hints.items("retry")) == [("R:\xe9", NOW, {"a": 1})]
    assert hints.touched("retry", "R:\xe9") == NOW
    hints.update("retry", "R:\xe9", lambda old: {"a": (old or {})["a"] + 1})
    assert HintsDb(str(tmp_path / "db")).get("retry", "R:\xe9") == {"a": 2}
    hints.update("retry", "R:\xe9", lambda old: None)
    assert hints.get("retry", "R:\xe9") is None
    assert hints.names() == ["retry"]
    assert (tmp_path / "db" / "retry").stat().st_mode & 0o777 == 0o640
    with pytest.raises(HintsError):
        hints.get("../x", "k")


def test_damaged_database_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "misc").write_bytes(b"no database at all" * 100)
    hints = HintsDb(str(tmp_path))
    hints.put("misc", "k", {"a": 1})
    assert hints.get("misc", "k") == {"a": 1}
    assert (tmp_path / "misc.bad").exists()


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    hints = HintsDb(str(tmp_path / "file" / "db"))
    hints.put("retry", "k", {})
    seen: list[Any] = []
    hints.update("retry", "k", lambda old: seen.append(old))
    assert seen == [None]
    assert hints.get("retry", "k") is None


def test_fork(tmp_path: Path) -> None:
    hints = HintsDb(str(tmp_path))
    hints.put("misc", "k", {"n": 0})
    child = os.fork()
    if child == 0:
        for _ in range(50):
            hints.update("misc", "k", lambda old: {"n": (old or {})["n"] + 1})
        os._exit(0)
    for _ in range(50):
        hints.update("misc", "k", lambda old: {"n": (old or {})["n"] + 1})
    assert os.waitpid(child, 0)[1] == 0
    assert hints.get("misc", "k") == {"n": 100}


class Lists:
    def match_address(self, address: str, items: str, scope: Any) -> bool:
        item = items.partition(" ")[2] if items.startswith("<") else items
        return item in ("*", address, address.partition("@")[2])


def scope(*rules: str, age: float = 0.0, hints: Any = None) -> Scope:
    services: Any = SimpleNamespace(
        lists=Lists(),
        config=SimpleNamespace(
            retry_rules=tuple(parse_retry_rule(rule) for rule in rules),
            main=SimpleNamespace(retry_data_expire=7 * 86400, retry_interval_max=86400),
        ),
        clock=SimpleNamespace(now=lambda: NOW),
        hints=hints if hints is not None else MemoryHints(),
        random=SimpleNamespace(below=lambda limit: limit - 1),
    )
    return Scope(services, message=Message(id="1abcde-00000000001-0000", received_time=NOW - age))


@pytest.mark.parametrize(
    ("error", "basic", "more", "good"),
    [
        ("*", 111, 65, True),
        ("refused_A", 111, 65, True),
        ("refused_MX", 111, 65, False),
        ("refused", 110, 65, False),
        ("timeout_connect", 110, 321, True),
        ("timeout_connect", 110, 65, False),
        ("timeout_A", 110, 321, True),
        ("rcpt_4xx", Why.RCPT_4XX, 13121, True),
        ("rcpt_451", Why.RCPT_4XX, 13121, True),
        ("rcpt_45x", Why.RCPT_4XX, 13121, True),
        ("rcpt_452", Why.RCPT_4XX, 13121, False),
        ("mail_4xx", Why.RCPT_4XX, 13121, False),
        ("quota", Why.QUOTA, 0, True),
        ("quota_1h", Why.QUOTA, 3599, False),
        ("quota_1h", Why.QUOTA, 3600, True),
        ("quota", 28, 0, True),
        ("lookup", Why.UNKNOWN_HOST, 0, True),
    ],
)
def test_errors(error: str, basic: int, more: int, good: bool) -> None:
    rule = parse_retry_rule(f"* {error} F,1h,1m")
    assert retry.error_matches(rule.error, basic, more) is good
    if good and "_4" not in error:
        numbers = retry.error_numbers(rule.error)
        assert rule.error.kind == "*" or retry.error_matches(rule.error, *numbers)


@pytest.mark.parametrize(
    ("key", "subject"),
    [
        ("a@b:<s@t>", "a@b"),
        ("a@b", "a@b"),
        ("dom.ain", "*@dom.ain"),
        ("host.x:1.2.3.4:25", "*@host.x"),
        ("[::1]:::1:25", "*@[::1]"),
    ],
)
def test_rule_key(key: str, subject: str) -> None:
    assert retry.rule_key(key) == subject


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("*.x rcpt_45x F,10d,2m", "Retry rule: *.x  *  F,1w3d,2m; "),
        ("* timeout_connect_A F,1d,29s; G,2d,1m,1.5", "Retry rule: *  timeout_connect_A  F,1d,29s; G,2d,1m,1.5; "),
        ("* quota_7d", "Retry rule: *  quota_1w  "),
        ("a.b * H,1d,1m,1.25", "Retry rule: a.b  *  H,1d,1m; "),
        ("a.b * G,1d,1m,2", "Retry rule: a.b  *  G,1d,1m,2.0; "),
    ],
)
def test_rule_text(rule: str, text: str) -> None:
    assert retry.rule_text(parse_retry_rule(rule)) == text


def test_intervals() -> None:
    step = parse_retry_rule("* * G,16h,1h,1.5").steps[0]
    random: Any = SimpleNamespace(below=lambda limit: limit - 1)
    assert [retry.next_interval(step, last, random) for last in (0, 3600, 7200)] == [3600, 5400, 10800]
    step = parse_retry_rule("* * H,16h,1h,2").steps[0]
    assert [retry.next_interval(step, last, random) for last in (0, 3600)] == [3600, 7199]


def test_update_and_give_up() -> None:
    at = scope("* * F,1h,10m; F,2h,30m")
    items = [("T:host:1.2.3.4", "update", 111, 65, "Connection refused")]
    assert not retry.update_address(at, "d", items, failed=True, remote=True)
    record = retry.find(at.services, "T:host:1.2.3.4")
    assert record is not None
    assert (record.first_failed, record.next_try - NOW, record.expired) == (NOW, 600, False)
    for failing, wait_for, expired in ((3600, 1800, False), (7200, 1800, True)):
        record.first_failed = NOW - failing
        at.services.hints.put("retry", "T:host:1.2.3.4", record.as_dict())
        assert retry.update_address(at, "d", items, failed=True, remote=True) is expired
        found = retry.find(at.services, "T:host:1.2.3.4")
        assert found is not None
        assert (found.next_try - NOW, found.expired) == (wait_for, expired)
    assert retry.update_address(at, "d", [("T:host:1.2.3.4", "delete", 0, 0, "")], failed=False) is False
    assert retry.find(at.services, "T:host:1.2.3.4") is None


def test_old_message_counts_for_address_errors_only() -> None:
    at = scope("* * F,1h,10m; F,2h,30m", age=3700)
    retry.update_address(at, "d", [("R:a@b", "update", -44, 0, "x")], failed=True, remote=True)
    retry.update_address(at, "d", [("T:h:1.1.1.1", "update", 111, 65, "x")], failed=True, remote=True)
    assert [retry.find(at.services, key).next_try - NOW for key in ("R:a@b", "T:h:1.1.1.1")] == [1800, 600]  # type: ignore[union-attr]


def test_no_rule_means_no_retry() -> None:
    at = scope()
    assert retry.update_address(at, "d", [("R:b", "update", -1, 0, "x")], failed=True)
    assert retry.find(at.services, "R:b") is None


def test_error_default() -> None:
    assert retry.error_numbers(RetryError()) == (0, 0)


def test_waiting() -> None:
    hints = MemoryHints()
    for one in ("a", "b", "c"):
        wait.note_waiting(hints, "smtp", ["h1", "h2", "h1"], one)
    wait.note_waiting(hints, "smtp", ["h1"], "b")
    assert wait.waiting(hints, "smtp", "h1") == ["a", "b", "c"]
    assert wait.next_waiting(hints, "smtp", "h1", "x", lambda one: one != "a") == ("b", True)
    assert wait.next_waiting(hints, "smtp", "h1", "c", lambda one: True) == ("", False)
    assert wait.waiting(hints, "smtp", "h1") == []
    assert wait.waiting(hints, "smtp", "h2") == ["a", "b", "c"]
