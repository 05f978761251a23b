"""The openspf.org test suite for RFC 7208 (rfc7208-tests.json: its YAML as JSON; rfc7208-tests.LICENSE)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from angaros.mailauth.spf import Query, SpfResult, check_host
from tests.mailauth.zones import Zones

SUITE = json.loads(Path(__file__).with_name("rfc7208-tests.json").read_text())
CASES = [(f"{section['description']}: {name}", section, case) for section in SUITE for name, case in section["tests"].items()]


def judge(section: dict[str, Any], case: dict[str, Any]) -> SpfResult:
    helo = str(case["helo"])
    sender = str(case["mailfrom"] or "")
    if not sender:
        sender = f"postmaster@{helo}"
    local, at, domain = sender.rpartition("@")
    if not at:
        local, domain = "postmaster", sender
    query = Query(str(case["host"]), domain, f"{local or 'postmaster'}@{domain}", helo, "receiver.example")
    return check_host(query, Zones(section["zonedata"]))


def test_all_are_here() -> None:
    assert len(CASES) == 203


@pytest.mark.parametrize(("section", "case"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_case(section: dict[str, Any], case: dict[str, Any]) -> None:
    found = judge(section, case)
    wanted = case["result"]
    assert found.result in (wanted if isinstance(wanted, list) else [wanted]), found
    explanation = case.get("explanation")
    if explanation is not None:
        assert found.explanation == ("" if explanation == "DEFAULT" else explanation)
