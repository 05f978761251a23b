"""`angaros mta-sts`, and what the database tools say of its records."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from angaros.cli.mta_sts import main
from angaros.hints.db import HintsDb
from angaros.tools.hintsdb import dumpdb, tidydb


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "exim.conf").write_text(
        f"primary_hostname = mx.example\nspool_directory = {tmp_path}\nlog_file_path = {tmp_path}/%slog\nkeep_environment =\n"
    )
    monkeypatch.setattr("angaros.cli.context.read_site", lambda: _site(tmp_path))
    return tmp_path


def _site(directory: Path) -> Any:
    from angaros.config.site import Site

    return Site(exim_user="root", spool_directory=str(directory), log_file_path=f"{directory}/%slog")


def keep(spool: Path, domain: str, **changes: Any) -> None:
    now = time.time()
    record = {"id": "1", "mode": "enforce", "mx": ["mx.example"], "max_age": 1000, "fetched": now, "used": now, "tried": now}
    HintsDb(f"{spool}/db").put("mta_sts", domain, {**record, "tried_id": "1", "problem": "", "detail": "", **changes})


def run(spool: Path, *words: str) -> int:
    return main([*words, "-C", str(spool / "exim.conf")])


def test_list(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(spool, "a.example")
    keep(spool, "b.example", fetched=0.0)
    keep(spool, "c.example", mode="", problem="sts-policy-fetch-error", detail="HTTP status 404")
    assert run(spool, "list") == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("a.example mode=enforce id=1 mx=mx.example ends=20") and not first.endswith("(ended)")
    assert second.endswith("ends=1970-01-01T00:16:40Z (ended)")
    assert third.startswith("c.example problem=sts-policy-fetch-error tried=") and third.endswith(": HTTP status 404")


def test_flush(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for domain in ("a.example", "b.example", "c.example"):
        keep(spool, domain)
    assert run(spool, "flush", "B.example") == 0 and capsys.readouterr().out == "b.example: forgotten\n"
    assert run(spool, "flush", "b.example") == 1
    assert run(spool, "flush") == 0 and run(spool, "list") == 0
    assert capsys.readouterr().out == "a.example: forgotten\nc.example: forgotten\n"


def test_show(spool: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.mailauth.zones import Zones

    keep(spool, "a.example")
    monkeypatch.setattr(
        "angaros.net.dns.from_config", lambda *_: _attached(Zones({"_mta-sts.a.example": [{"TXT": "v=STSv1; id=1"}]}))
    )
    assert run(spool, "show", "A.example") == 0
    wanted = "a.example: id 1\nversion: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 1000\n"
    assert capsys.readouterr().out == wanted
    assert run(spool, "show", "x.example") == 1 and capsys.readouterr().out == "x.example: no policy\n"


def _attached(zones: Any) -> Any:
    zones.attach = lambda services: None
    return zones


@pytest.mark.parametrize("words", [(), ("nothing",), ("show",), ("list", "x"), ("flush", "a", "b")])
def test_usage(spool: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(spool, *words) == 64 and "usage: angaros mta-sts" in capsys.readouterr().err


def test_tools(spool: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    keep(spool, "a.example", max_age=10**8, fetched=0.0)
    keep(spool, "b.example", max_age=31557600)
    db = HintsDb(f"{spool}/db", now=lambda: 1.0)
    db.put("mta_sts", "b.example", db.get("mta_sts", "b.example") or {})
    monkeypatch.setattr("sys.argv", ["exim_tidydb", str(spool), "mta_sts"])
    assert tidydb() == 0
    monkeypatch.setattr("sys.argv", ["exim_dumpdb", str(spool), "mta_sts"])
    assert dumpdb() == 0
    out = capsys.readouterr().out
    assert "deleted a.example (ended)" in out and "deleted b" not in out and 'b.example {"id": "1", "mode": "enforce"' in out
